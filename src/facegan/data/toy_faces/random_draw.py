"""The randomness of each image: a stream of its own, set by the seed and the image's number."""

import math
from hashlib import blake2s

import torch
from torch import Tensor

MAX_SEED = 2**63 - 1
COLUMNS = 128
_MASK = 0xFFFFFFFF


def _scramble(value: int) -> int:
    """A one-to-one mixing of 32 bits (the finaliser of MurmurHash3, Appleby 2011)."""
    value &= _MASK
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def stream_seed(seed: int, index: int) -> int:
    """The 32-bit seed of image ``index`` of data set ``seed``.

    torch's CPU generator keeps 32 bits of its seed, so a plain hash of the pair would give some
    hundred thousand images their first twins. One-to-one in ``index``, this gives none.
    """
    of_set = blake2s(str(seed).encode(), digest_size=4).digest()
    return _scramble(_scramble(index) ^ int.from_bytes(of_set, "big"))


class Draw:
    """Random attributes of consecutive images, handed out one column at a time.

    The order of the calls decides which column an attribute gets: to reorder them is to draw other
    images, and asks for a new ``renderer_version``.
    """

    def __init__(self, first: int, count: int, seed: int) -> None:
        generator = torch.Generator()
        rows = [
            torch.rand(COLUMNS, generator=generator.manual_seed(stream_seed(seed, index)))
            for index in range(first, first + count)
        ]
        self._columns = iter(torch.stack(rows).unbind(1))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(N, 1, 1), even between ``low`` and ``high``."""
        return (next(self._columns) * (high - low) + low).view(-1, 1, 1)

    def normal(self, mean: float, deviation: float) -> Tensor:
        """(N, 1, 1), bell-shaped, cut at two deviations: no image is an oddity."""
        bell = torch.erfinv(2 * self.uniform() - 1).mul_(math.sqrt(2)).clamp_(-2, 2)
        return bell * deviation + mean

    def chance(self, probability: Tensor | float) -> Tensor:
        """(N, 1, 1), 1 with the given probability, else 0."""
        return (self.uniform() < probability).float()

    def choice(self, weights: Tensor) -> Tensor:
        """(N,) indices; ``weights`` is (K,) or (N, K), of any positive sum."""
        ladder = weights.cumsum(-1) / weights.sum(-1, keepdim=True)
        chosen: Tensor = (self.uniform().flatten().unsqueeze(1) >= ladder).sum(1)
        return chosen.clamp(max=weights.shape[-1] - 1)
