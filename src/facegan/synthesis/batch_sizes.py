"""Picks batch sizes whose outputs are bit-identical, so a seed gives the same image in any batch.

Kernels for different batch sizes may round differently, which can change a pixel by one level.
Which sizes agree depends on the network, the processor and the number of threads, so it is
measured, once per loaded model; only sizes that agree are used from then on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_SIZE = 16  # larger batches gain nothing on processors (docs/results.md, `make bench-serve`)
CANDIDATES = (1, 2, 4, 6, 8, 12)
FALLBACK_SIZE = 8  # if no two sizes agree: small enough for one caller, large enough for many
# From this resolution, or this many weights, one image keeps all cores busy: batching gains little,
# and measuring would take seconds. By size rather than by time, so that it is the same every start.
LARGE_RESOLUTION = 128
LARGE_WEIGHTS = 10_000_000
WORTH_PADDING = 1.5  # padding a batch up to this factor is cheaper than running two batches

Array = npt.NDArray[Any]
Network = Callable[..., Array]


@dataclass(frozen=True)
class BatchSizes:
    """Batch sizes that give the same bits, ascending."""

    sizes: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The largest batch."""
        return self.sizes[-1]

    def run(self, network: Network, *inputs: Array) -> Array:
        """Run a network on N samples, in batches of these sizes."""
        outputs: list[Array] = []
        start = 0
        while not outputs or start < len(inputs[0]):
            size = self.next_size(len(inputs[0]) - start)
            outputs.append(run_padded(network, size, *(x[start : start + size] for x in inputs)))
            start += size
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def next_size(self, remaining: int) -> int:
        """Return the next batch size; larger than what remains if padding is worth it."""
        fitting = [size for size in self.sizes if remaining <= size <= WORTH_PADDING * remaining]
        smaller = [size for size in self.sizes if size <= remaining]
        return min(fitting) if fitting else max(smaller, default=self.sizes[0])


def run_padded(network: Network, size: int, *inputs: Array) -> Array:
    """Run a network on at most `size` samples, padded with zeros to `size`."""
    count = len(inputs[0])
    if count < size:
        inputs = tuple(
            np.concatenate([x, np.zeros((size - count, *x.shape[1:]), x.dtype)]) for x in inputs
        )
    return network(*inputs)[:count]


def find_equivalent_batch_sizes(
    network: Network, is_large: bool, *inputs: Array, candidates: Sequence[int] = CANDIDATES
) -> BatchSizes:
    """Measure which batch sizes give the same bits.

    Args:
        network: Returns float images, whose bits are compared: pixels may agree by chance.
        is_large: Whether one image keeps all cores busy.
        inputs: As many samples as the largest batch may have.
        candidates: Smaller sizes to try, ascending.
    """
    if is_large:
        return BatchSizes((1,))
    largest, expected = len(inputs[0]), network(*inputs)
    outputs = {size: run_in_batches(network, size, inputs) for size in candidates}
    equal = [size for size, output in outputs.items() if np.array_equal(output, expected)]
    return BatchSizes((*equal, largest)) if equal else BatchSizes((FALLBACK_SIZE,))


def run_in_batches(network: Network, size: int, inputs: tuple[Array, ...]) -> Array:
    """Run a network on batches of one size; the last one overlaps the one before."""
    whole, rest = divmod(len(inputs[0]), size)
    outputs = [network(*(x[i * size : (i + 1) * size] for x in inputs)) for i in range(whole)]
    if rest:
        outputs.append(network(*(x[-size:] for x in inputs))[-rest:])
    return np.concatenate(outputs)
