"""Evaluation during training: when it runs, what is kept, and that resuming changes nothing."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facegan.artifact import load_artifact
from facegan.data import ImageFolderDataset
from facegan.errors import RunError
from facegan.gans import Gan
from facegan.metrics import Extractor
from facegan.training import RunFolder, Trainer, TrainingConfig, evaluation
from facegan.training.evaluation import Evaluation
from facegan.training.example_inputs import ExampleInputs
from facegan.training.progress import ProgressReporter

Build = Callable[..., Gan]
CONFIG = TrainingConfig(
    total_kimg=0.16, tick_kimg=0.016, batch_size=16, precision="fp32",
    evaluate_kimg=0.04, evaluate_samples=12, keep_checkpoints=20,
)  # fmt: skip
EVALUATED = [0.048, 0.08, 0.128, 0.16]  # the first tick after every 0.04 kimg


class Pooled(nn.Module):
    """Twelve features that cost nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make evaluations cost nothing."""

    def pooled(name: str, device: str) -> Extractor:
        return Extractor(name, Pooled(), 12, "none", "0" * 64)

    monkeypatch.setattr(evaluation, "open_extractor", pooled)


def lines(folder: RunFolder) -> list[dict[str, float]]:
    """Return the lines of metrics.jsonl, without times."""
    timed = {"time", "train_seconds", "images_per_second", "wait_share"}
    text = folder.metrics_file.read_text()
    return [
        {name: value for name, value in json.loads(line).items() if name not in timed}
        for line in text.splitlines()
    ]


def begin(folder: RunFolder, gan: Gan, dataset: ImageFolderDataset) -> Trainer:
    """Start a run, or resume it from its newest checkpoint."""
    trainer = Trainer(gan, dataset, CONFIG)
    if folder.plan_file.exists():
        folder.resume(trainer)
    else:
        folder.start({"family": "dcgan", "preset": "tiny"}, dataset.describe(), trainer)
    return trainer


def go(folder: RunFolder, trainer: Trainer) -> Trainer:
    with ProgressReporter(folder, trainer):
        trainer.run()
    return trainer


@pytest.fixture
def uninterrupted(tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "uninterrupted")
    folder.finish(go(folder, begin(folder, tiny_gan(), dataset)), dataset.describe())
    return folder


def assert_same_end(folder: RunFolder, other: RunFolder) -> None:
    assert lines(folder) == lines(other)
    ours, theirs = (load_artifact(f.best_archive).card for f in (folder, other))
    assert (ours.weights_sha256, ours.metrics) == (theirs.weights_sha256, theirs.metrics)


def test_the_first_tick_after_every_so_many_kimg_and_the_last_are_evaluated(
    uninterrupted: RunFolder,
) -> None:
    ticks = lines(uninterrupted)
    assert [line["kimg"] for line in ticks if "kid_lite0" in line] == EVALUATED
    assert len(ticks) == 10
    assert {"fd_lite0", "kid_lite0_std", "precision_lite0", "recall_lite0"} < set(ticks[-1])


@pytest.mark.parametrize(
    ("extractor", "samples", "pictures"),
    [("inception", 12, 64), ("inception", 10, 10), ("lite0", 12, 12)],
)
def test_an_evaluation_as_in_papers_uses_all_images(
    tiny_gan: Build, dataset: ImageFolderDataset, monkeypatch: pytest.MonkeyPatch,
    extractor: str, samples: int, pictures: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.modules["facegan.metrics.scores"], "PUBLISHED_SAMPLES", 12)
    wish = {"evaluate_extractor": extractor, "evaluate_samples": samples}
    found = Trainer(tiny_gan(), dataset, CONFIG.model_copy(update=wish)).evaluation
    assert found
    said = found.protocol
    assert (said["samples"], said["pictures"]) == (samples, pictures)
    assert said["fid_as_published"] is (pictures == 64)


def test_the_best_is_kept_beside_the_last_and_both_are_in_the_card(
    uninterrupted: RunFolder,
) -> None:
    ticks = [line for line in lines(uninterrupted) if "kid_lite0" in line]
    best = min(ticks, key=lambda line: line["kid_lite0"])
    last, kept = (
        load_artifact(f).card for f in (uninterrupted.archive, uninterrupted.best_archive)
    )
    assert kept.kimg == best["kimg"] and last.kimg == 0.16
    said = last.metrics
    assert said["best"]["kid_lite0"] == best["kid_lite0"] == kept.metrics["best"]["kid_lite0"]
    assert said["last"]["kid_lite0"] == ticks[-1]["kid_lite0"]
    assert said["best"]["judged_by"] == "kid_lite0"
    assert said["protocol"] == kept.metrics["protocol"]
    assert said["protocol"]["samples"] == 12 and said["protocol"]["pictures"] == 12
    assert said["protocol"]["data"]["digest"] == last.dataset["digest"]


def test_a_better_generator_replaces_the_best_and_a_worse_one_does_not(
    tiny_gan: Build, dataset: ImageFolderDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    kids = iter([3.0, 1.0, 2.0, 1.0])
    monkeypatch.setattr(Evaluation, "measure", lambda *rest: {"kid_lite0": next(kids)})
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    weights: list[Tensor] = []
    trainer.on_tick = lambda t, f: weights.append(next(t.gan.generator_ema.parameters()).clone())
    trainer.run()
    assert trainer.evaluation and trainer.evaluation.best
    assert trainer.evaluation.best.figures == {"kimg": 0.08, "kid_lite0": 1.0}
    assert torch.equal(next(iter(trainer.evaluation.best.weights.values())), weights[4])
    assert trainer.evaluation.last == {"kimg": 0.16, "kid_lite0": 1.0}


def test_the_time_of_an_evaluation_is_not_training_time(
    tiny_gan: Build, dataset: ImageFolderDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(Evaluation, "measure", lambda *rest: {"kid_lite0": time.sleep(0.5) or 1.0})
    trainer = Trainer(tiny_gan(), dataset, CONFIG)
    before = time.perf_counter()
    trainer.run()
    assert trainer.train_seconds < time.perf_counter() - before - 4 * 0.5


def test_evaluation_changes_no_bit_of_training(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    ends = []
    for config in (CONFIG, CONFIG.model_copy(update={"evaluate_kimg": None})):
        trainer = Trainer(tiny_gan(), dataset, config)
        trainer.run()
        ends.append(trainer.gan.generator_ema.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


# --- resuming ------------------------------------------------------------------------------------


class Killed(BaseException):
    """Raised by tests instead of SIGKILL."""


@pytest.mark.parametrize("point", ["measure", "save_best", "save_state"])
@pytest.mark.parametrize("time", [1, 2, 4])
def test_a_run_killed_at_any_point_of_a_tick_ends_as_an_uninterrupted_one(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path, uninterrupted: RunFolder,
    monkeypatch: pytest.MonkeyPatch, point: str, time: int,
) -> None:  # fmt: skip
    """Before the metrics are known, after the best was written, before the checkpoint."""
    owner = Evaluation if point == "measure" else RunFolder
    whole, calls = getattr(owner, point), 0

    def dying(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if point == "save_best":
            whole(*given)
        if calls == time:
            raise Killed
        return None if point == "save_best" else whole(*given)

    folder = RunFolder(tmp_path / "killed")
    with monkeypatch.context() as patched:
        patched.setattr(owner, point, dying)
        trainer = begin(folder, tiny_gan(), dataset)
        with contextlib.suppress(Killed):
            go(folder, trainer)
    assert_same_end_after_resuming(folder, uninterrupted, tiny_gan, dataset)


def assert_same_end_after_resuming(
    folder: RunFolder, other: RunFolder, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    trainer = begin(folder, tiny_gan(), dataset)
    best = trainer.evaluation.best if trainer.evaluation else None
    if best is None:  # files written after the checkpoint are removed
        assert not folder.best_archive.exists()
    else:
        assert load_artifact(folder.best_archive).card.kimg == best.figures["kimg"]
    folder.finish(go(folder, trainer), dataset.describe())
    assert_same_end(folder, other)


@pytest.mark.parametrize("evaluated", EVALUATED)
def test_a_run_stopped_during_an_evaluation_loses_no_metrics(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path, uninterrupted: RunFolder,
    monkeypatch: pytest.MonkeyPatch, evaluated: float,
) -> None:  # fmt: skip
    """SIGTERM during an evaluation: the tick stays due, even the run's last."""
    folder = RunFolder(tmp_path / "stopped")
    inputs = ExampleInputs.inputs

    def stopping(self: ExampleInputs, samples: Sequence[int]) -> tuple[Tensor, ...]:
        if trainer.kimg == evaluated:
            trainer.stop()
        return inputs(self, samples)

    with monkeypatch.context() as patched:
        patched.setattr(ExampleInputs, "inputs", stopping)
        trainer = begin(folder, tiny_gan(), dataset)
        go(folder, trainer)
    assert trainer.kimg == evaluated and not trainer.is_finished and trainer.is_tick_due
    assert_same_end_after_resuming(folder, uninterrupted, tiny_gan, dataset)


