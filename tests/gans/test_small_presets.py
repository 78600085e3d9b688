"""Every family's `toy32` trains at 16, 32 and 64 px, and its schedules end with its run."""

import pytest
import torch
from example_data import MAP_CLASSES, Rows, network_inputs, random_companions

from facegan.gans import FAMILIES, build_gan
from facegan.training import Trainer, TrainingConfig


def noise(side: int) -> Rows:
    """Return a data set of eight random images, with companions."""
    companions = random_companions(8, side)
    images = companions["paired"]
    images.companions = companions
    return images


@pytest.mark.parametrize("side", [16, 32, 64])
def test_it_trains_a_step_and_generates(family: str, side: int) -> None:
    gan = build_gan(family, "toy32", (3, side, side), seed=0, map_classes=MAP_CLASSES)
    before = {name: [p.clone() for p in one.parameters()] for name, one in gan.players.items()}
    trainer = Trainer(gan, noise(side), TrainingConfig(batch_size=4))
    trainer.step()
    for name, player in gan.players.items():
        changed = [
            not torch.equal(p, q) for p, q in zip(player.parameters(), before[name], strict=True)
        ]
        assert any(changed), name
        assert all(p.isfinite().all() for p in player.parameters()), name
    images = gan.generator_ema.eval()(*network_inputs(gan, 2))
    assert images.shape == (2, 3, side, side)
    assert images.isfinite().all()


def test_its_networks_stay_small(family: str) -> None:
    """A wide network sees too few images in minutes on a CPU."""
    gan = build_gan(family, "toy32", (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    for name, player in gan.players.items():
        assert sum(p.numel() for p in player.parameters()) < 1.2e6, name


def test_r3gans_schedules_end_with_the_run() -> None:
    preset = FAMILIES["r3gan"].presets["toy32"]
    assert preset.schedule_kimg == preset.recipe["total_kimg"]
    end = preset.recipe["total_kimg"]
    assert preset.ema_half_life(end) == preset.recipe["ema_half_life_kimg"]
    assert preset.learning_rate(end) < preset.learning_rate(0)
