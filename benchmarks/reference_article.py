"""The article's training loop, from its description: what bench_train.py compares ours with.

Written anew from the facts of the published code: ImageFolder, Resize and ToTensor, a DataLoader
without workers, U(-1, 1) latents from numpy, He-uniform weights on convolutions, BCE with logits,
no detach in the discriminator's step, Adam 2e-4 (.5, .999), float32 throughout.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from facegan.metrics.fidelity import load_torchvision


class ArticleGenerator(nn.Module):
    """100 numbers → 32x32: a linear layer to 2x2x512, then four transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(100, 512 * 2 * 2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 4, 2, 1)
            for wide, narrow in ((512, 256), (256, 128), (128, 64), (64, 3))
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(width) for width in (256, 128, 64))

    def forward(self, z: Tensor) -> Tensor:
        x = self.project(z).view(-1, 512, 2, 2)
        for up, norm in zip(self.up, self.norm, strict=False):
            x = F.relu(norm(up(x)))
        return torch.tanh(self.up[-1](x))


class ArticleDiscriminator(nn.Module):
    """32x32 → one logit: five strided convolutions, the middle three normalised."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 128, 256, 512, 1024)
        self.down = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, 2, 1, bias=False) for narrow, wide in pairwise(widths)
        )
        self.norm = nn.ModuleList(
            nn.BatchNorm2d(width) if width in (128, 256, 512) else nn.Identity()
            for width in widths[1:]
        )
        self.head = nn.Linear(1024, 1)

    def forward(self, x: Tensor) -> Tensor:
        for down, norm in zip(self.down, self.norm, strict=True):
            x = F.leaky_relu(norm(down(x)), 0.2)
        return self.head(x.view(-1, 1024))


def initialise(module: nn.Module) -> None:
    """What the article's initialiser does (not what its name says)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_uniform_(module.weight)


def batches(folder: Path, batch_size: int) -> Iterator[Tensor]:
    """Shuffled batches for ever, as the article's loader gives them epoch by epoch."""
    load_torchvision()
    from torchvision import datasets, transforms

    steps = transforms.Compose([transforms.Resize(32), transforms.ToTensor()])
    data = datasets.ImageFolder(str(folder), transform=steps)
    loader = torch.utils.data.DataLoader(data, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for images, _ in loader:
            yield images


class ReferenceLoop:
    """The article's step; ``step()`` trains on one batch."""

    def __init__(self, folder: Path, batch_size: int = 128) -> None:
        self.batch_size = batch_size
        self.batches = batches(folder, batch_size)
        self.generator, self.discriminator = ArticleGenerator(), ArticleDiscriminator()
        self.generator.apply(initialise)
        self.discriminator.apply(initialise)
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.of_generator = torch.optim.Adam(self.generator.parameters(), **adam)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.bce = nn.BCEWithLogitsLoss()

    def latents(self) -> Tensor:
        return torch.from_numpy(np.random.uniform(-1, 1, size=(self.batch_size, 100))).float()

    def judge(self, images: Tensor, target: float) -> Tensor:
        logits = self.discriminator(images).squeeze()
        return self.bce(logits, torch.full((self.batch_size,), target))

    def step(self) -> None:
        reals = next(self.batches) * 2 - 1
        self.of_discriminator.zero_grad()
        # The fakes are not detached: the backward pass runs through the generator in vain.
        loss = self.judge(reals, 1.0) + self.judge(self.generator(self.latents()), 0.0)
        loss.backward()
        self.of_discriminator.step()
        self.of_generator.zero_grad()
        self.judge(self.generator(self.latents()), 1.0).backward()
        self.of_generator.step()
