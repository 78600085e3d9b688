"""Estimates the duration of a training step on a CPU before the run starts."""

import time
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from facegan.gans import Batch, Gan, Phase, build_gan
from facegan.gans.example_batch import example_batch

PASSES = 3  # of a phase, in units of its forward pass
EFFICIENCY = 0.35  # of networks, in units of the speed of a large matrix product
ROWS = 8  # images that are counted, as many as a minibatch standard deviation may need
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
    return float(batch * flops_per_image(gan) / speed)


def flops_per_image(gan: Gan) -> float:
    """Count the operations of a step for one image, on tensors without memory.

    A phase takes three forward passes: its own, and two for the gradients. One that is
    differentiated twice counts as two phases of the generator.
    """
    first_order = [phase for phase in gan.family.phases(gan.preset) if not phase.second_order]
    with FakeTensorMode():
        copy = build_gan(
            gan.family.name,
            gan.preset_name,
            gan.image_shape,
            classes=gan.classes,
            map_classes=gan.map_classes,
            **gan.preset.as_dict(),
        )
        for player in copy.players.values():
            player.requires_grad_(False)  # the counter cannot follow gradients here
        batch = example_batch(copy, ROWS)
        passes = {phase: forward_flops(phase, copy, batch) / phase.every for phase in first_order}
    of_generator = next(
        flops for phase, flops in passes.items() if gan.family.generators[0] in phase.players
    )
    twice = sum(
        2 * of_generator / phase.every
        for phase in gan.family.phases(gan.preset)
        if phase.second_order
    )
    return PASSES * (sum(passes.values()) + twice) / ROWS


def forward_flops(phase: Phase, gan: Gan, batch: Batch) -> float:
    """Count the operations of a phase's loss."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        phase.loss(gan, batch)
    return float(counter.get_total_flops())


def flops_per_second(dtype: torch.dtype) -> float:
    """Measure this CPU's speed with a large matrix product; takes some hundredths of a second."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        best = min(best, time.perf_counter() - start)
    return float(2 * SIDE**3 / best)
