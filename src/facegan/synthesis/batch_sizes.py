"""How many rows are drawn at once, so that one seed has one face in any batch_sizes.

Kernels of different batch sizes may round differently, which can move a pixel by one level. Which
sizes agree depends on a network's layers, on the processor and on the number of threads, so it is
measured once, when a model is loaded: rows are then drawn in batches of those sizes only that give
the same bits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST = 16  # more gain nothing on processors (docs/results.md, `make bench-serve`)
CANDIDATES = (1, 2, 4, 6, 8, 12)
FALLBACK_SIZE = 8  # where no size agrees with another: few enough for one caller, enough for many
# From this side on, in pixels, or from so many weights, one image keeps all cores busy: others
# beside it gain little, and to measure whether they agree would take seconds. By size, not by the
# clock, so that a model is drawn the same way at every start.
LARGE_RESOLUTION = 128
LARGE_WEIGHTS = 10_000_000
WORTH_PADDING = 1.5  # a batch with so many rows to each that is wanted costs less than two batches

Array = npt.NDArray[Any]
Draw = Callable[..., Array]


@dataclass(frozen=True)
class BatchSizes:
    """The sizes of batches that give the same bits, ascending."""

    sizes: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The largest batch."""
        return self.sizes[-1]

    def run(self, function: Draw, *inputs: Array) -> Array:
        """What a function makes of N rows each, in batches of these sizes."""
        drawn: list[Array] = []
        start = 0
        while not drawn or start < len(inputs[0]):
            size = self.size_for(len(inputs[0]) - start)
            drawn.append(run_padded(function, size, *(x[start : start + size] for x in inputs)))
            start += size
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)

    def size_for(self, count: int) -> int:
        """The next batch of `count` rows: padded if that is worth it, else a part of them."""
        fitting = [size for size in self.sizes if count <= size <= WORTH_PADDING * count]
        smaller = [size for size in self.sizes if size <= count]
        return min(fitting) if fitting else max(smaller, default=self.sizes[0])


def run_padded(function: Draw, size: int, *inputs: Array) -> Array:
    """What a function makes of at most `size` rows, when it is given as many."""
    count = len(inputs[0])
    if count < size:
        inputs = tuple(padded(x, size) for x in inputs)
    return function(*inputs)[:count]


def padded(rows: Array, size: int) -> Array:
    """LatentBatch, and zeros to fill a batch."""
    return np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])


def find_equivalent_batch_sizes(
    function: Draw, is_heavy: bool, *inputs: Array, candidates: Sequence[int] = CANDIDATES
) -> BatchSizes:
    """Measure in which sizes a network's rows may be drawn.

    Args:
        function: The network, from rows to float images, the bits of which are compared: pixels may
            agree by chance.
        is_heavy: Whether one image takes all cores.
        inputs: As many rows each as the largest batch may have.
        candidates: Smaller sizes to try, ascending.
    """
    if is_heavy:
        return BatchSizes((1,))
    most, together = len(inputs[0]), function(*inputs)
    alike = [
        size
        for size in candidates
        if np.array_equal(np.concatenate(parts(function, size, inputs)), together)
    ]
    return BatchSizes((*alike, most)) if alike else BatchSizes((FALLBACK_SIZE,))


def parts(function: Draw, size: int, inputs: tuple[Array, ...]) -> list[Array]:
    """What a function makes of rows in parts of one size; the last one overlaps."""
    most = len(inputs[0])
    whole, rest = divmod(most, size)
    starts = [index * size for index in range(whole)] + ([most - size] if rest else [])
    drawn = [function(*(x[start : start + size] for x in inputs)) for start in starts]
    return [*drawn[:whole], *(image[-rest:] for image in drawn[whole:])]
