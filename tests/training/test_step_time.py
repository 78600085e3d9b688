"""How long a step takes is told before the run, where that is long."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from facegan.gans import build_gan
from facegan.training.messages import warn_of_slow_steps
from facegan.training.step_time import flops_per_image, step_seconds


def trainer_of(family: str, preset: str, side: int, batch: int, device: str = "cpu") -> Any:
    """What the estimate reads of a trainer; the networks have no weights."""
    with torch.device("meta"):
        gan = build_gan(family, preset, (3, side, side))
    return SimpleNamespace(
        gan=gan, batch_size=batch, total_images=1000 * batch, dtype=torch.float32,
        device=torch.device(device), group=SimpleNamespace(size=1),
    )  # fmt: skip


def test_a_step_of_seconds_is_told_with_the_length_of_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn_of_slow_steps(trainer_of("dcgan", "article32", 256, 512))
    told = capsys.readouterr().err
    assert "A step takes about" in told and ("hours" in told or "days" in told)


@pytest.mark.parametrize(("side", "device"), [(32, "cpu"), (256, "cuda")])
def test_quick_steps_are_not_counted(side: int, device: str) -> None:
    assert step_seconds(trainer_of("dcgan", "toy32", side, 32, device)) == 0


def test_operations_grow_with_the_pixels(family: str) -> None:
    """Of any family; four times the pixels are about four times the work."""
    small, large = (flops_per_image(trainer_of(family, "tiny", side, 8).gan) for side in (32, 64))
    assert 1.2 < large / small < 8
