"""The duration of slow steps is estimated before a run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from example_data import MAP_CLASSES

from facegan.gans import build_gan
from facegan.training.messages import warn_of_slow_steps
from facegan.training.step_time import flops_per_image, step_seconds


def trainer_of(family: str, preset: str, side: int, batch: int, device: str = "cpu") -> Any:
    """Return the parts of a trainer that the estimate uses, on meta tensors."""
    with torch.device("meta"):
        gan = build_gan(family, preset, (3, side, side), map_classes=MAP_CLASSES)
    return SimpleNamespace(
        gan=gan, batch_size=batch, total_images=1000 * batch, dtype=torch.float32,
        device=torch.device(device), group=SimpleNamespace(size=1),
    )  # fmt: skip


def test_a_slow_step_is_reported_with_the_length_of_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn_of_slow_steps(trainer_of("dcgan", "article32", 256, 512))
    printed = capsys.readouterr().err
    assert "A step takes about" in printed and ("hours" in printed or "days" in printed)


@pytest.mark.parametrize(("side", "device"), [(32, "cpu"), (256, "cuda")])
def test_fast_steps_are_not_measured(side: int, device: str) -> None:
    assert step_seconds(trainer_of("dcgan", "toy32", side, 32, device)) == 0


def test_operations_are_proportional_to_pixels(family: str) -> None:
    """In every family, about."""
    small, large = (flops_per_image(trainer_of(family, "tiny", side, 8).gan) for side in (32, 64))
    assert 1.2 < large / small < 8
