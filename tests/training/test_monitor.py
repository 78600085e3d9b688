"""Training failures are noticed: some stop a run, others are only logged."""

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from facegan.data import ImageFolderDataset
from facegan.errors import TrainingDiverged
from facegan.gans import Gan
from facegan.training import RunFolder, Trainer, TrainingConfig
from facegan.training.checkpoint import list_checkpoints, read_newest
from facegan.training.monitor import SampleDiversity, TrainingMonitor, distance_to_nearest
from facegan.training.progress import ProgressReporter

Build = Callable[..., Gan]
CONFIG = TrainingConfig(total_kimg=0.08, batch_size=8, precision="fp32", tick_kimg=0.016)
HEALTHY = {"kimg": 1.0, "real_sign": 0.8, "fake_sign": -0.8, "variety": 0.7, "augment_p": 0.3}


def warnings_of(*ticks: dict[str, float]) -> list[list[str]]:
    monitor = TrainingMonitor()
    return [monitor.check(HEALTHY | tick) for tick in ticks]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"real_sign": 0.995, "fake_sign": -1.0}, "wins outright.*learning rate.*--augment"),
        ({"variety": 0.02}, r"hardly vary.* 2\.0% .*start again"),
        ({"augment_p": 0.9}, "is 90%.*too few images"),
    ],
)
def test_a_failure_of_three_ticks_is_reported_once_with_advice(
    figures: dict[str, float], said: str
) -> None:
    logged = warnings_of({}, *[figures] * 20)
    assert [len(warnings) for warnings in logged] == [0, 0, 0, 1] + [0] * 17
    assert re.search(said, logged[3][0])


def test_a_passing_failure_is_not_reported() -> None:
    ill = {"variety": 0.02}
    assert not any(warnings_of({}, ill, ill, {}, ill, ill, {}))


@pytest.mark.parametrize(
    "figures", [{"real_sign": 1.0}, {"fake_sign": -1.0}, {"real_sign": 1.0, "fake_sign": 1.0}]
)
def test_being_right_about_one_side_alone_is_not_reported(figures: dict[str, float]) -> None:
    assert not any(warnings_of(*[figures] * 20))


def test_a_slow_start_is_not_reported() -> None:
    """The tiny DCGAN: 0.6% at first, 2% after five ticks, then more."""
    rising = [0.006, 0.007, 0.009, 0.012, 0.018, 0.028, 0.043, 0.063, 0.095, 0.118, 0.1, 0.11]
    assert not any(warnings_of(*[{"variety": value} for value in rising]))


def test_a_start_of_ten_ticks_is_reported() -> None:
    logged = warnings_of(*[{"variety": 0.01}] * 20)
    assert [len(warnings) for warnings in logged] == [0] * 9 + [1] + [0] * 10


def test_families_without_logits_are_monitored_by_their_fakes() -> None:
    monitor = TrainingMonitor()
    logged = [monitor.check({"kimg": 1.0, "variety": value}) for value in (0.5, 0.0, 0.0, 0.0)]
    assert len(logged[-1]) == 1 and "vary" in logged[-1][0]


# --- diversity ----------------------------------------------------------------------------------


