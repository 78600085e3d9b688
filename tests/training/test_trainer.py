"""The trainer's guarantees, compared bit by bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from bits import assert_same, weights
from torch import Tensor, nn

from facegan.data import ImageFolderDataset
from facegan.errors import ConfigError, TrainingDiverged
from facegan.gans import Adam, Batch, Family, Gan, Phase, Preset, Terms
from facegan.training import Trainer, TrainingConfig
from facegan.training.ema import MovingAverage

Build = Callable[..., Gan]
CONFIG = TrainingConfig(total_kimg=0.08, batch_size=8, precision="fp32", tick_kimg=0.04)


def test_two_runs_with_one_seed_end_with_the_same_bits(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    trainers = [Trainer(tiny_gan(family), dataset, CONFIG) for _ in range(2)]
    for trainer in trainers:
        trainer.run()
    assert_same(*map(weights, trainers))


@pytest.mark.parametrize(
    ("family", "policy", "probability"),
    [
        ("dcgan", "color,translation,cutout", 0.5),
        ("dcgan", "blit,geom,recolor,cutout", "adaptive"),
        ("stylegan2", "blit,geom,recolor", "adaptive"),
        ("r3gan", "blit,geom,recolor:0.5,cutout", "scheduled"),
        ("pix2pix", "blit,geom,color,cutout", "adaptive"),
        ("cyclegan", "blit,recolor", 0.5),
    ],
)
def test_a_resumed_run_with_augmentation_ends_with_the_same_bits(
    family: str, policy: str, probability: float | str, tiny_gan: Build,
    dataset: ImageFolderDataset,
) -> None:  # fmt: skip
    settings = {"augment": policy, "augment_probability": probability}
    if probability == "adaptive":
        settings |= {"augment_target": -0.99, "augment_speed_kimg": 0.05}
    config = CONFIG.model_copy(update=settings)
    whole, first, second = (Trainer(tiny_gan(family), dataset, config) for _ in range(3))
    plain = Trainer(tiny_gan(family), dataset, CONFIG)
    whole.run(), plain.run()
    for _ in range(6):  # an adaptive probability moves after the 4th and the 8th
        first.step()
    second.load_state(*first.state())
    second.run()
    assert_same(weights(whole), weights(second))
    assert whole.augment_probability.probability > 0
    changed = [key for key in weights(plain) if key.startswith("player.discriminator")]
    assert any(not torch.equal(weights(whole)[key], weights(plain)[key]) for key in changed)


def test_another_seed_gives_other_weights(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    one = Trainer(tiny_gan(), dataset, CONFIG)
    two = Trainer(tiny_gan(), dataset, CONFIG.model_copy(update={"seed": 1}))
    one.run(), two.run()
    key = "player.generator/project.weight"
    assert not torch.equal(weights(one)[key], weights(two)[key])


def test_a_resumed_run_ends_with_the_same_bits(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    whole = Trainer(tiny_gan(family), dataset, CONFIG)
    whole.run()
    first = Trainer(tiny_gan(family), dataset, CONFIG)
    for _ in range(4):
        first.step()
    second = Trainer(tiny_gan(family), dataset, CONFIG)
    second.load_state(*first.state())
    second.run()
    assert_same(weights(whole), weights(second))


def test_training_changes_every_player_and_the_average_follows(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    trainer = Trainer(tiny_gan(family), dataset, CONFIG)
    before = weights(trainer)
    trainer.run()
    after = weights(trainer)
    for name in trainer.gan.players:
        changed = [k for k in before if k.startswith(f"player.{name}/")]
        assert any(not torch.equal(before[k], after[k]) for k in changed)
    assert trainer.gan.generator_ema is not trainer.gan.players[trainer.gan.family.generators[0]]


def test_a_phase_changes_only_its_player(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    phase = next(p for p in trainer.phases if "discriminator" in p.players)
    batch = trainer.next_batch(0)
    batch["fakes"] = batch["reals"].flip(0)
    before = [p.clone() for p in trainer.gan.players["generator"].parameters()]
    trainer.update(phase, batch)
    after = trainer.gan.players["generator"].parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_images_are_counted_in_whole_batches(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    trainer = Trainer(tiny_gan(), dataset, CONFIG.model_copy(update={"total_kimg": 0.03}))
    trainer.run()
    assert trainer.images_seen == 32


def test_ticks_come_when_due_with_their_metrics(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    seen: list[dict[str, float]] = []
    Trainer(tiny_gan(), dataset, CONFIG, on_tick=lambda _, f: seen.append(dict(f))).run()
    assert [f["kimg"] for f in seen] == [0.04, 0.08]
    assert all(f["images_per_second"] > 0 and 0 < f["wait_share"] < 1 for f in seen)
    assert {"generator", "reals", "fakes"} <= seen[0].keys()


def test_stopping_ends_the_step_and_keeps_the_sums_of_the_tick(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    """A run stopped after every step has the same ticks as an uninterrupted one."""
    whole: list[dict[str, float]] = []
    parts: list[dict[str, float]] = []
    Trainer(tiny_gan(family), dataset, CONFIG, on_tick=lambda t, f: whole.append(dict(f))).run()
    state, steps = None, 0
    while state is None or state[1]["images_seen"] < 80:
        trainer = Trainer(tiny_gan(family), dataset, CONFIG)
        if state:
            trainer.load_state(*state)
        trainer.on_tick = lambda t, f: parts.append(dict(f))
        trainer.on_step = lambda t: t.stop()
        trainer.run()
        state, steps = trainer.state(), steps + 1
    assert steps == 10
    for one, two in zip(whole, parts, strict=True):
        for measured in ("images_per_second", "wait_share"):
            assert one.pop(measured) > 0 and two.pop(measured) > 0
        assert one == two


def test_minutes_end_a_run_too(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    config = CONFIG.model_copy(update={"max_minutes": 1e-9})
    trainer = Trainer(tiny_gan(), dataset, config)
    trainer.run()
    assert trainer.images_seen == 8 and trainer.is_finished


def test_data_of_another_shape_is_refused(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    gan = tiny_gan()
    gan.image_shape = (3, 64, 64)
    with pytest.raises(ConfigError, match=r"\(3, 32, 32\).*\(3, 64, 64\)"):
        Trainer(gan, dataset, CONFIG)


def test_a_nan_term_stops_the_run_and_is_named(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    with torch.no_grad():
        next(trainer.gan.players["discriminator"].parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"'(reals|fakes|generator)' is nan at 0\.0 kimg"):
        trainer.run()


def test_an_unknown_device_is_refused(tiny_gan: Build, dataset: ImageFolderDataset) -> None:
    with pytest.raises(ConfigError, match="'gpu' cannot be used"):
        Trainer(tiny_gan(), dataset, CONFIG.model_copy(update={"device": "gpu"}))


class NoisyNetwork(nn.Conv2d):
    """Draws noise from torch's global generator, as StyleGAN's does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn_like(x)


