"""One training run, from a RunSpec to the model: data → Gan → Trainer → model.tar.gz."""

import contextlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tqdm.contrib.logging import logging_redirect_tqdm

from facegan.data.image_folder import detect_resolution
from facegan.data.opening import (
    check_dataset_resolution,
    check_split_exists,
    companions_in,
    read_required_labels,
)
from facegan.data.splits import select_split
from facegan.errors import ArtifactError, ConfigError, ExportError, OutputError
from facegan.gans import Gan, build_gan, with_class_count
from facegan.gans.batch_split import micro_batch_sizes
from facegan.gans.families import check_companions, installed_families
from facegan.gans.resolve import OFFERED, ResolvedRun, resolve
from facegan.hyperparameters.run_spec import DEFAULT_LABELS, DEFAULT_RESOLUTION, RunSpec
from facegan.hyperparameters.training import TrainingConfig
from facegan.metrics import FeatureCache, find_inception
from facegan.model_files import pack_artifact
from facegan.training import messages
from facegan.training.check_run import check_run
from facegan.training.data_source import DataSource, open_source
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from facegan.training.evaluation import Evaluation
from facegan.training.memory_advice import fitting_memory, refuse_what_cannot_fit
from facegan.training.open_data import open_dataset, verify
from facegan.training.precision import choose_device
from facegan.training.progress import ProgressReporter
from facegan.training.run_folder import RunFolder
from facegan.training.step_batches import needed_companions
from facegan.training.trainer import Trainer
from facegan.training.verified import VerifiedData

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run to train: its spec and its folder.

    Args:
        spec: The result of :func:`complete_spec` or :func:`resumed_spec`.
        out: The run's folder.
        resume: Whether to resume the run in the folder.
        tensorboard: Another folder for the curves.
        cache: A folder to cache features of real images in; None for no cache.
        exports_graphs: Whether the model gets graphs, so that CPU servers need no torch.
    """

    spec: RunSpec
    out: str
    resume: bool = False
    tensorboard: str | None = None
    cache: str | None = None
    exports_graphs: bool = True

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(Path(self.out), Path(self.tensorboard) if self.tensorboard else None)

    def as_json(self) -> str:
        """Return the run as JSON, for the processes that share it."""
        return json.dumps({**asdict(self), "spec": self.spec.as_mapping()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what :meth:`as_json` returned."""
        facts = json.loads(text)
        return cls(**{**facts, "spec": RunSpec.from_mapping(facts["spec"])})


# --- the spec -----------------------------------------------------------------------------------


def complete_spec(
    spec: RunSpec, offered: tuple[str, ...] = OFFERED, has_all_data: bool = True
) -> RunSpec:
    """Fill in resolution and preset, and check the run against its data without reading images.

    Args:
        spec: The run, with its data.
        offered: More names to suggest for a mistyped one.
        has_all_data: False on hosts that may lack the manifest and the labels.

    Raises:
        ConfigError: an unknown name, a value out of range, or images that the family cannot make.
        DatasetError: the data's manifest cannot be read, it is packed at another resolution, or
            labels are needed and missing.
    """
    check_run(spec, offered)
    installed_families()  # logs it if a package's family has a built-in one's name
    with open_source(spec.data or "") as source:
        folder = source.folder
        side = spec.resolution or detect_resolution(folder) or DEFAULT_RESOLUTION
        check_dataset_resolution(folder, side)
        if has_all_data:
            check_split_exists(folder, spec.split)
        run = resolve(spec.replaced(resolution=side), offered)
        if has_all_data and not spec.evaluate_data:
            check_split_exists(folder, spec.evaluate_split)
        run.check_batch(processes=1)  # other numbers are checked when the processes are known
        if has_all_data or not run.preset.conditional:
            check_labels(run, folder)
            run.check_shape()
        if has_all_data:
            check_companions(run.family, run.preset, companions_in(folder))
        return run.spec


def check_labels(run: ResolvedRun, folder: Path) -> None:
    """Raise ConfigError for labels that the preset would not use, DatasetError for missing ones."""
    if run.preset.conditional:
        labels = read_required_labels(folder, run.spec.labels or DEFAULT_LABELS, run.spec.split)
        with_class_count(run.family, run.preset, labels.classes)
    elif run.spec.labels:
        raise ConfigError(
            f"The preset {run.spec.preset!r} is not conditional: it would not use the labels.",
            "Leave labels out, or set --conditional true.",
        )


def resumed_spec(out: Path, changes: dict[str, Any]) -> RunSpec:
    """Return the spec that a run was started with, and changes; ConfigError if they may not be."""
    folder = RunFolder(out)
    plan = folder.as_started({**folder.read_plan(), **changes})
    folder.check_same(plan)
    return RunSpec.from_mapping(plan)


# --- training -----------------------------------------------------------------------------------


def train(run: Run, group: ProcessGroup = SINGLE_PROCESS) -> bool:
    """Train a run to its model archive, with the other processes of its group.

    Returns:
        Whether the run is finished; False if it was stopped.

    Raises:
        RunError: another process trains in the folder.
    """
    folder = run.folder
    plan = run.spec.as_mapping()
    owned = folder.owned(plan, run.resume) if group.is_main_process else contextlib.nullcontext()
    with (
        owned,
        open_source(run.spec.data or "") as source,
        open_source(run.spec.evaluate_data or "") as held_out,
    ):
        return train_on(run, folder, source, held_out, group)


