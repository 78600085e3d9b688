"""The processes that train one run together, and their collectives. One process by default.

Every process holds all the weights and its rows of every batch. Gradients and other results are
averaged before they change anything, so the processes stay identical to the bit. The main process
(rank 0) alone writes files, evaluates and logs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from facegan.errors import RunError
from facegan.gans import Gan
from facegan.gans.batch_split import check_batch
from facegan.gans.data_parallel import BatchSlice


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank, and the collectives of its run: all processes must call them alike.

    Args:
        rank: This process, from 0.
        size: The number of processes.
        local_rank: This process among those of its host, which is the index of its GPU.
        hosts: The host of every rank, each under a unique name.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    hosts: tuple[str, ...] = ("this machine",)

    @property
    def is_main_process(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def local_main_rank(self) -> int:
        """The first rank of this process's host."""
        return self.hosts.index(self.hosts[self.rank])

    @property
    def is_local_main_process(self) -> bool:
        """Whether this is the first rank of its host."""
        return self.rank == self.local_main_rank

    @property
    def local_main_ranks(self) -> list[int]:
        """The first rank of every host, in order."""
        return [self.hosts.index(host) for host in dict.fromkeys(self.hosts)]

    def rank_name(self, rank: int) -> str:
        """Return how messages name a rank."""
        return f"Rank {rank} on {self.hosts[rank]}"

    def batch_slice(self, gan: Gan, batch_size: int) -> BatchSlice:
        """Return this process's rows of every batch; raise ConfigError if it cannot be divided."""
        check_batch(gan.family, gan.preset, batch_size, self.size)
        return BatchSlice(self.rank, self.size, batch_size)

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace float32 tensors by their means over all processes, in place, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def sync_stop(self, stop: bool, seconds: float) -> tuple[bool, float]:
        """Return whether any process wants to stop, and the main process's seconds."""
        if self.size == 1:
            return stop, seconds
        message = [float(stop), seconds if self.is_main_process else 0.0]
        totals = torch.tensor(message, dtype=torch.float64)
        dist.all_reduce(totals)
        return bool(totals[0] > 0), float(totals[1])

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return self.sync_stop(flag, 0.0)[0]

    def barrier(self) -> None:
        """Wait for every process."""
        self.sync_stop(False, 0.0)

    def check_identical(self, fingerprint: Tensor, what: str) -> None:
        """Raise RunError, naming the rank, if a process's fingerprint differs from rank 0's."""
        if self.size == 1:
            return
        found = [torch.empty_like(fingerprint) for _ in range(self.size)]
        dist.all_gather(found, fingerprint)
        for rank, other in enumerate(found):
            if not torch.equal(other, found[0]):
                raise RunError(
                    f"The {what} of {self.rank_name(rank)} differ from those of "
                    f"{self.rank_name(0)}.",
                    "Run the same versions on the same kind of machine everywhere.",
                )

    def broadcast(self, content: bytes, source: int = 0) -> bytes:
        """Return the bytes of the source rank; other ranks' content is ignored."""
        if self.size == 1:
            return content
        length = torch.tensor([len(content)])
        dist.broadcast(length, source)
        block = torch.empty(int(length), dtype=torch.uint8)
        if self.rank == source and len(content):
            block = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(block, source)
        return block.numpy().tobytes()

    def broadcast_json(self, value: Any) -> Any:
        """Return the main process's JSON value."""
        return json.loads(self.broadcast(json.dumps(value).encode()))

    def gather_json(self, value: Any) -> list[Any]:
        """Return every rank's JSON value."""
        own = json.dumps(value).encode()
        return [json.loads(self.broadcast(own, rank)) for rank in range(self.size)]


SINGLE_PROCESS = ProcessGroup()
