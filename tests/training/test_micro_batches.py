"""Micro-batches give the result of the whole batch; those that would not are refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from bits import assert_same, weights
from example_data import MAP_CLASSES, random_companions
from hypothesis import given
from hypothesis import strategies as st
from shared_run import in_float64
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset
from facegan.errors import ConfigError, RunError
from facegan.gans import FAMILIES, Adam, Batch, Family, Gan, Phase, Preset, Terms, build_gan
from facegan.gans.batch_split import check_batch, check_micro_batch, micro_batch_sizes
from facegan.gans.image_pool import ImagePool
from facegan.training import Trainer, TrainingConfig, micro_batch_search
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.micro_batch_search import fits, largest_that_fits
from facegan.training.micro_batches import check_no_batch_norm

CONFIG = TrainingConfig(total_kimg=0.04, batch_size=8, precision="fp32", device="cpu")
AUGMENT = {
    "augment": "blit,geom,recolor,color,translation,cutout",
    "augment_probability": "adaptive",
    "augment_target": -0.99,
    "augment_speed_kimg": 0.05,
    "mirror": True,
}
LAZY = {"path_length_interval": 2, "r1_interval": 2}


class Noise:
    """Sixteen images of noise in two classes."""

    image_shape, digest = (3, 16, 16), "noise"
    images = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))  # fmt: skip
    labels, classes = torch.arange(16) % 2, {"even": 8, "odd": 8}
    companions = random_companions(16, 16)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        return self.images[indices]


def trainer_of(family: str, preset: str, micro_batch: int | str | None, **settings: Any) -> Trainer:
    """Return a small run's trainer; the settings are the trainer's or the preset's."""
    mine = {
        name: settings.pop(name) for name in list(settings) if name in TrainingConfig.model_fields
    }
    kinds = {"classes": Noise.classes, "map_classes": MAP_CLASSES}
    gan = build_gan(family, preset, (3, 16, 16), seed=0, **kinds, **settings)
    return Trainer(gan, Noise(), CONFIG.model_copy(update={**mine, "micro_batch": micro_batch}))


def state_after(trainer: Trainer, steps: int = 5) -> dict[str, Tensor]:
    for _ in range(steps):
        trainer.step()
    return weights(trainer)


@pytest.mark.parametrize(
    ("family", "preset", "micro_batch", "settings"),
    [
        ("r3gan", "tiny", 1, {"batch_size": 4}),
        ("r3gan", "tiny-conditional", 2, AUGMENT),
        ("r3gan", "tiny", 4, {"augment": "blit,cutout", "augment_probability": "scheduled"}),
        ("stylegan2", "tiny", 4, LAZY),
        ("stylegan2", "tiny-conditional", 4, LAZY | AUGMENT),
        ("stylegan2", "tiny-conditional", 2, LAZY | {"minibatch_stddev_group": 2}),
        ("stylegan2", "tiny", 1, {"minibatch_stddev_group": 1, "path_length_weight": 0}),
        ("pix2pix", "tiny", 2, {"norm": "own", "halvings": 3, "batch_size": 4}),
        ("pix2pix", "tiny-maps", 4, {"norm": "instance", "halvings": 3, **AUGMENT}),
        ("cyclegan", "tiny", 2, {"pool_size": 0, **AUGMENT}),
    ],
)
def test_micro_batches_change_nothing_but_the_last_bits(
    family: str, preset: str, micro_batch: int, settings: dict[str, Any]
) -> None:
    """Weights, averages, moments, running means, logits and loss terms, in double precision."""
    with in_float64():
        one, many = (
            state_after(trainer_of(family, preset, size, **settings))
            for size in (None, micro_batch)
        )
    assert one.keys() == many.keys()
    for name, value in one.items():
        torch.testing.assert_close(many[name], value, rtol=1e-9, atol=1e-12, msg=name)
    if "adaptive" in settings.values():
        assert one["augment/probability"] > 0