class NoiseImages:
    """A data set of different noise images, or of one repeated."""

    image_shape, digest = (3, 8, 8), "noise"

    def __init__(self, count: int, repeated: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        different = 1 if repeated else count
        images = torch.randint(0, 256, (different, 3, 8, 8), generator=generator)
        self.images = images.expand(count, -1, -1, -1).to(torch.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        return self.images[indices]


def test_distance_to_the_nearest_other_image() -> None:
    """Greys 0, 3, 10: the nearest others are 3, 3 and 7 away in each of 12 numbers."""
    greys = torch.tensor([0, 3, 10], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert distance_to_nearest(greys) == pytest.approx(3 * math.sqrt(12))


@pytest.mark.parametrize("images", [1, 4, 16])
def test_repeated_images_do_not_vary(images: int) -> None:
    few = NoiseImages(images).images.repeat(64 // images, 1, 1, 1)
    assert SampleDiversity(NoiseImages(500)).figures(few) == {"variety": 0.0}


@pytest.mark.parametrize("count", [20, 64, 65, 1000])
def test_fakes_as_varied_as_the_data_have_diversity_one(count: int) -> None:
    fakes = NoiseImages(64).images.flip(3)
    assert SampleDiversity(NoiseImages(count)).figures(fakes)["variety"] == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize("dataset", [NoiseImages(1), NoiseImages(9, repeated=True)])
def test_constant_data_gives_no_diversity(dataset: NoiseImages) -> None:
    assert SampleDiversity(dataset).figures(NoiseImages(64).images) == {}


# --- a run --------------------------------------------------------------------------------------


def run(trainer: Trainer, path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.start({}, {}, trainer)
    with ProgressReporter(folder, trainer):
        trainer.run()
    return folder


class Constant(nn.Module):
    """A generator that always draws the same grey."""

    def __init__(self) -> None:
        super().__init__()
        self.grey = nn.Parameter(torch.zeros(3, 32, 32))

    def forward(self, latents: Tensor) -> Tensor:
        return self.grey.expand(len(latents), -1, -1, -1)


def test_a_collapsed_generator_is_warned_about_while_training(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gan = tiny_gan()
    gan.players["generator"] = Constant()
    config = CONFIG.model_copy(update={"tick_kimg": 0.008})
    with caplog.at_level(logging.WARNING):
        folder = run(Trainer(gan, dataset, config), tmp_path / "run")
    assert [r.message.count("fakes hardly vary") for r in caplog.records] == [1]
    lines = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    assert [line["variety"] for line in lines] == [0.0] * 10


def test_healthy_training_gets_no_warning(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with caplog.at_level(logging.WARNING):
        run(Trainer(tiny_gan(family), dataset, CONFIG), tmp_path / "run")
    assert not caplog.records


def spoil(trainer: Trainer, step: int, how: Callable[[], Any]) -> None:
    """Call a function before a step."""
    untouched = trainer.step

    def spoilt() -> None:
        if trainer.images_seen == step * trainer.batch_size:
            how()
        untouched()

    trainer.step = spoilt  # type: ignore[method-assign]


def only_good_checkpoints(folder: RunFolder, kimg: float) -> bool:
    blob, numbers = read_newest(folder.checkpoints)
    assert numbers["images_seen"] / 1000 == kimg
    return all(value.isfinite().all() for value in load(blob).values())


def test_a_run_that_diverges_keeps_the_checkpoint_from_before(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    """Ticks end after steps 2, 4, 6 …; a weight breaks before the sixth."""
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    weight = next(trainer.gan.players["discriminator"].parameters())
    spoil(trainer, 5, lambda: weight.data.fill_(float("nan")))
    with pytest.raises(TrainingDiverged, match=r"is nan at 0\.0 kimg.*from before.*start a new"):
        run(trainer, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert len(list_checkpoints(folder.checkpoints)) == 2
    assert only_good_checkpoints(folder, 0.032)
    assert len(folder.metrics_file.read_text().splitlines()) == 2


def test_an_update_that_breaks_the_weights_at_the_end_of_a_tick_is_noticed_there(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    """The terms of the step were finite; the gradient was not."""
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    weight = next(trainer.gan.players["generator"].parameters())
    spoil(trainer, 3, lambda: weight.register_hook(lambda gradient: gradient * float("inf")))
    with pytest.raises(TrainingDiverged, match="generator's weights are not finite"):
        run(trainer, tmp_path / "run")
    assert only_good_checkpoints(RunFolder(tmp_path / "run"), 0.016)


def test_a_stopped_run_that_diverged_leaves_no_checkpoint(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    weight = next(trainer.gan.players["generator"].parameters())
    spoil(trainer, 4, lambda: (weight.register_hook(lambda g: g * float("inf")), trainer.stop()))
    with pytest.raises(TrainingDiverged, match="generator's weights are not finite"):
        run(trainer, tmp_path / "run")
    assert only_good_checkpoints(RunFolder(tmp_path / "run"), 0.032)
