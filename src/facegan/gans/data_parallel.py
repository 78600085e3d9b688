"""Data parallelism: random numbers and means of a batch that is split over processes.

Every process draws the random numbers of the whole batch and keeps its own rows. Running means are
taken over all processes. So the number of processes does not change a run, and a single process
draws and averages exactly as torch does. The trainer sets the slice by :func:`use_slice`; networks
draw through this file instead of torch's own functions.

A micro-batch is a slice of a process's slice. Micro-batches run one after the other, so the mean of
the whole batch is known only after the last one: see :class:`RunningMeans`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class BatchSlice:
    """This process's rows of a batch: the `rank`-th of `size` equal parts."""

    rank: int = 0
    size: int = 1
    batch_size: int = 1  # of the whole batch
    micro_batches: int = 1  # per process; `size` counts those of all processes

    def micro_batch(self, index: int, count: int) -> "BatchSlice":
        """Return the `index`-th of the `count` micro-batches of this slice."""
        return BatchSlice(self.rank * count + index, self.size * count, self.batch_size, count)

    def rows(self, whole: Tensor) -> Tensor:
        """Return this slice's rows of a whole batch, of a part of one, or of several stacked."""
        if self.size == 1:
            return whole
        stacked = max(len(whole) // self.batch_size, 1)
        parts: Tensor = whole.unflatten(0, (stacked, self.size, -1))
        return parts[:, self.rank].flatten(0, 1).clone()  # a view would keep the whole in memory


WHOLE_BATCH = BatchSlice()
_slice: ContextVar[BatchSlice] = ContextVar("slice", default=WHOLE_BATCH)
_parts_in_use = 0  # slices in use that are not a whole batch


@contextmanager
def use_slice(batch_slice: BatchSlice) -> Iterator[None]:
    """Treat batches as these rows of larger ones, within the block."""
    global _parts_in_use
    token = _slice.set(batch_slice)
    _parts_in_use += batch_slice.size > 1
    try:
        yield
    finally:
        _parts_in_use -= batch_slice.size > 1
        _slice.reset(token)


def is_whole_batch() -> bool:
    """Return whether every batch in this program is whole.

    torch.compile can read this; at a ContextVar it would cut a network into pieces.
    """
    return _parts_in_use == 0


def current_slice() -> BatchSlice:
    """Return the slice of every batch that this process holds."""
    return _slice.get()


def global_count(count: int) -> int:
    """Return the number of rows over all processes, each of which has `count`."""
    return count * current_slice().size


# --- random numbers -----------------------------------------------------------------------------


def draw(sample: Callable[[int], Tensor], count: int) -> Tensor:
    """Draw with `sample` for the whole batch, and return this process's `count` rows."""
    if is_whole_batch():
        return sample(count)
    return current_slice().rows(sample(global_count(count)))


def randn(count: int, *shape: int, **options: Any) -> Tensor:
    """Return torch.randn's numbers for this process's `count` rows."""
    return draw(lambda rows: torch.randn(rows, *shape, **options), count)


def randn_like(x: Tensor) -> Tensor:
    """Return torch.randn_like's numbers for this process's rows, in float32."""
    return randn(*x.shape, device=x.device)


def rand(count: int, *shape: int, **options: Any) -> Tensor:
    """Return torch.rand's numbers for this process's `count` rows."""
    return draw(lambda rows: torch.rand(rows, *shape, **options), count)


def randint(low: int, high: int, count: int, *shape: int, **options: Any) -> Tensor:
    """Return torch.randint's numbers for this process's `count` rows."""
    return draw(lambda rows: torch.randint(low, high, (rows, *shape), **options), count)


@contextmanager
def same_draws(device: torch.device) -> Iterator[None]:
    """Let the code after the block draw the same random numbers as the code within.

    A discriminator whose images are augmented then augments two batches alike.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


# --- means --------------------------------------------------------------------------------------


class RunningMeans:
    """Updates running means once per batch while the batch runs in micro-batches.

    The means of the micro-batches are summed per call, and :meth:`apply` updates the running means
    at the end. A loss that uses the updated mean is computed twice (``Phase.needs_batch_means``):
    :meth:`measure` stores the whole batch's means after the first time, and :meth:`update` returns
    the future running mean the second time.
    """

    def __init__(self) -> None:
        self.updates: list[tuple[Tensor, float]] = []  # running means and weights, in call order
        self.sums: list[Tensor] = []
        self.batch_means: list[Tensor] | None = None
        self.micro_batches = 0
        self.calls = 0  # in the current micro-batch

    @contextmanager
    def micro_batch(self) -> Iterator[None]:
        """Collect the means of one micro-batch, within the block."""
        self.calls = 0
        token = _running_means.set(self)
        try:
            yield
        finally:
            _running_means.reset(token)
        self.micro_batches += 1

    def update(self, running: Tensor, mean: Tensor, weight: float) -> Tensor:
        """Add a micro-batch's mean; return the updated running mean once it is known."""
        call, self.calls = self.calls, self.calls + 1
        if self.batch_means is not None:
            return running.lerp(self.batch_means[call], weight)
        if call == len(self.updates):
            self.updates.append((running, weight))
            self.sums.append(torch.zeros_like(mean))
        self.sums[call] += mean
        return running

    def measure(self) -> None:
        """Compute the means over all micro-batches and all processes."""
        own = [total / self.micro_batches for total in self.sums]
        self.batch_means = [mean_over_processes(mean) for mean in own]

    def apply(self) -> None:
        """Update the running means, in place."""
        if self.batch_means is None:
            self.measure()
        for (running, weight), mean in zip(self.updates, self.batch_means or (), strict=True):
            running.lerp_(mean, weight)


_running_means: ContextVar[RunningMeans | None] = ContextVar("running_means", default=None)


def update_running_mean(running: Tensor, mean: Tensor, weight: float) -> Tensor:
    """Move a running mean towards the mean of the whole batch, in place.

    Args:
        running: A buffer of a player; at most one phase updates it.
        mean: The mean of this process's rows, without a gradient.
        weight: Weight of the new mean, 0 to 1.

    Returns:
        The running mean; in a micro-batch the old one, except in a phase with
        ``needs_batch_means``.
    """
    if (means := _running_means.get()) is not None:
        return means.update(running, mean, weight)
    return running.lerp_(mean_over_processes(mean), weight)


def mean_over_processes(x: Tensor) -> Tensor:
    """Return the mean of the processes' tensors, without a gradient."""
    return x if current_slice().size == 1 else all_gather(x).mean(0)


def all_gather(x: Tensor) -> Tensor:
    """Return every process's tensor, stacked: (size, *shape), without a gradient."""
    if current_slice().micro_batches > 1:
        raise RuntimeError(
            "A micro-batch cannot wait for other processes: use update_running_mean."
        )
    parts = [torch.empty_like(x) for _ in range(current_slice().size)]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts)