def test_in_float32_they_differ_by_rounding_only() -> None:
    one, many = (state_after(trainer_of("r3gan", "tiny", size), 1) for size in (None, 2))
    for name, value in one.items():
        if name.endswith("exp_avg_sq"):  # the squared gradients, before Adam divides by them
            torch.testing.assert_close(many[name], value, rtol=1e-3, atol=1e-9, msg=name)


def test_the_whole_batch_as_one_micro_batch_is_one_pass_to_the_bit() -> None:
    one, same = (state_after(trainer_of("r3gan", "tiny", size), 2) for size in (None, 8))
    assert_same(one, same)


@pytest.mark.parametrize(("family", "settings"), [("r3gan", {}), ("stylegan2", LAZY)])
def test_a_resumed_run_ends_with_the_same_bits(family: str, settings: dict[str, Any]) -> None:
    whole, first, second = (
        trainer_of(family, "tiny-conditional", 4, **settings, **AUGMENT) for _ in range(3)
    )
    state_after(whole, 5), state_after(first, 4)
    second.load_state(*first.state())
    second.step()
    assert_same(weights(whole), weights(second))


# --- auto ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "room", "found", "tries"),
    [
        ([16, 8, 4, 2, 1], 16, 16, [16]),
        ([16, 8, 4, 2, 1], 5, 4, [16, 8, 4]),
        ([24, 12, 8, 6, 4, 3, 2, 1], 8, 6, [24, 12, 6]),
        ([12, 8, 4], 5, 4, [12, 4]),
        ([9, 6, 3], 2, None, [9, 3]),
        ([6, 4], 4, 4, [6, 4]),  # no size is half of another
    ],
)
def test_the_search_halves_until_something_fits(
    sizes: list[int], room: int, found: int | None, tries: list[int]
) -> None:
    tried: list[int] = []

    def has_room(size: int) -> bool:
        tried.append(size)
        return size <= room

    assert largest_that_fits(sizes, has_room) == found
    assert tried == tries


def test_on_a_cpu_auto_takes_the_whole_batch_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        trainer = trainer_of("r3gan", "tiny", "auto")
    assert trainer.micro_batch == 8
    assert "on a CPU" in caplog.text and "8 images" in caplog.text


class TwoGpus(ProcessGroup):
    """A group whose other process has a GPU for two images."""

    def sync_stop(self, stop: bool, seconds: float) -> tuple[bool, float]:
        return stop or self.tried[-1] > 2, seconds

    tried: ClassVar[list[int]] = []


