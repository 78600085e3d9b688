"""One batch over several processes: what networks and losses must know when they see a part of it.

Random numbers are drawn for the whole batch, by every process alike, and each keeps its own rows;
means that outlive a step are taken over all processes. So a run is the same however many share it.
A process alone draws and averages as torch does, to the bit. Whoever trains says by :func:`shared`
which part is whose; networks draw through this file instead of torch's own functions.
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


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of every process's tensor, without a gradient."""
    return x if current_share().size == 1 else gather(x).mean(0)


def gather(x: Tensor) -> Tensor:
    """Every process's tensor, stacked: (size, *shape), without a gradient."""
    parts = [torch.empty_like(x) for _ in range(current_share().size)]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts)