def test_networks_random_numbers_follow_the_step_and_restore_the_global_state(
    dataset: ImageFolderDataset,
) -> None:
    """So that a resumed run with noise is bit-identical too."""
    found = []
    for disturbance in (1, 2):
        family = TinyCycle()
        torch.manual_seed(0)
        players: dict[str, nn.Module] = {n: NoisyNetwork(3, 3, 1) for n in family.generators}
        gan = Gan(family, "tiny", family.presets["tiny"], (3, 32, 32), players)
        torch.manual_seed(disturbance)
        expected = torch.get_rng_state()
        trainer = Trainer(gan, dataset, TrainingConfig(tick_kimg=0.004))
        trainer.run()
        assert torch.equal(expected, torch.get_rng_state())
        found.append(weights(trainer))
    assert_same(*found)


def test_the_average_halves_its_distance_in_a_half_life() -> None:
    """After 1,000 images with a half-life of 1 kimg, half of the old value is left."""
    player = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(player.weight)
    average = MovingAverage(player, half_life_kimg=1.0)
    nn.init.ones_(player.weight)
    for step in range(10):
        average.update(player, 100, images_seen=100 * step)
    assert next(average.module.parameters()).item() == pytest.approx(0.5)


# --- a family of two generators needs no special case -------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CyclePreset(Preset):
    recipe: dict[str, Any] = field(
        default_factory=lambda: {"batch_size": 4, "total_kimg": 0.04, "ema_half_life_kimg": 0.01}
    )


class TinyCycle(Family):
    """Two generators that must undo each other (CycleGAN's cycle loss, arXiv:1703.10593)."""

    name, paper = "tinycycle", "a test"
    presets = {"tiny": CyclePreset()}
    generators = ("there", "back")
    discriminators = ()

    def build_players(self, preset: Preset, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {name: nn.Conv2d(3, 3, 1) for name in self.generators}

    def build_generator(self, preset: Preset, image_shape: tuple[int, ...]) -> nn.Module:
        return nn.Conv2d(3, 3, 1)

    def optimizers(self, preset: Preset, kimg: float = 0.0) -> dict[str, Adam]:
        return {name: Adam(0.1, 0.5, 0.9) for name in self.generators}

    def phases(self, preset: Preset) -> tuple[Phase, ...]:
        def loss(gan: Gan, batch: Batch) -> Terms:
            there, back = gan.players["there"], gan.players["back"]
            return {"cycle": (back(there(batch["reals"])) - batch["reals"]).abs().mean()}

        return tuple(Phase((name,), loss) for name in self.generators)

    def sample_latents(self, preset: Preset, count: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(count, 1)


def test_a_family_of_two_generators_trains_in_the_same_loop(dataset: ImageFolderDataset) -> None:
    torch.manual_seed(0)
    family = TinyCycle()
    players = family.build_players(None, (3, 32, 32))
    gan = Gan(family, "tiny", family.presets["tiny"], (3, 32, 32), players)
    seen: list[float] = []
    Trainer(
        gan, dataset, TrainingConfig(tick_kimg=0.004), on_tick=lambda t, f: seen.append(f["cycle"])
    ).run()
    assert seen[-1] < seen[0] / 2
    assert set(gan.averages) == {"there", "back"}


class ScheduledCycle(TinyCycle):
    """Learning rates fall to 0 and the half-life shrinks over the first 0.02 kimg."""

    def optimizers(self, preset: Preset, kimg: float = 0.0) -> dict[str, Adam]:
        rate = 0.1 * max(0.0, 1 - kimg / 0.02)
        return {name: Adam(rate, 0.5, 0.9) for name in self.generators}

    def ema_half_life_kimg(self, preset: Preset, kimg: float) -> float:
        return 0.001 * (1 + kimg)


def test_rates_and_half_lives_follow_the_familys_schedule(dataset: ImageFolderDataset) -> None:
    family = ScheduledCycle()
    players = family.build_players(None, (3, 32, 32))
    gan = Gan(family, "tiny", family.presets["tiny"], (3, 32, 32), players)
    trainer = Trainer(gan, dataset)
    rates, before = [], {}
    while not trainer.is_finished:
        trainer.step()
        rates.append(trainer.optimizers["there"].param_groups[0]["lr"])
        if trainer.images_seen == 24:
            before = weights(trainer)
    assert rates[:2] == [0.1, pytest.approx(0.08)] and rates[-1] == 0.0
    assert torch.equal(before["player.there/weight"], weights(trainer)["player.there/weight"])
    assert trainer.averages["there"].half_life_images == pytest.approx(1.036)
