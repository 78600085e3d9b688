"""The random numbers of augmentation, one per image.

They come from torch's global generator, which the trainer seeds for every step.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from facegan.gans import data_parallel


@dataclass(frozen=True)
class Draws:
    """A source of random tensors (N,) for images (N, C, height, width), on their device."""

    count: int
    height: int
    width: int
    device: torch.device

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """Return the draws for a batch of images."""
        return cls(len(images), images.shape[2], images.shape[3], images.device)

    def uniform(self, low: float, high: float) -> Tensor:
        """Draw uniform numbers in [low, high)."""
        return data_parallel.rand(self.count, device=self.device) * (high - low) + low

    def normal(self, deviation: float) -> Tensor:
        """Draw normal numbers with mean 0."""
        return data_parallel.randn(self.count, device=self.device) * deviation

    def factor(self, octaves: float) -> Tensor:
        """Draw factors whose base-2 logarithm is normal with deviation `octaves`."""
        return (self.normal(octaves) * math.log(2)).exp()

    def whole(self, low: int, high: int) -> Tensor:
        """Draw integers from `low` to `high`, both included."""
        return data_parallel.randint(low, high + 1, self.count, device=self.device)

    def chosen(self, probability: Tensor) -> Tensor:
        """Draw booleans that are true with a probability (a tensor without dimensions)."""
        return data_parallel.rand(self.count, device=self.device) < probability
