"""Estimates how long a training step takes on a processor, before hours are spent to find out."""

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from facegan.gans import build_gan

# Forward and backward of both players, as multiples of one forward of each: two of the generator's,
# three of the discriminator's, each three times as dear with its gradients. Presets with lazy
# regularisation take more. Of a large product's speed, networks reach a bit under a half.
PASSES, EFFICIENCY = 9, 0.45
SIDE = 1024  # of the matrices that the processor's speed is measured by
WORTH_COUNTING = 1e12  # parameters x images x pixels of a step; below that it takes a second or two


def step_seconds(trainer: Any) -> float:
    """Estimate a step's seconds on a processor; 0 for small steps, and on GPUs.

    It took within a factor of two what was estimated for DCGANs of 32 to 256 px.
    """
    gan, batch = trainer.gan, trainer.batch_size // trainer.group.size
    parameters = sum(p.numel() for player in gan.players.values() for p in player.parameters())
    if (
        trainer.device.type != "cpu"
        or parameters * batch * gan.image_shape[-1] ** 2 < WORTH_COUNTING
    ):
        return 0.0
    speed = EFFICIENCY * flops_per_second(trainer.dtype)
    return float(PASSES * batch * flops_per_image(gan) / speed)


def flops_per_image(gan: Any) -> float:
    """Count the operations of one image through both players, on networks without weights."""
    rows = 2
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        copy = build_gan(
            gan.family.name,
            gan.preset_name,
            gan.image_shape,
            classes=gan.classes,
            **gan.preset.as_dict(),
        )
        labels = [torch.zeros(rows, dtype=torch.int64)] if gan.classes else []
        images = copy.players[gan.family.generators[0]](
            torch.empty(rows, gan.preset.latent_dim), *labels
        )
        copy.players[gan.family.discriminators[0]](images, *labels)
    return float(counter.get_total_flops()) / rows


def flops_per_second(dtype: torch.dtype) -> float:
    """Measure this processor by a large product of matrices, in some hundredths of a second."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        best = min(best, time.perf_counter() - start)
    return float(2 * SIDE**3 / best)
