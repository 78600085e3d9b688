"""Estimates the duration of a training step on a CPU before the run starts."""

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from facegan.gans import build_gan

# A step in units of one forward pass of both players: two passes of the generator, three of the
# discriminator, each three times as expensive with its gradients. Presets with lazy regularisation
# take more. Networks reach a little under half of the speed of a large matrix product.
PASSES, EFFICIENCY = 9, 0.45
SIDE = 1024  # of the matrices that measure the CPU's speed
WORTH_COUNTING = 1e12  # parameters x images x pixels of a step; below that it takes a second or two


def step_seconds(trainer: Any) -> float:
    """Estimate a step's seconds on a CPU; 0 for small steps, and on GPUs.

    The estimate was within a factor of two for DCGANs of 32 to 256 px.
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
    """Count the operations of one image through both players, on meta tensors."""
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
    """Measure this CPU's speed with a large matrix product; takes some hundredths of a second."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        best = min(best, time.perf_counter() - start)
    return float(2 * SIDE**3 / best)
