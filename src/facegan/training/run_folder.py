"""A run's folder: what was asked for, checkpoints, and at the end the artifact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors

from facegan import __version__
from facegan.artifact import ModelCard, pack_artifact, save_artifact
from facegan.errors import ConfigError, RunError
from facegan.files import write_aside
from facegan.training.checkpoint import list_checkpoints, read_newest, save_checkpoint
from facegan.training.trainer import Trainer

PLAN_NAME = "run.json"
# What may differ when a run is resumed: how far it goes and how it is told, not what it computes.
# The data may have moved; that it is the same is checked by its digest.
MAY_CHANGE = {"total_kimg", "max_minutes", "keep_checkpoints", "device", "data"}


class RunFolder:
    """One training run on disk.

    ::

        RUN/run.json            family, preset, hyperparameters, data: what was asked for
        RUN/metrics.jsonl       one line a tick
        RUN/samples/*.png       the same latents at every tick
        RUN/checkpoints/kimg-*  what --resume needs
        RUN/model/              generator.safetensors, model_card.json
        RUN/model.tar.gz        the same, as SageMaker wants it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan_file = path / PLAN_NAME
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.metrics_file = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self.model = path / "model"
        self.archive = path / "model.tar.gz"

    def check_free(self) -> None:
        """Refuse a folder that already holds a run, or something else.

        Raises:
            RunError: the folder is not empty.
        """
        if self.plan_file.exists():
            raise RunError(
                f"{self.path} already holds a run.",
                "Go on with it by --resume, name another --out, or delete the folder.",
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(f"{self.path} exists and is not empty.", "Name another --out.")

    def start(self, plan: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
        """Make the folder and write down what was asked for, and on which data.

        Raises:
            RunError: it cannot be written.
        """
        content = {"version": __version__, "plan": dict(plan), "dataset": dict(dataset)}
        try:
            write_aside(self.plan_file, (json.dumps(content, indent=2) + "\n").encode())
        except OSError as cause:
            raise RunError(
                f"{self.plan_file} cannot be written: {cause.strerror}.", "Name another --out."
            ) from cause

    def read_plan(self) -> dict[str, Any]:
        """What was asked for when the run was started.

        Raises:
            RunError: the folder holds no run.
        """
        plan: dict[str, Any] = self.read_facts()["plan"]
        return plan

    def check_dataset(self, digest: str) -> None:
        """Refuse to resume a run on other data.

        Raises:
            RunError: the pixels are not those the run was started on.
        """
        before = self.read_facts()["dataset"]
        if digest != before["digest"]:
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
        save_checkpoint(self.checkpoints, *trainer.state(), keep=trainer.config.keep_checkpoints)

    def resume(self, trainer: Trainer) -> None:
        """Load the newest whole checkpoint into a trainer; log lines past it are dropped.

        A run that was killed before its first checkpoint starts over, to the same bits. Of several
        processes the first reads, and sends the others what it has read.

        Raises:
            RunError: all are damaged, or the newest is of another family or preset.
        """
        blob, numbers = b"", None
        if trainer.world.leads and list_checkpoints(self.checkpoints):
            blob, numbers = read_newest(self.checkpoints)
        numbers = trainer.world.broadcast_facts(numbers)
        if numbers is not None:
            self.load_state(trainer, trainer.world.broadcast(blob), numbers)
        if trainer.world.leads:
            self.drop_lines_after(trainer.kimg)

    def load_state(self, trainer: Trainer, blob: bytes, numbers: Mapping[str, Any]) -> None:
        """Load a checkpoint's content into a trainer."""
        try:
            trainer.load_state(load_tensors(blob), numbers)
        except (RuntimeError, ValueError, KeyError) as cause:
            raise RunError(
                f"The checkpoint in {self.checkpoints} does not fit this run: {cause}",
                "It was made by another family, preset or version.",
            ) from cause

    def drop_lines_after(self, kimg: float) -> None:
        """Forget the figures of steps that will be taken again."""
        if not self.metrics_file.exists():
            return
        kept = [
            line
            for line in self.metrics_file.read_text().splitlines(keepends=True)
            if line.endswith("\n") and json.loads(line)["kimg"] <= kimg
        ]
        write_aside(self.metrics_file, "".join(kept).encode())

    def finish(self, trainer: Trainer, dataset: Mapping[str, Any]) -> ModelCard:
        """Write the artifact of a trained GAN, as a folder and as model.tar.gz."""
        speed = trainer.images_seen / max(trainer.train_seconds, 1e-9)
        training = {
            **trainer.config.model_dump(),
            "train_seconds": round(trainer.train_seconds, 2),
            "images_per_second": round(speed, 1),
            "device": trainer.device.type,
            "computed_in": str(trainer.dtype).removeprefix("torch."),
        }
        card = save_artifact(
            trainer.gan, self.model, kimg=trainer.kimg, dataset=dict(dataset), training=training
        )
        pack_artifact(self.model, self.archive)
        return card


def check_same(plan: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to resume a run as something else.

    Raises:
        ConfigError: a named setting differs and may not.
    """
    for name, value in asked.items():
        if name not in MAY_CHANGE and str(plan.get(name)) != str(value):
            raise ConfigError(
                f"The run was started with {name}={plan.get(name)}, not {value}.",
                f"Leave --{name.replace('_', '-')} out to resume it; only "
                f"{', '.join(sorted(MAY_CHANGE))} may change.",
            )