def test_a_due_tick_that_is_killed_is_not_logged_twice(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path, uninterrupted: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = RunFolder(tmp_path / "twice")
    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "run", stopped)
        trainer = begin(folder, tiny_gan(), dataset)
        go(folder, trainer)
    trainer = begin(folder, tiny_gan(), dataset)
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save_state", die)
        with pytest.raises(Killed):
            go(folder, trainer)
    assert lines(folder)[-1]["kimg"] == 0.048  # the line is there, its checkpoint is not
    assert_same_end_after_resuming(folder, uninterrupted, tiny_gan, dataset)


def stopped(self: Evaluation, trainer: Trainer) -> Mapping[str, float]:
    trainer.stop()
    raise evaluation.Stopped


def die(*rest: object) -> None:
    raise Killed


def test_other_images_to_compare_with_are_refused_on_resume(
    tiny_gan: Build, dataset: ImageFolderDataset, images_dir: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    go(folder, begin(folder, tiny_gan(), dataset))
    other = ImageFolderDataset(images_dir, 32)
    other.digest = "f" * 64
    trainer = Trainer(tiny_gan(), dataset, CONFIG, evaluation=Evaluation(tiny_gan(), other, CONFIG))
    with pytest.raises(RunError, match="was evaluated with data"):
        folder.resume(trainer)
