"""The augmentation probability: a number, the family's schedule, or adaptive."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from facegan.data import ImageFolderDataset
from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Gan
from facegan.training import Trainer, TrainingConfig
from facegan.training.augment import AugmentProbability

Build = Callable[..., Gan]
BATCH = 8


def adaptive(gan: Gan, speed_kimg: float = 0.32) -> AugmentProbability:
    return AugmentProbability(gan, "adaptive", 0.6, speed_kimg, torch.device("cpu"))


def batch_of(reals_right: int) -> dict[str, Tensor]:
    """Return logits of eight reals, of which some are right, and of fakes that are all right."""
    logits = torch.tensor([0.1] * reals_right + [-3.0] * (BATCH - reals_right))
    return {
        "reals": torch.zeros(BATCH, 1),
        "real_logits": logits,
        "fake_logits": -torch.ones(BATCH),
    }


def follow(controller: AugmentProbability, reals_right: list[int]) -> list[float]:
    """Return p after each step."""
    found = []
    for step, right in enumerate(reals_right):
        controller.update(batch_of(right), step)
        found.append(round(controller.probability.item(), 4))
    return found


def test_p_moves_every_fourth_step_by_its_images(tiny_gan: Build) -> None:
    """Four batches of 8 at 0.32 kimg from 0 to 1: a tenth at a time."""
    assert follow(adaptive(tiny_gan()), [8] * 9) == [0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2]


def test_p_follows_the_mean_sign_of_four_steps(tiny_gan: Build) -> None:
    """7 of 8 right: 0.75 > 0.6. 6 of 8: 0.5 < 0.6. 7, 7, 7, 5 of 8: 0.625. 7, 7, 6, 5: 0.5625."""
    steps = [7] * 8 + [6] * 4 + [7, 7, 7, 5] + [7, 7, 6, 5]
    assert follow(adaptive(tiny_gan()), steps)[3::4] == [0.1, 0.2, 0.1, 0.2, 0.1]


def test_p_stays_between_0_and_1(tiny_gan: Build) -> None:
    controller = adaptive(tiny_gan(), speed_kimg=0.05)
    assert follow(controller, [8] * 12)[3::4] == [0.64, 1.0, 1.0]
    assert follow(controller, [0] * 12)[3::4] == [0.36, 0.0, 0.0]


def test_the_figures_are_signs_and_p(tiny_gan: Build) -> None:
    figures = adaptive(tiny_gan()).update(batch_of(6), 0)
    assert {name: value.item() for name, value in figures.items()} == {
        "real_sign": 0.5,
        "fake_sign": -1.0,
        "augment_p": 0.0,
    }


def test_every_family_records_its_logits(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    figures: dict[str, float] = {}
    config = TrainingConfig(total_kimg=0.016, batch_size=8, tick_kimg=0.016)
    Trainer(tiny_gan(family), dataset, config, on_tick=lambda _, f: figures.update(f)).run()
    assert -1 <= figures["fake_sign"] <= 1 and -1 <= figures["real_sign"] <= 1
    assert "augment_p" not in figures


def test_relativistic_signs_compare_reals_with_fakes(tiny_gan: Build) -> None:
    """Relativistic logits have no zero; both signs measure how often a pair is ranked right."""
    gan = tiny_gan("r3gan")
    generator = torch.Generator().manual_seed(0)
    batch = {"reals": torch.rand(8, 3, 32, 32), "latents": torch.randn(8, 16),
             "generator": generator, "kimg": 0.0}  # fmt: skip
    next(p for p in gan.family.phases(gan.preset) if "discriminator" in p.players).loss(gan, batch)
    assert torch.equal(batch["real_logits"], -batch["fake_logits"])
    assert not batch["real_logits"].requires_grad


@pytest.mark.parametrize(
    ("preset", "half", "end"),
    [("paper32", 0.275, 0.55), ("faces32", 0.15, 0.3), ("paper64", 0.15, 0.3),
     ("paper256", 0.15, 0.3)],
)  # fmt: skip
def test_r3gans_schedule_is_half_a_cosine(preset: str, half: float, end: float) -> None:
    family = FAMILIES["r3gan"]
    numbers = family.presets[preset]
    assert numbers.recipe["augment_probability"] == "scheduled"
    found = [family.augment_probability(numbers, kimg) for kimg in (0, 10_000, 20_000, 50_000)]
    assert found == pytest.approx([0, half, end, end])


def test_a_scheduled_p_follows_the_run(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    config = TrainingConfig(total_kimg=0.016, batch_size=8, tick_kimg=0.016, augment="cutout",
                            augment_probability="scheduled")  # fmt: skip
    gan = tiny_gan("r3gan")
    figures: dict[str, float] = {}
    trainer = Trainer(gan, dataset, config, on_tick=lambda _, f: figures.update(f))
    trainer.run()
    expected = [gan.preset.augment_probability(kimg) for kimg in (0.0, 0.008)]
    assert figures["augment_p"] == pytest.approx(sum(expected) / 2)
    assert trainer.augment_probability.probability.item() == pytest.approx(expected[1])


@pytest.mark.parametrize("preset", ["paper32", "paper256"])
def test_stylegan2s_papers_presets_adapt(preset: str) -> None:
    recipe = FAMILIES["stylegan2"].presets[preset].recipe
    config = TrainingConfig().completed_by(FAMILIES["stylegan2"].presets[preset])
    assert (config.augment, config.augment_probability) == ("blit,geom,recolor", "adaptive")
    assert (config.augment_target, config.augment_speed_kimg) == (0.6, 500.0)
    assert recipe["augment"] == config.augment


def test_a_setting_overrides_the_recipe() -> None:
    preset = FAMILIES["r3gan"].presets["paper32"]
    assert TrainingConfig(augment="none").completed_by(preset).augment == "none"
    requested = TrainingConfig.from_hyperparameters({"augment_probability": "0.25"})
    assert requested.completed_by(preset).augment_probability == 0.25


def test_a_schedule_that_the_family_lacks_is_refused(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    config = TrainingConfig(augment="cutout", augment_probability="scheduled")
    with pytest.raises(ConfigError, match=r"dcgan has no schedule.*number from 0 to 1"):
        Trainer(tiny_gan("dcgan"), dataset, config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment_probability": "often"}, "'often'.*0 to 1, adaptive or scheduled"),
        ({"augment_probability": "1.5"}, "'1.5'.*0 to 1"),
        ({"augment_probability": "nan"}, "'nan'.*0 to 1"),
        ({"augment": "flip"}, "unknown operation 'flip'"),
        ({"augment_target": "1"}, "augment_target is '1'"),
        ({"augment_speed_kimg": "0"}, "augment_speed_kimg is '0'"),
        ({"augment_probability": "adaptive"}, "augment_probability .* nothing is augmented"),
        ({"augment": "none", "augment_target": "0.5"}, "augment_target .* nothing is augmented"),
        ({"augment": "blit", "augment_target": "0.5"}, "augment_target .* not adaptive"),
        ({"augment": "blit", "augment_probability": "0.5", "augment_speed_kimg": "9"},
         "augment_speed_kimg .* not adaptive"),
    ],
)  # fmt: skip
def test_invalid_and_unused_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.from_hyperparameters(values).completed_by(FAMILIES["dcgan"].presets["tiny"])