@pytest.mark.parametrize(("own", "found"), [(4, 2), (1, 1), (0, None)])
def test_all_processes_take_the_size_that_fits_every_gpu(
    own: int, found: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of("r3gan", "tiny", None)
    trainer.device, trainer.group = torch.device("cuda"), TwoGpus()

    def has_room(trainer: Trainer, size: int) -> bool:
        TwoGpus.tried.append(size)
        return size <= own

    monkeypatch.setattr(micro_batch_search, "fits", has_room)
    if found:
        assert micro_batch_search.find_micro_batch(trainer) == found
    else:
        with pytest.raises(RunError, match="not even 1 of the 8 images of a step at once"):
            micro_batch_search.find_micro_batch(trainer)


@pytest.mark.parametrize("is_enough", [True, False])
def test_a_try_changes_nothing_of_the_run(is_enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, running means, random numbers; whether memory runs out or not."""
    trainer = trainer_of("stylegan2", "tiny-conditional", None, **LAZY, **AUGMENT)
    state_after(trainer, 1)
    before, numbers = weights(trainer), torch.get_rng_state()
    compute, calls = trainer.compute, []

    def computes(phase: Phase, batch: Batch) -> Terms:
        calls.append(len(batch["reals"]))
        if not is_enough and len(calls) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(phase, batch)

    monkeypatch.setattr(trainer, "compute", computes)
    assert fits(trainer, 4) is is_enough
    assert set(calls) == {4} and len(calls) == (10 if is_enough else 5)
    monkeypatch.undo()
    assert_same(before, weights(trainer))
    assert torch.equal(numbers, torch.get_rng_state())
    untouched = trainer_of("stylegan2", "tiny-conditional", None, **LAZY, **AUGMENT)
    assert_same(state_after(trainer, 1), state_after(untouched, 2))


def test_other_errors_of_a_try_are_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = trainer_of("r3gan", "tiny", None)
    monkeypatch.setattr(trainer, "compute", lambda phase, batch: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        fits(trainer, 4)


def test_the_found_size_is_kept_on_resume(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A second search would find another size, as on another GPU."""
    words = ["train", "--data", str(images_dir), "--out", str(tmp_path / "run"), "--family",
             "r3gan", "--preset", "tiny", "--micro-batch", "auto"]  # fmt: skip
    monkeypatch.setattr("facegan.training.trainer.find_micro_batch", lambda trainer: 4)
    assert run_safely(facegan, [*words, "--total-kimg", "0.032"]) == 0
    assert "Micro-batches: 4 of 4 images per step" in capsys.readouterr().out
    monkeypatch.setattr("facegan.training.trainer.find_micro_batch", lambda trainer: 8)
    resume = ["train", "--out", str(tmp_path / "run"), "--resume", "--total-kimg"]
    assert run_safely(facegan, [*resume, "0.048"]) == 0
    assert "Micro-batches: 4 of 4 images per step" in capsys.readouterr().out
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["training"]["images_at_once"] == 4 and facts["plan"]["micro_batch"] == "auto"
    assert run_safely(facegan, [*resume, "0.064", "--micro-batch", "8"]) == 0
    assert "Micro-batches: 2 of 8 images per step" in capsys.readouterr().out


# --- other families -----------------------------------------------------------------------------


class Sharing(Family):
    """A family whose fakes serve two phases, with spectral norm."""

    name, paper = "sharing", ""
    presets = {"tiny": Preset(latent_dim=4)}
    default_presets = {16: "tiny"}

    def build_players(self, preset: Preset, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        judge = nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(3 * 16 * 16, 8)),
                              nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))  # fmt: skip
        return {"generator": self.build_generator(preset, image_shape), "discriminator": judge}

    def build_generator(self, preset: Preset, image_shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 3 * 16 * 16), nn.Unflatten(1, (3, 16, 16)))

    def optimizers(self, preset: Preset, kimg: float = 0.0) -> dict[str, Adam]:
        return dict.fromkeys(("generator", "discriminator"), Adam(1e-3, 0.0, 0.9))

    def phases(self, preset: Preset) -> tuple[Phase, ...]:
        def generator(gan: Gan, batch: Batch) -> Terms:
            fakes = gan.players["generator"](batch["latents"])
            batch["fakes"] = fakes.detach()
            return {"generator": -gan.players["discriminator"](fakes).mean()}

        def discriminator(gan: Gan, batch: Batch) -> Terms:
            judge = gan.players["discriminator"]
            return {"gap": judge(batch["fakes"]).mean() - judge(batch["reals"]).mean()}

        return Phase(("generator",), generator), Phase(("discriminator",), discriminator)

    def sample_latents(self, preset: Preset, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, 4, generator=generator)


