"""The random numbers of augmentation, all drawn here: one for each image.

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
    """Draws numbers for images (N, C, height, width): tensors (N,) on their device."""

    count: int
    height: int
    width: int
    device: torch.device

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """For a batch of images."""
        return cls(len(images), images.shape[2], images.shape[3], images.device)

    def uniform(self, low: float, high: float) -> Tensor:
        """Between two numbers, the upper one left out."""
        return data_parallel.rand(self.count, device=self.device) * (high - low) + low

    def normal(self, deviation: float) -> Tensor:
        """Around 0 with a standard deviation."""
        return data_parallel.randn(self.count, device=self.device) * deviation

    def factor(self, octaves: float) -> Tensor:
        """A factor as often above 1 as below: its logarithm to base 2 deviates by `octaves`."""
        return (self.normal(octaves) * math.log(2)).exp()

    def whole(self, low: int, high: int) -> Tensor:
        """A whole number from `low` to `high`, both included."""
        return data_parallel.randint(low, high + 1, self.count, device=self.device)

    def chosen(self, probability: Tensor) -> Tensor:
        """Booleans, true with a probability (a tensor without dimensions): 0 never, 1 always."""
        return data_parallel.rand(self.count, device=self.device) < probability
