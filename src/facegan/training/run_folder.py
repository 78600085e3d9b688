"""A run's folder: run.json, checkpoints, logs, samples and, at the end, the model archive."""

import contextlib
import json
import logging
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors

from facegan import __version__
from facegan.artifact import ModelCard, load_artifact, pack_artifact, read_card, save_artifact
from facegan.errors import ArtifactError, ConfigError, RunError, reason_of
from facegan.files import LOG_BYTES, parse_json, read_regular, write_atomic
from facegan.gans.resolve import resolve, settings_of
from facegan.hyperparameters.augment_policy import NOTHING, reads_between_pixels
from facegan.hyperparameters.run_file import RUN_FILE_NAME, run_file_text
from facegan.hyperparameters.run_spec import IDENTITY, MAY_CHANGE, RunSpec
from facegan.tick_line import read_tick
from facegan.training.checkpoint import Tensors, list_checkpoints, read_newest, save_checkpoint
from facegan.training.io_errors import as_run_error
from facegan.training.run_facts import (
    describe,
    identity,
    read_run_facts,
    warn_of_other_hardware,
)
from facegan.training.run_lock import PLAN_NAME, check_no_run, locked
from facegan.training.state_check import check_state
from facegan.training.trainer import Trainer

logger = logging.getLogger(__name__)

REQUIRED = ("data", "family", "preset", "resolution")  # in a plan
IDENTITY_OF_DATA = ("digest", "labels_digest", "companions")  # in the description of a data set
DERIVED = ("tick_kimg",)  # settings computed from others by default


