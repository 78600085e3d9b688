"""A run's folder: what was asked for, checkpoints, and at the end the artifact."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors

from facegan import __version__
from facegan.artifact import ModelCard, pack_artifact, save_artifact
from facegan.errors import ConfigError, RunError
from facegan.files import write_aside
from facegan.training.checkpoint import list_checkpoints, read_newest, save_checkpoint
from facegan.training.plan import IDENTITY, PLAN_NAME, settings_of
from facegan.training.run_facts import check_owner, describe, owner, warn_of_other_hardware
from facegan.training.trainer import Trainer
from facegan.training.writing import check_free, writing

logger = logging.getLogger(__name__)

# What may differ when a run is resumed: how far it goes and how it is told, not what it computes.
# The data may have moved; that it is the same is checked by its digest.
MAY_CHANGE = {
    "total_kimg",
    "max_minutes",
    "tick_kimg",
    "keep_checkpoints",
    "device",
    "data",
    "data_on_gpu",
    "evaluate_data",
}


class RunFolder:
    """One training run on disk.

    ::

        RUN/run.json            what was asked for, what that comes to, on which data and hardware
        RUN/metrics.jsonl       one line a tick
        RUN/samples/*.png       the same latents at every tick
        RUN/tensorboard/        the same figures as curves
        RUN/checkpoints/kimg-*  what --resume needs
        RUN/model/              generator.safetensors, model_card.json
        RUN/model.tar.gz        the same, as SageMaker wants it
        RUN/best.tar.gz         the best that was evaluated, where a run is evaluated

    Args:
        path: RUN.
        tensorboard: Another folder for the curves.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self.plan_file = path / PLAN_NAME
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.metrics_file = path / "metrics.jsonl"
        self.tensorboard = tensorboard or path / "tensorboard"
        self.model = path / "model"
        self.archive = path / "model.tar.gz"
        self.best_archive = path / "best.tar.gz"

    def check_free(self) -> None:
        """Refuse a folder that already holds a run, or something else.

        Raises:
            RunError: the folder is not empty.
            OutputError: it cannot be made or written.
        """
        check_free(self.path)

    def holds_run(self) -> bool:
        """Whether there is a run to go on with.

        Raises:
            RunError: there are checkpoints, but nothing that says of what.
        """
        if not self.plan_file.exists() and list_checkpoints(self.checkpoints):
            raise RunError(
                f"{self.path} holds checkpoints, but no {PLAN_NAME} that says what they are of.",
                f"Put {PLAN_NAME} back, or name an empty folder.",
            )
        return self.plan_file.exists()

    def start(self, plan: Mapping[str, Any], dataset: Mapping[str, Any], trainer: Trainer) -> None:
        """Make the folder and write down what is about to run: ``run.json``.

        Raises:
            RunError: it cannot be written.
        """
        facts = {"version": __version__, "plan": dict(plan), "dataset": dict(dataset)}
        content = json.dumps({**facts, **describe(trainer)}, indent=2) + "\n"
        with writing(self.plan_file, "Name another --out, or free some space."):
            write_aside(self.plan_file, content.encode())

    def read_plan(self) -> dict[str, Any]:
        """What was asked for when the run was started.

        Raises:
            RunError: the folder holds no run.
        """
        plan: dict[str, Any] = self.read_facts()["plan"]
        return plan

    def check_same(self, plan: Mapping[str, Any]) -> None:
        """Refuse to resume the run as something else.

        Raises:
            ConfigError: the plan comes to other numbers than the run was started with; it names
                them, and what may change.
        """
        before, now = self.settings(), settings_of(plan)
        changed = [
            name
            for name, value in now.items()
            if name not in MAY_CHANGE and name in before and before[name] != value
        ]
        changed = [name for name in changed if name in IDENTITY] or changed
        if changed:
            told = ", ".join(f"{name}={before[name]} (now {now[name]})" for name in changed)
            raise ConfigError(
                f"{self.path} holds a run that was started with {told}.",
                f"Only {', '.join(sorted(MAY_CHANGE))} may change when it is resumed; for anything "
                "else start a new run in another folder.",
            )

    def settings(self) -> dict[str, Any]:
        """Every number the run was started with, by name."""
        facts = self.read_facts()
        recorded = {**facts.get("settings", {}), **facts.get("training", {})}
        return {**settings_of(facts["plan"]), **recorded}

    def check_dataset(self, dataset: Mapping[str, Any]) -> None:
        """Refuse to resume a run on other data than its plan describes.

        Raises:
            RunError: the pixels or labels are not those the run was started on.
        """
        before = self.read_facts()["dataset"]
        if any(dataset.get(name) != before.get(name) for name in ("digest", "labels_digest")):
            raise RunError(
                f"The data is not what {self.path} was started on ({before['images']} pictures "
                f"named {before['name']!r}).",
                "Give that folder by --data, or start a new run.",
            )

    def read_facts(self) -> dict[str, Any]:
        """All that run.json says."""
        try:
            facts: dict[str, Any] = json.loads(self.plan_file.read_text())
            if not (isinstance(facts["plan"], dict) and isinstance(facts["dataset"], dict)):
                raise TypeError("plan and dataset must be objects")
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise RunError(
                f"{self.path} holds no run to resume ({PLAN_NAME}: {cause}).",
                "Start it without --resume.",
            ) from cause
        return facts

    def save_state(self, trainer: Trainer) -> None:
        """Write a checkpoint."""
        tensors, numbers = trainer.state()
        numbers = {**numbers, **owner(trainer)}
        save_checkpoint(self.checkpoints, tensors, numbers, keep=trainer.config.keep_checkpoints)

    def resume(self, trainer: Trainer) -> None:
        """Load the newest whole checkpoint into a trainer; log lines past it are dropped.

        A run that was killed before its first checkpoint starts over, to the same bits. Of several
        processes the first reads, and sends the others what it has read.

        Raises:
            RunError: all are damaged, or the newest is of another family or preset.
        """
        blob, numbers = b"", None
        if trainer.world.leads:
            warn_of_other_hardware(self.read_facts().get("training", {}), trainer)
            if list_checkpoints(self.checkpoints):
                blob, numbers = read_newest(self.checkpoints)
        numbers = trainer.world.broadcast_facts(numbers)
        if numbers is not None:
            self.load_state(trainer, trainer.world.broadcast(blob), numbers)
        if trainer.world.leads:
            self.drop_lines_after(trainer.images_at_last_tick / 1000)
            self.save_best(trainer)

    def load_state(self, trainer: Trainer, blob: bytes, numbers: Mapping[str, Any]) -> None:
        """Load a checkpoint's content into a trainer."""
        check_owner(self.checkpoints, numbers, trainer)
        try:
            trainer.load_state(load_tensors(blob), numbers)
        except (RuntimeError, ValueError, KeyError) as cause:
            raise RunError(
                f"The checkpoint in {self.checkpoints} does not fit this run: "
                f"{' '.join(str(cause).split())[:300]}",
                "It was made with other settings, or by another version.",
            ) from cause

    def drop_lines_after(self, kimg: float) -> None:
        """Forget the figures of steps that will be taken again, and a line that was cut short.

        Raises:
            RunError: the file is damaged, or cannot be written.
        """
        if not self.metrics_file.exists():
            return
        lines = self.metrics_file.read_text().splitlines(keepends=True)
        try:
            kept = [ln for ln in lines if ln.endswith("\n") and json.loads(ln)["kimg"] <= kimg]
        except (ValueError, KeyError, TypeError) as cause:
            raise RunError(
                f"{self.metrics_file} holds a line that is no tick ({cause}).",
                "Delete that line.",
            ) from cause
        with writing(self.metrics_file):
            write_aside(self.metrics_file, "".join(kept).encode())

    def copy_record(self, target: Path) -> None:
        """Copy what tells of the run, all but checkpoints and model; what cannot be is only logged.

        The model counts for more than its record: no run fails here.
        """
        try:
            target.mkdir(parents=True, exist_ok=True)
            for file in (self.plan_file, self.metrics_file):
                if file.exists():
                    shutil.copy(file, target)
            if self.samples.is_dir():
                shutil.copytree(self.samples, target / self.samples.name, dirs_exist_ok=True)
        except OSError as cause:  # shutil.Error is one
            logger.warning("The run's record cannot be copied to %s: %s", target, cause)

    def save_best(self, trainer: Trainer) -> None:
        """Make best.tar.gz what the trainer's state says is best; without a best, there is none."""
        best = trainer.evaluation.best if trainer.evaluation else None
        if trainer.evaluation is None or best is None:
            self.best_archive.unlink(missing_ok=True)
            return
        card = trainer.evaluation.card()
        aside = self.path / ".best"
        try:
            save_artifact(
                trainer.gan,
                aside,
                weights=best.weights,
                kimg=best.figures["kimg"],
                dataset=self.read_facts()["dataset"],
                training=describe(trainer)["training"],
                metrics={"best": card["best"], "protocol": card["protocol"]},
            )
            pack_artifact(aside, self.best_archive)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def finish(self, trainer: Trainer, dataset: Mapping[str, Any]) -> ModelCard:
        """Write the artifact of a trained GAN, as a folder and as model.tar.gz."""
        speed = trainer.images_seen / max(trainer.train_seconds, 1e-9)
        measured = {
            "train_seconds": round(trainer.train_seconds, 2),
            "images_per_second": round(speed, 1),
        }
        card = save_artifact(
            trainer.gan,
            self.model,
            kimg=trainer.kimg,
            dataset=dict(dataset),
            training={**describe(trainer)["training"], **measured},
            metrics=trainer.evaluation.card() if trainer.evaluation else {},
        )
        pack_artifact(self.model, self.archive)
        return card
