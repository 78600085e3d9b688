"""Reads what a run's folder holds, whether the run has ended or is still going on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegan.artifact import CARD_NAME, Artifact, load_artifact
from facegan.errors import ArtifactError, RunError, reason_of
from facegan.files import LOG_BYTES, parse_json, read_json, read_regular
from facegan.metrics import EXTRACTORS, metric_names
from facegan.model_inputs import IMAGE, LABEL_MAP
from facegan.tick_line import read_tick

Tick = Mapping[str, float]
TIMES = {"kimg", "images_per_second", "wait_share", "train_seconds", "time"}
L1 = "l1"  # of evaluations whose data has a true image for each input
NOT_LOSSES = TIMES | metric_names(EXTRACTORS) | {L1}
GAUGES = ("real_sign", "fake_sign", "variety", "augment_p")  # the players' balance, -1 to 1
NOT_A_RUN = "Pass the folder that facegan train was given as --out."


@dataclass(frozen=True)
class RunRecord:
    """A run's state at the time of reading."""

    path: Path
    plan: Mapping[str, Any]  # what was requested
    dataset: Mapping[str, Any]  # name, digest, images, resolution
    ticks: tuple[Tick, ...]
    samples: tuple[Path, ...]  # grids of the fixed latents, oldest first
    artifact: Artifact | None
    no_artifact: str  # why there is none; empty if there is one
    started: Mapping[str, Any]  # the rest of run.json: settings, training, versions

    @property
    def kimg(self) -> float:
        """Training progress, from the last tick."""
        return self.ticks[-1]["kimg"] if self.ticks else 0.0

    @property
    def train_seconds(self) -> float:
        """Training time, from the last tick; 0 if it is unknown."""
        return self.ticks[-1].get("train_seconds", 0.0) if self.ticks else 0.0

    @property
    def is_finished(self) -> bool:
        """Whether the model is from the last tick: a resumed run has an older one."""
        return self.artifact is not None and self.artifact.card.kimg >= self.kimg

    @property
    def takes_sources(self) -> bool:
        """Whether the model is given images or label maps; runs of such record companions."""
        if self.artifact is None:
            return bool(self.dataset.get("companions"))
        return any(given.kind in (IMAGE, LABEL_MAP) for given in self.artifact.card.inputs)

    @property
    def numbers(self) -> dict[str, Mapping[str, Any]]:
        """``settings``, ``training`` and ``versions``, as far as they are known.

        The model's card was written when training ended, ``run.json`` when it started.
        """
        card = self.artifact.card if self.artifact else None
        names = ("settings", "training", "versions")
        return {name: getattr(card, name, None) or self.started.get(name, {}) for name in names}

    @property
    def terms(self) -> list[str]:
        """The names of the loss terms, in order of appearance."""
        return list(dict.fromkeys(name for tick in self.ticks for name in tick
                                  if name not in NOT_LOSSES and name not in GAUGES))  # fmt: skip


def kimg_text(kimg: float) -> str:
    """Format kimg with three significant digits and no exponent."""
    return f"{kimg:,.0f}" if kimg >= 100 else f"{kimg:.3g}"


def read_run(path: Path) -> RunRecord:
    """Read a run's folder.

    Raises:
        RunError: it is missing or not a run, or its metrics.jsonl is damaged.
    """
    if not path.is_dir():
        raise RunError(f"{path} does not exist or is not a folder.", NOT_A_RUN)
    facts = read_facts(path / "run.json")
    artifact, reason = read_artifact(path)
    return RunRecord(
        path=path,
        plan=facts["plan"],
        dataset=facts["dataset"],
        ticks=read_ticks(path / "metrics.jsonl"),
        samples=tuple(sorted((path / "samples").glob("kimg-*.png"))),
        artifact=artifact,
        no_artifact=reason,
        started={name: rows for name, rows in facts.items() if isinstance(rows, dict)},
    )


def read_facts(file: Path) -> dict[str, Any]:
    """Read run.json and check its plan and data set."""
    if not file.exists():
        raise RunError(f"{file.parent} is not a run: it has no {file.name}.", NOT_A_RUN)
    try:
        facts = read_json(file)
        plan, dataset = facts["plan"], facts["dataset"]
        if not (isinstance(plan, dict) and isinstance(dataset, dict)):
            raise TypeError("plan and dataset must be objects")
        texts = plan["family"], plan["preset"], dataset["name"], plan.get("data", "")
        if not all(isinstance(text, str) and "\0" not in text for text in texts):
            raise TypeError("family, preset, data and the data's name must be texts")
        counts = {name: int(dataset[name]) for name in ("images", "resolution")}
        if min(counts.values()) < 1 or counts["resolution"] > 2**16:
            raise ValueError("images and resolution must be from 1")
        facts["dataset"] = {**dataset, **counts, "skipped": int(dataset.get("skipped", 0))}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as cause:
        reason = f"{cause} is missing" if isinstance(cause, KeyError) else reason_of(cause)
        raise RunError(f"{file} does not describe a run ({reason}).", NOT_A_RUN) from cause
    return facts


def read_ticks(file: Path) -> tuple[Tick, ...]:
    """Read the metrics of every tick; a last line that is still being written is skipped."""
    if not file.exists():
        return ()
    try:
        lines = read_regular(file, LOG_BYTES).splitlines(keepends=True)
    except (OSError, ValueError) as cause:
        message = f"{file} cannot be read: {reason_of(cause)}."
        raise RunError(message, "Fix it, or delete it.") from cause
    return tuple(
        parse_tick(line, f"{file}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.endswith(b"\n")
    )


def parse_tick(line: bytes, location: str) -> Tick:
    """Parse one line of metrics.jsonl; values that are not finite are left out."""
    try:
        return read_tick(parse_json(line))
    except ValueError as cause:
        raise RunError(f"{location} is not a tick ({cause}).", "Delete that line.") from cause


def read_artifact(path: Path) -> tuple[Artifact | None, str]:
    """Load the run's model, or return a sentence that says why that is not possible."""
    archive = path / "model.tar.gz"
    folder = path / "model"
    source = folder if (folder / CARD_NAME).exists() else archive
    if not source.exists():
        return None, "There is no model yet: it is written when training ends."
    try:
        return load_artifact(source), ""
    except ArtifactError as cause:
        return None, f"The model cannot be read. {cause}"