class RunFolder:
    """One training run on disk.

    ::

        RUN/run.json            the plan (the RunSpec), all settings, data and hardware
        RUN/run.toml            every setting, for facegan train --config
        RUN/metrics.jsonl       one line per tick
        RUN/samples/*.png       images of the same latents at every tick
        RUN/tensorboard/        the metrics as curves
        RUN/checkpoints/kimg-*  read by --resume
        RUN/model/              generator.safetensors, model_card.json
        RUN/model.tar.gz        the same, as SageMaker expects it
        RUN/best.tar.gz         the best generator, if the run is evaluated
        RUN/.lock               the process that trains here

    Args:
        path: RUN.
        tensorboard: Another folder for the curves.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self.run: str | None = None  # the run's id, once started or resumed
        self.plan_file = path / PLAN_NAME
        self.run_file = path / RUN_FILE_NAME
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.metrics_file = path / "metrics.jsonl"
        self.tensorboard = tensorboard or path / "tensorboard"
        self.model = path / "model"
        self.archive = path / "model.tar.gz"
        self.best_archive = path / "best.tar.gz"

    @contextmanager
    def owned(self, plan: Mapping[str, Any], resume: bool) -> Iterator[None]:
        """Hold the folder's lock, and check its content again now that no other process writes.

        Raises:
            RunError: another process trains there, or has started a run there.
            ConfigError: the run to resume has changed.
        """
        with locked(self.path):
            if resume:
                self.check_same(plan)
            else:
                check_no_run(self.path)  # a job's checkpoint folder may hold marker files
            yield

    def holds_run(self) -> bool:
        """Return whether there is a run to resume; raise RunError if only its checkpoints exist."""
        if not self.plan_file.exists() and list_checkpoints(self.checkpoints):
            raise RunError(
                f"{self.path} holds checkpoints, but not the {PLAN_NAME} that describes their run.",
                f"Put {PLAN_NAME} back, or name an empty folder.",
            )
        return self.plan_file.exists()

    def start(
        self,
        plan: Mapping[str, Any],
        dataset: Mapping[str, Any],
        trainer: Trainer,
        verified: Sequence[str] = (),
    ) -> None:
        """Write ``run.json`` and ``run.toml``, for a new or a resumed run.

        Args:
            plan: The RunSpec.
            dataset: The data set's description.
            trainer: The run's trainer.
            verified: Fingerprints of data whose pixels match their digests.
        """
        is_new = not self.plan_file.exists()
        self.run = secrets.token_hex(16) if is_new else self.read_facts().get("run")
        facts = {
            "version": __version__,
            **({"run": self.run} if self.run else {}),
            "plan": dict(plan),
            "dataset": dict(dataset),
            **describe(trainer),
            "verified": list(verified),
        }
        run = resolve(RunSpec.from_mapping(plan))
        settings = run_file_text(run.spec, run.preset, run.complete_config)
        with as_run_error(self.plan_file, "Name another --out, or free some space."):
            write_atomic(self.plan_file, (json.dumps(facts, indent=2) + "\n").encode())
            write_atomic(self.run_file, settings.encode())

    def read_plan(self) -> dict[str, Any]:
        """Return the RunSpec that the run was started with; raise RunError without one."""
        plan: dict[str, Any] = self.read_facts()["plan"]
        for name in REQUIRED:
            if name not in plan:
                raise RunError(
                    f"{self.path} holds no run to resume: {PLAN_NAME} names no {name}.",
                    f"Put {PLAN_NAME} back from a copy, or start a new run in another folder.",
                )
        return plan

    def check_same(self, plan: Mapping[str, Any]) -> None:
        """Raise ConfigError if a plan would change settings that a resumed run must keep."""
        before, now = self.settings(), settings_of(plan)
        changed = [
            name
            for name, value in now.items()
            if name not in MAY_CHANGE and name in before and before[name] != value
        ]
        changed = [name for name in changed if name in IDENTITY] or changed
        if changed:
            shown = ", ".join(f"{name}={before[name]} (now {now[name]})" for name in changed)
            raise ConfigError(
                f"{self.path} holds a run that was started with {shown}.",
                f"Only {', '.join(sorted(MAY_CHANGE))} may change when it is resumed; for anything "
                "else start a new run in another folder.",
            )

    def as_started(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Return a plan in which the preset has the values that the run was started with.

        A later version of facegan may change a preset's values or add settings to its recipe. A run
        keeps its old values, unless the plan names others.
        """
        recorded, now = self.recorded(), settings_of(plan)
        named = {*plan, *self.read_facts()["plan"], *DERIVED}
        kept = {
            name: recorded[name]
            for name in now
            if name in recorded and name not in named and recorded[name] != now[name]
        }
        return {**plan, **kept}

    def settings(self) -> dict[str, Any]:
        """Return every setting that the run was started with, by name."""
        return {**settings_of(self.read_facts()["plan"]), **self.recorded()}

    def recorded(self) -> dict[str, Any]:
        """Return the settings in run.json, and the implied values of newer settings."""
        facts = self.read_facts()
        recorded = {**facts.get("settings", {}), **facts.get("training", {})}
        return {**implied_settings(recorded), **recorded}

    def check_dataset(self, dataset: Mapping[str, Any]) -> None:
        """Raise RunError if images, labels or companions are not those that the run started on."""
        before = self.read_facts()["dataset"]
        if any(dataset.get(name) != before.get(name) for name in IDENTITY_OF_DATA):
            raise RunError(
                f"The data is not what {self.path} was started on ({before['images']} images "
                f"named {before['name']!r}).",
                "Name that folder with --data, or start a new run.",
            )

    def read_facts(self) -> dict[str, Any]:
        """Return the content of run.json; raise RunError if it is missing or damaged."""
        return read_run_facts(self.plan_file)

    def images_at_once(self) -> int | None:
        """Return the recorded micro-batch of each process; None in old runs."""
        found: int | None = self.read_facts().get("training", {}).get("images_at_once")
        return found

    def verified(self) -> list[str]:
        """Return fingerprints of data whose pixels match their digests."""
        return list(self.read_facts().get("verified", []))

    def save_state(self, trainer: Trainer) -> None:
        """Write a checkpoint."""
        tensors, numbers = trainer.state()
        numbers = {**numbers, **identity(trainer, self.run)}
        save_checkpoint(self.checkpoints, tensors, numbers, keep=trainer.config.keep_checkpoints)

    def resume(self, trainer: Trainer) -> None:
        """Load the newest intact checkpoint into a trainer, and drop log lines after it.

        A run that was killed before its first checkpoint starts over, with the same result. The
        main process reads, and sends the state to the others.

        Raises:
            RunError: no checkpoint can be used, or another file of the run is damaged; nothing was
                changed.
        """
        blob, numbers, ticks = b"", None, []
        if trainer.group.is_main_process:
            facts = self.read_facts()
            self.run = facts.get("run")
            warn_of_other_hardware(facts.get("training", {}), trainer)
            ticks = self.read_ticks()
            blob, numbers = self.read_state(trainer)
        numbers = trainer.group.broadcast_json(numbers)
        if numbers is not None:
            trainer.load_state(load_tensors(trainer.group.broadcast(blob)), numbers)
        if trainer.group.is_main_process:
            self.keep_ticks(ticks, trainer.images_at_last_tick / 1000)
            self.restore_best(trainer)

    def read_state(self, trainer: Trainer) -> tuple[bytes, dict[str, Any] | None]:
        """Return the newest checkpoint that fits a trainer; without any, empty bytes and None."""
        if not list_checkpoints(self.checkpoints):
            logger.warning("%s holds no checkpoint: the run starts over.", self.checkpoints)
            return b"", None

        def check(tensors: Tensors, numbers: Mapping[str, Any]) -> None:
            check_state(trainer, tensors, numbers)

        return read_newest(self.checkpoints, identity(trainer, self.run), check)

    def read_ticks(self) -> list[tuple[float, bytes]]:
        """Return kimg and line of every tick in metrics.jsonl, without a truncated last line.

        Raises:
            RunError: the file cannot be read, or a line is not a tick.
        """
        found = []
        try:
            lines = read_regular(self.metrics_file, LOG_BYTES).splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as cause:
            raise RunError(
                f"{self.metrics_file} cannot be read: {reason_of(cause)}.", "Fix it, or delete it."
            ) from cause
        for number, line in enumerate(lines, 1):
            try:
                found.append((read_tick(parse_json(line))["kimg"], line.rstrip() + b"\n"))
            except ValueError as cause:
                if number == len(lines) and not line.endswith(b"\n"):
                    # the process was killed while it wrote
                    logger.warning("%s ends with a truncated line: ignored.", self.metrics_file)
                    break
                message = f"{self.metrics_file} holds a line that is not a tick"
                raise RunError(f"{message} (line {number}: {cause}).", "Delete it.") from cause
        return found

    def keep_ticks(self, ticks: list[tuple[float, bytes]], kimg: float) -> None:
        """Drop the lines of steps that will be repeated, and a truncated one."""
        kept = b"".join(line for at, line in ticks if at <= kimg)
        if self.metrics_file.exists() and self.metrics_file.read_bytes() != kept:
            with as_run_error(self.metrics_file):
                write_atomic(self.metrics_file, kept)

    def copy_record(self, target: Path) -> None:
        """Copy run.json, run.toml, metrics and samples; only log a failure."""
        try:
            target.mkdir(parents=True, exist_ok=True)
            for file in (self.plan_file, self.run_file, self.metrics_file):
                if file.exists():
                    shutil.copy(file, target)
            if self.samples.is_dir():
                shutil.copytree(self.samples, target / self.samples.name, dirs_exist_ok=True)
        except OSError as cause:  # shutil.Error is one
            logger.warning("The run's record cannot be copied to %s: %s", target, cause)

    def holds_model(self, trainer: Trainer) -> bool:
        """Return whether a finished trainer's model is complete, as folder and archive.

        A run that was killed while it wrote its model is finished, but has no model or an old one.
        """
        try:
            cards = [read_card(source) for source in (self.model, self.archive)]
            load_artifact(self.archive)
        except ArtifactError:
            return False
        return cards[0] == cards[1] and cards[0].kimg == trainer.kimg

    def restore_best(self, trainer: Trainer) -> None:
        """Write best.tar.gz from the trainer's state, unless it is up to date."""
        best = trainer.evaluation.best if trainer.evaluation else None
        with contextlib.suppress(ArtifactError):
            if best and read_card(self.best_archive).kimg == best.figures["kimg"]:
                return
        self.save_best(trainer)

    def save_best(self, trainer: Trainer) -> None:
        """Write best.tar.gz from the trainer's state; delete it if the state has no best."""
        best = trainer.evaluation.best if trainer.evaluation else None
        if trainer.evaluation is None or best is None:
            self.best_archive.unlink(missing_ok=True)
            return
        card = trainer.evaluation.card()
        temporary = self.path / ".best"
        try:
            save_artifact(
                trainer.gan,
                temporary,
                weights=best.weights,
                kimg=best.figures["kimg"],
                dataset=self.read_facts()["dataset"],
                training=describe(trainer)["training"],
                metrics={"best": card["best"], "protocol": card["protocol"]},
            )
            pack_artifact(temporary, self.best_archive)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

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


def implied_settings(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the behaviour of runs older than a setting whose default has changed since."""
    settings: dict[str, Any] = {"mirror": False}
    if reads_between_pixels(str(recorded.get("augment", NOTHING))):
        settings["augment_filter"] = "bicubic"
    return settings
