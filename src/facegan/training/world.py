"""The processes that train one run together, and the few words they exchange; alone by default.

Every process holds all the weights and its rows of every batch. What each computes from its rows is
averaged before anything is changed by it, so that the processes stay the same to the bit, and the
first of them speaks for all: it writes, draws and decides.
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
from facegan.gans.sharing import Share
from facegan.training.plan import check_batch


@dataclass(frozen=True)
class World:
    """One process's place among those of a run. Its methods are calls that all must make alike.

    Args:
        rank: This process, from 0.
        size: How many there are.
        local_rank: This process among those of its host: which GPU is its own.
        hosts: The host of every rank, each under a name of its own.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    hosts: tuple[str, ...] = ("this machine",)

    @property
    def leads(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    @property
    def host_leader(self) -> int:
        """The first rank of this process's host."""
        return self.hosts.index(self.hosts[self.rank])

    @property
    def leads_host(self) -> bool:
        """Whether this process does what is done once a host."""
        return self.rank == self.host_leader

    @property
    def host_leaders(self) -> list[int]:
        """The first rank of every host, in the order of their ranks."""
        return [self.hosts.index(host) for host in dict.fromkeys(self.hosts)]

    def name(self, rank: int) -> str:
        """A rank as people know it."""
        return f"Rank {rank} on {self.hosts[rank]}"

    def share_of(self, gan: Gan, batch_size: int) -> Share:
        """This process's part of every batch.

        Raises:
            ConfigError: see :func:`check_batch`.
        """
        check_batch(gan.family, gan.preset, batch_size, self.size)
        return Share(self.rank, self.size, batch_size)

    # --- what a step exchanges --------------------------------------------------------------------

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace float32 tensors by their means over all processes, in place, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, stop: bool, seconds: float) -> tuple[bool, float]:
        """Whether anyone was asked to stop, and the leader's seconds: the same for everyone."""
        if self.size == 1:
            return stop, seconds
        word = torch.tensor([float(stop), seconds if self.leads else 0.0], dtype=torch.float64)
        dist.all_reduce(word)
        return bool(word[0] > 0), float(word[1])

    def check_alike(self, fingerprint: Tensor, what: str) -> None:
        """Refuse to go on where processes differ.

        Raises:
            RunError: some process has other numbers than the first; it is named.
        """
        if self.size == 1:
            return
        found = [torch.empty_like(fingerprint) for _ in range(self.size)]
        dist.all_gather(found, fingerprint)
        for rank, other in enumerate(found):
            if not torch.equal(other, found[0]):
                raise RunError(
                    f"The {what} of {self.name(rank)} differ from those of {self.name(0)}.",
                    "Run the same versions on the same kind of machine everywhere.",
                )

    # --- what is said once ------------------------------------------------------------------------

    def wait(self) -> None:
        """Go on when everyone is here."""
        self.agree(False, 0.0)

    def broadcast(self, content: bytes, source: int = 0) -> bytes:
        """The bytes that the source rank holds; what the others bring is ignored."""
        if self.size == 1:
            return content
        length = torch.tensor([len(content)])
        dist.broadcast(length, source)
        block = torch.empty(int(length), dtype=torch.uint8)
        if self.rank == source and len(content):
            block = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(block, source)
        return block.numpy().tobytes()

    def broadcast_facts(self, facts: Any) -> Any:
        """The leader's facts, of JSON's types."""
        return json.loads(self.broadcast(json.dumps(facts).encode()))

    def gather_facts(self, facts: Any) -> list[Any]:
        """Every rank's facts, of JSON's types."""
        own = json.dumps(facts).encode()
        return [json.loads(self.broadcast(own, rank)) for rank in range(self.size)]


ALONE = World()
