"""One batch over several processes: what networks and losses must know when they see a part of it.

Random numbers are drawn for the whole batch, by every process alike, and each keeps its own rows;
means that outlive a step are taken over all processes. So a run is the same however many share it.
A process alone draws and averages as torch does, to the bit. Whoever trains says by :func:`shared`
which part is whose; networks draw through this file instead of torch's own functions.

A micro-batch is a share of a process's share. A process sees its micro-batches one after the other,
so what it learns of the whole batch it knows only after the last: see :class:`SlicedMeans`.
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
class Share:
    """Which rows of a batch are this process's: the `rank`-th of `size` equal runs."""

    rank: int = 0
    size: int = 1
    batch_size: int = 1  # of the whole
    micro_batches: int = 1  # that every process cuts its rows into: `size` counts them all

    def micro_batch(self, index: int, count: int) -> "Share":
        """The `index`-th of the `count` micro-batches that this share is cut into."""
        return Share(self.rank * count + index, self.size * count, self.batch_size, count)

    def rows(self, whole: Tensor) -> Tensor:
        """The own rows of numbers for a whole batch, for a part of one, or for several stacked."""
        if self.size == 1:
            return whole
        stacked = max(len(whole) // self.batch_size, 1)
        parts: Tensor = whole.unflatten(0, (stacked, self.size, -1))
        return parts[:, self.rank].flatten(0, 1).clone()  # a view would keep the whole in memory


ALONE = Share()
_share: ContextVar[Share] = ContextVar("share", default=ALONE)
_others = 0  # how many have said that they hold a part


@contextmanager
def shared(share: Share) -> Iterator[None]:
    """Within, batches are this process's rows of larger ones."""
    global _others
    token = _share.set(share)
    _others += share.size > 1
    try:
        yield
    finally:
        _others -= share.size > 1
        _share.reset(token)


def is_alone() -> bool:
    """Whether no batch in this program is a part of a larger one; torch.compile can read this.

    It cannot read a ContextVar, at which it would cut a network into pieces.
    """
    return _others == 0


def current_share() -> Share:
    """The part of every batch that this process holds."""
    return _share.get()


def whole_count(count: int) -> int:
    """How many rows all processes hold together, each so many."""
    return count * current_share().size


# --- random numbers -----------------------------------------------------------------------------


def draw(sample: Callable[[int], Tensor], count: int) -> Tensor:
    """`count` rows: this process's of those that `sample` draws for the whole batch."""
    if is_alone():  # which torch.compile can read
        return sample(count)
    return current_share().rows(sample(whole_count(count)))


def randn(count: int, *shape: int, **options: Any) -> Tensor:
    """torch.randn, its first size a process's number of rows."""
    return draw(lambda rows: torch.randn(rows, *shape, **options), count)


def randn_like(x: Tensor) -> Tensor:
    """torch.randn_like, for a float32 tensor of a process's rows."""
    return randn(*x.shape, device=x.device)


def rand(count: int, *shape: int, **options: Any) -> Tensor:
    """torch.rand, its first size a process's number of rows."""
    return draw(lambda rows: torch.rand(rows, *shape, **options), count)


def randint(low: int, high: int, count: int, *shape: int, **options: Any) -> Tensor:
    """torch.randint, its first size a process's number of rows."""
    return draw(lambda rows: torch.randint(low, high, (rows, *shape), **options), count)


# --- means --------------------------------------------------------------------------------------


class SlicedMeans:
    """Moves running means once per batch, while the batch is seen in micro-batches.

    What the micro-batches give to :func:`follow` is summed up, call by call, and the running means
    move at the end, in :meth:`apply`. A loss that needs the moved mean at once, for its own terms,
    is computed twice (``Phase.rehearsed``): after the first time, :meth:`measure` keeps the whole
    batch's means, and the second time :func:`follow` returns what the running mean will be.
    """

    def __init__(self) -> None:
        self.moves: list[tuple[Tensor, float]] = []  # running means and weights, in order of call
        self.sums: list[Tensor] = []
        self.whole: list[Tensor] | None = None
        self.micro_batches = 0
        self.calls = 0  # in the micro-batch that is seen now

    @contextmanager
    def seeing(self) -> Iterator[None]:
        """Within, one micro-batch is seen."""
        self.calls = 0
        token = _sliced.set(self)
        try:
            yield
        finally:
            _sliced.reset(token)
        self.micro_batches += 1

    def follow(self, running: Tensor, mean: Tensor, weight: float) -> Tensor:
        """Note a micro-batch's mean; return the moved running mean once it can be known."""
        call, self.calls = self.calls, self.calls + 1
        if self.whole is not None:
            return running.lerp(self.whole[call], weight)
        if call == len(self.moves):
            self.moves.append((running, weight))
            self.sums.append(torch.zeros_like(mean))
        self.sums[call] += mean
        return running

    def measure(self) -> None:
        """Take the means over all micro-batches and all processes."""
        own = [total / self.micro_batches for total in self.sums]
        self.whole = [mean_over_processes(mean) for mean in own]

    def apply(self) -> None:
        """Move the running means, in place."""
        if self.whole is None:
            self.measure()
        for (running, weight), mean in zip(self.moves, self.whole or (), strict=True):
            running.lerp_(mean, weight)


_sliced: ContextVar[SlicedMeans | None] = ContextVar("sliced", default=None)


def follow(running: Tensor, mean: Tensor, weight: float) -> Tensor:
    """Move a running mean towards the mean of a batch, in place: by all processes' rows together.

    Args:
        running: A buffer of a player. One phase moves it once.
        mean: That of the own rows, without a gradient.
        weight: How much of the way the running mean goes.

    Returns:
        The running mean. In a micro-batch it has not moved yet, except in a phase that is
        ``rehearsed``.
    """
    if (sliced := _sliced.get()) is not None:
        return sliced.follow(running, mean, weight)
    return running.lerp_(mean_over_processes(mean), weight)


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of every process's tensor, without a gradient."""
    return x if current_share().size == 1 else gather(x).mean(0)


def gather(x: Tensor) -> Tensor:
    """Every process's tensor, stacked: (size, *shape), without a gradient."""
    if current_share().micro_batches > 1:
        raise RuntimeError("A micro-batch cannot wait for others: use sharing.follow.")
    parts = [torch.empty_like(x) for _ in range(current_share().size)]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts)