def train_on(
    run: Run, folder: RunFolder, source: DataSource, held_out: DataSource, group: ProcessGroup
) -> bool:
    """Train a run whose data is open; see :func:`train`."""
    resolved = resolve(run.spec)
    config = resolved.config
    if config.evaluate_kimg and config.evaluate_extractor == "inception" and group.is_main_process:
        find_inception()  # before minutes of reading
    spec, conditional = resolved.spec, resolved.preset.conditional
    labels = spec.labels or DEFAULT_LABELS
    dataset = open_dataset(source, spec.resolution or 0, labels, group, spec.split)
    facts = dataset.describe(with_labels=conditional)
    if companions := needed_companions(resolved.family, resolved.preset, dataset):
        facts["companions"] = {name: each.digest for name, each in companions.items()}
    if run.resume and group.is_main_process:
        folder.check_dataset(facts)
    verified = VerifiedData(folder.verified() if run.resume and group.is_main_process else ())
    if group.is_local_main_process:
        verify(dataset, verified)
    gan = build_gan(
        spec.family,
        spec.preset or "",
        dataset.image_shape,
        seed=config.seed,
        classes=dataset.classes if conditional else None,
        map_classes=dataset.map_classes if companions else None,
        **resolved.changes,
    )
    evaluation = None
    if config.evaluate_kimg and group.is_main_process:
        evaluation = open_evaluation(run, gan, config, dataset, held_out, verified)
    if run.resume and config.micro_batch == "auto":
        config = keep_micro_batch(folder, config, gan, group)
    refuse_what_cannot_fit(gan, config, group)
    trainer = Trainer(gan, dataset, config, evaluation=evaluation, group=group)
    if run.resume:
        folder.resume(trainer)
        has_ended = group.is_main_process and trainer.is_finished and folder.holds_model(trainer)
        if group.broadcast_json(has_ended):
            if group.is_main_process:
                messages.print_finished(trainer, folder)
            return True
    with stopping_gently(trainer), fitting_memory(trainer):
        if group.is_main_process:
            train_to_artifact(run, trainer, folder, facts, verified.seen)
        else:
            trainer.run()
    return bool(trainer.is_finished)


def train_to_artifact(
    run: Run, trainer: Trainer, folder: RunFolder, facts: dict[str, Any], verified: list[str]
) -> None:
    """Train as the main process: report, and write the model unless the run is stopped."""
    folder.start(run.spec.as_mapping(), facts, trainer, verified)
    messages.print_start(trainer, folder, run.spec.data or "")
    with logging_redirect_tqdm(), ProgressReporter(folder, trainer):  # logs scroll above the bar
        trainer.run()
    if not trainer.is_finished:
        messages.print_stopped(trainer, folder)
        return
    folder.finish(trainer, facts)
    if run.exports_graphs:
        add_graphs(folder)
    messages.print_end(trainer, folder)


def add_graphs(folder: RunFolder) -> None:
    """Export the model's graphs; log a failure, which must not fail the run."""
    from facegan.export import export_graphs  # onnx takes seconds to import

    messages.echo("Exporting …", file=sys.stderr)
    try:
        export_graphs(folder.model)
        pack_artifact(folder.model, folder.archive)
    except (ExportError, ArtifactError, OutputError) as error:
        log.warning("The model has no graphs: a CPU server needs torch for it. %s", error)


def keep_micro_batch(
    folder: RunFolder, config: TrainingConfig, gan: Gan, group: ProcessGroup
) -> TrainingConfig:
    """Keep the micro-batch that was found at the run's start, so that the result is the same.

    It is searched for again if the number of processes has changed and excludes it.
    """
    found = group.broadcast_json(folder.images_at_once() if group.is_main_process else None)
    batch = config.completed_by(gan.preset).batch_size or 0
    if found in micro_batch_sizes(gan.family, gan.preset, batch, group.size):
        return config.model_copy(update={"micro_batch": found})
    return config


def open_evaluation(
    run: Run,
    gan: Gan,
    config: TrainingConfig,
    dataset: Any,
    held_out: DataSource,
    verified: VerifiedData,
) -> Evaluation:
    """Return the run's evaluation, with its extractor and real images."""
    images, split = dataset, run.spec.evaluate_split
    if run.spec.evaluate_data:
        images = open_dataset(held_out, dataset.resolution, split=split)
        verify(images, verified)
    elif split:
        images = select_split(getattr(dataset, "whole", dataset), split)
    return Evaluation(
        gan,
        images,
        config,
        about=images.describe(),
        cache=FeatureCache(Path(run.cache) if run.cache else None),
        device=str(choose_device(config.device)),
    )


@contextlib.contextmanager
def stopping_gently(trainer: Trainer) -> Iterator[None]:
    """End the step and write a checkpoint on Ctrl-C or SIGTERM; a second Ctrl-C stops at once."""

    def stop(number: int, frame: Any) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
