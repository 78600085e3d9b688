"""The standard DCGAN of PyTorch's examples at 32 px, from its description, for bench_quality.py.

Written anew from its facts: latents N(0, 1) of 100 numbers, N(0, 0.02) weights, batch norm in both
players, no biases, 64 channels next to the image, batches of 64, Adam 2e-4 (.5, .999), BCE, the
fakes of the discriminator's update detached and used again for the generator's; float32.
"""

import torch
from torch import Tensor, nn

from facegan.data import to_float

LATENTS, CHANNELS, BATCH = 100, 64, 64


def generator() -> nn.Sequential:
    """(N, 100, 1, 1) → (N, 3, 32, 32) in [-1, 1]."""
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(LATENTS, 4 * CHANNELS, 4, 1, 0, bias=False),
        nn.BatchNorm2d(4 * CHANNELS),
        nn.ReLU(True),
    ]
    for wide in (4 * CHANNELS, 2 * CHANNELS):
        layers += [
            nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide // 2),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(CHANNELS, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    """(N, 3, 32, 32) → (N, 1, 1, 1) in (0, 1)."""
    layers: list[nn.Module] = [nn.Conv2d(3, CHANNELS, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for narrow in (CHANNELS, 2 * CHANNELS):
        layers += [
            nn.Conv2d(narrow, 2 * narrow, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * narrow),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(4 * CHANNELS, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def initialise(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, N(1, 0.02) for batch norm's gains."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class StandardLoop:
    """The example's step on uint8 images (N, 3, 32, 32) in memory; ``step()`` trains on one batch.

    Its own loader decodes files; images in memory spare it that, to its advantage.
    """

    batch_size = BATCH

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.generator, self.discriminator = generator(), discriminator()
        self.generator.apply(initialise)
        self.discriminator.apply(initialise)
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.of_generator = torch.optim.Adam(self.generator.parameters(), **adam)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.bce = nn.BCELoss()
        self.order = torch.empty(0, dtype=torch.long)

    def latents(self, count: int = BATCH) -> Tensor:
        return torch.randn(count, LATENTS, 1, 1)

    def next_reals(self) -> Tensor:
        """A shuffled batch, epoch by epoch."""
        if len(self.order) < BATCH:
            self.order = torch.randperm(len(self.images))
        taken, self.order = self.order[:BATCH], self.order[BATCH:]
        return to_float(self.images[taken])

    def judge(self, images: Tensor, target: float) -> Tensor:
        chances = self.discriminator(images).flatten()
        return self.bce(chances, torch.full_like(chances, target))

    def step(self) -> None:
        self.of_discriminator.zero_grad()
        self.judge(self.next_reals(), 1.0).backward()
        fakes = self.generator(self.latents())
        self.judge(fakes.detach(), 0.0).backward()
        self.of_discriminator.step()
        self.of_generator.zero_grad()
        self.judge(fakes, 1.0).backward()
        self.of_generator.step()