@pytest.mark.parametrize("micro_batch", [4, 1])
def test_shared_fakes_and_changed_buffers_are_those_of_the_whole_batch(micro_batch: int) -> None:
    found = []
    with in_float64():
        for size in (None, micro_batch):
            family = Sharing()
            torch.manual_seed(0)
            players = family.build_players(family.presets["tiny"], (3, 16, 16))
            gan = Gan(family, "tiny", family.presets["tiny"], (3, 16, 16), players)
            config = CONFIG.model_copy(update={"micro_batch": size, "ema_half_life_kimg": 0.0})
            found.append(state_after(Trainer(gan, Noise(), config)))
    assert any("_u" in name for name in found[0])
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-9, atol=1e-12, msg=name)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--family", "r3gan", "--micro-batch", "6"], "does not divide the batch of 16 images. Set "
         "--micro-batch to 4 or 8"),
        (["--family", "r3gan", "--micro-batch", "32"], "more than the batch of 16 images. Set "
         "--micro-batch to 16"),
        (["--family", "stylegan2", "--micro-batch", "2"], "splits the groups of 4 images that "
         "stylegan2 needs whole. Set --micro-batch to 4"),
        (["--family", "dcgan", "--micro-batch", "8"], "dcgan cannot train in micro-batches: its "
         "batch norm"),
        (["--family", "dcgan", "--micro-batch", "auto"], "its batch norm"),
        (["--family", "r3gan", "--micro-batch", "some"], "--micro-batch is 'some'. It must be a "
         "number of images, or auto."),
        (["--family", "r3gan", "--micro-batch", "0"], "It must be a number of images"),
        (["--family", "r3gan", "--micro-batch", "2.5"], "It must be a number of images"),
        (["--family", "r3gan", "--micro-batch", "16", "--processes", "2"], "more than the 8 images "
         "of the batch that each of 2 processes holds. Set --micro-batch to 8"),
        (["--family", "r3gan", "--micro-batch", "4", "--compile", "cuda-graphs"], "CUDA graphs are "
         "recorded for a whole batch"),
        (["--family", "r3gan", "--batch-gpu", "4"], "Did you mean --micro-batch"),
    ],
)  # fmt: skip
def test_inexact_sizes_are_refused_with_exact_ones(
    words: list[str], expected: str, images_dir: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    line = ["train", "--data", str(images_dir), "--out", str(tmp_path / "run"), "--preset", "tiny"]
    assert run_safely(facegan, [*line, *words]) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@given(batch=st.integers(2, 96), processes=st.integers(1, 4), size=st.integers(1, 100))
def test_suggested_sizes_are_accepted(batch: int, processes: int, size: int) -> None:
    for name in ("r3gan", "stylegan2"):
        family, preset = FAMILIES[name], FAMILIES[name].presets["tiny"]
        try:
            check_batch(family, preset, batch, processes)
        except ConfigError:
            continue
        sizes = micro_batch_sizes(family, preset, batch, processes)
        for exact in sizes:
            check_micro_batch(family, preset, batch, processes, exact)
            assert batch // processes % exact == 0
        if size not in sizes:
            with pytest.raises(ConfigError) as refusal:
                check_micro_batch(family, preset, batch, processes, size)
            offered = re.findall(r"\d+", refusal.value.hint)
            assert offered and {int(it) for it in offered} <= set(sizes)


def test_families_declare_batch_norm_as_their_layers_have_it(family: str) -> None:
    """Early errors use the declaration; the layers are checked before training."""
    found = FAMILIES[family]
    for name, preset in found.presets.items():
        with torch.device("meta"):
            classes = {"a": 1, "b": 1}
            shape = (3, side_of(name), side_of(name))
            gan = build_gan(family, name, shape, classes=classes, map_classes=MAP_CLASSES)
        reason = found.needs_whole_batch(preset)
        try:
            check_no_batch_norm(gan)
        except ConfigError:
            assert reason, name
        else:
            assert "batch norm" not in reason, name
            assert bool(reason) is has_state_of_fakes(gan), name


def side_of(preset: str) -> int:
    """Return the side in a preset's name; 32 without one."""
    return int("".join(filter(str.isdigit, preset)) or 32)


def has_state_of_fakes(gan: Gan) -> bool:
    """Return whether a player keeps fakes of earlier steps, the other reason for whole batches."""
    layers = [layer for player in gan.players.values() for layer in player.modules()]
    return any(isinstance(layer, ImagePool) and layer.size for layer in layers)


def test_undeclared_batch_norm_is_found(
    tiny_gan: Callable[..., Gan], dataset: ImageFolderDataset
) -> None:
    gan = tiny_gan("r3gan")
    gan.players["discriminator"].layers.append(nn.SyncBatchNorm(8))
    config = CONFIG.model_copy(update={"micro_batch": 4})
    with pytest.raises(ConfigError, match="the discriminator has batch norm"):
        Trainer(gan, dataset, config)
