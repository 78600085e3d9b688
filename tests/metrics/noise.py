"""Random images and a trivial feature network, for the tests of metrics."""

import hashlib

import torch
from torch import Tensor, nn


class Pooled(nn.Module):
    """Means of quarters of each channel: 12 features."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += len(images)
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


class Noise:
    """A data set of images with random pixels around a level."""

    def __init__(self, count: int, level: int = 128, seed: int = 0) -> None:
        numbers = torch.Generator().manual_seed(seed)
        shape = (count, 3, 8, 8)
        pixels = torch.randint(-60, 60, shape, generator=numbers) + level
        self.images = pixels.clamp(0, 255).to(torch.uint8)
        self.digest = hashlib.sha256(self.images.numpy().data).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        return self.images[indices]
