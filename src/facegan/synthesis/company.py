"""How many rows are drawn at once, so that one seed has one face in any company.

Kernels of different batch sizes may round differently, which can move a pixel by one level. Which
sizes agree depends on a network's layers, on the processor and on the number of threads, so it is
measured once, when a model is loaded: rows are then drawn in batches of those sizes only that give
the same bits, the last one padded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 16  # more gain nothing on processors (docs/results.md, `make bench-serve`)
CANDIDATES = (1, 2, 4, 6, 8, 12)
LONELY = 8  # where no size agrees with another: few enough for one caller, enough for many
# From this side on, in pixels, or from so many weights, one image keeps all cores busy: others
# beside it gain little, and to measure whether they agree would take seconds. By size, not by the
# clock, so that a model is drawn the same way at every start.
LARGE = 128
HEAVY = 10_000_000

Draw = Callable[..., Tensor]


@dataclass(frozen=True)
class Company:
    """The sizes of batches that give the same bits, ascending."""

    sizes: tuple[int, ...]

    @property
    def most(self) -> int:
        """The largest batch."""
        return self.sizes[-1]

    def draw(self, function: Draw, *inputs: Tensor) -> Tensor:
        """What a function makes of N rows each, in batches."""
        batches = zip(*(x.split(self.most) for x in inputs), strict=True)
        drawn = [self.draw_batch(function, *batch) for batch in batches]
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn)

    def draw_batch(self, function: Draw, *inputs: Tensor) -> Tensor:
        """The same for at most :attr:`most` rows: in the smallest size that holds them."""
        count = len(inputs[0])
        lacking = next(size for size in self.sizes if size >= count) - count
        if lacking:
            inputs = tuple(torch.cat([x, x.new_zeros(lacking, *x.shape[1:])]) for x in inputs)
        return function(*inputs)[:count]


def find_company(function: Draw, is_heavy: bool, *inputs: Tensor) -> Company:
    """Measure in which sizes a network's rows may be drawn.

    Args:
        function: The network, from rows to float images (N, 3, H, W).
        is_heavy: Whether one image takes all cores.
        inputs: MOST rows each.
    """
    if is_heavy:
        return Company((1,))
    together = function(*inputs)
    alike = [
        size
        for size in CANDIDATES
        if torch.equal(torch.cat(parts(function, size, inputs)), together)
    ]
    return Company((*alike, MOST)) if alike else Company((LONELY,))


def parts(function: Draw, size: int, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """What a function makes of MOST rows in parts of one size; the last one overlaps."""
    whole, rest = divmod(MOST, size)
    starts = [index * size for index in range(whole)] + ([MOST - size] if rest else [])
    drawn = [function(*(x[start : start + size] for x in inputs)) for start in starts]
    return [*drawn[:whole], *(image[-rest:] for image in drawn[whole:])]
