"""Compares a prepared data set with its manifest, for `facegan data check`."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facegan.data.prepare.dedup import DigestIndex
from facegan.data.prepare.packed_format import (
    DUPLICATES,
    LABELS,
    SKIPPED,
    SOURCES,
    load_labels,
    open_shard,
    read_companions,
    read_lines,
    read_packed,
)
from facegan.data.prepare.pixels import Pixels
from facegan.errors import DatasetError
from facegan.files import file_digest


@dataclass
class CheckResult:
    """The result of checking a data set."""

    manifest: dict[str, Any]
    problems: list[str] = field(default_factory=list)  # sentences; empty if all is well
    classes: dict[str, int] = field(default_factory=dict)  # name → images
    reasons: dict[str, int] = field(default_factory=dict)  # why images were skipped → count
    companions: dict[str, "CheckResult"] = field(default_factory=dict)


def check(folder: Path, on_progress: Callable[[int], object] = lambda images: None) -> CheckResult:
    """Read every byte of a prepared data set and compare it with the manifest.

    Args:
        folder: A folder that ``facegan data prepare`` made.
        on_progress: Called after each shard, with its number of images.

    Raises:
        DatasetError: the folder has no manifest of a packed data set.
    """
    manifest = read_packed(folder)
    checked = CheckResult(manifest)
    try:
        aligned = read_companions(folder, manifest)
        checks = [ModalityCheck(*place) for place in ((folder, manifest), *aligned.values())]
        checked.problems += [
            *count_problems(manifest),
            *shard_problems(checks, on_progress),
            *label_problems(folder, checked),
            *list_problems(folder, checked),
        ]
        for name, (place, its) in aligned.items():
            checked.companions[name] = check_aligned(place, its, manifest["images"])
        for name, (place, _) in read_companions(folder, manifest, aligned=False).items():
            checked.companions[name] = check(place, on_progress)
        for name, found in checked.companions.items():
            checked.problems += [f"{name}: {problem}" for problem in found.problems]
            if found.manifest["digest"] != manifest["companions"][name]["digest"]:
                checked.problems.append(f"{name}: its pixels are not those the data set names.")
    except DatasetError as cause:
        checked.problems.append(cause.message)
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        checked.problems.append(f"The manifest is damaged: {type(cause).__name__}: {cause}.")
    return checked


def check_aligned(folder: Path, manifest: dict[str, Any], images: int) -> CheckResult:
    """Return the problems of a companion whose shards were read with those of the images."""
    checked = CheckResult(manifest)
    checked.problems += [*count_problems(manifest), *list_problems(folder, checked)]
    if manifest["images"] != images:
        checked.problems.append(f"It has {manifest['images']} images, the data set {images}.")
    return checked


def count_problems(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each sum that is wrong."""
    outcomes = {outcome: manifest[outcome] for outcome in ("written", "duplicates", "skipped")}
    if manifest["found"] != sum(outcomes.values()):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        yield f"The counts do not add up: {manifest['found']} found, but {counts}."
    shards = sum(shard["images"] for shard in manifest["shards"])
    if not shards == manifest["images"] == manifest["written"]:
        yield f"The manifest counts {manifest['images']} images, its shards hold {shards}."


class ModalityCheck:
    """Checks one modality of a data set, shard by shard."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.shards, self.channels = manifest["shards"], manifest.get("channels", 3)
        self.whole = hashlib.sha256()
        self.problems: list[str] = []
        self.is_read = True

    def open(self, number: int) -> Pixels | None:
        """Return a shard's pixels; None, and record a problem, if they cannot be read."""
        try:
            shard = self.shards[number]
            place, resolution = self.folder / shard["file"], self.manifest["resolution"]
            pixels = open_shard(place, shard["images"], resolution, self.channels)
            if file_digest(place) != shard["sha256"]:
                self.problems.append(f"The shard {place} is damaged: its sha256 differs.")
            return pixels
        except (DatasetError, IndexError) as cause:
            self.problems.append(getattr(cause, "message", f"{self.folder} lacks shard {number}."))
            self.is_read = False
            return None

    def finish(self) -> list[str]:
        """Return all problems, once every shard was read."""
        if self.is_read and self.whole.hexdigest() != self.manifest["digest"]:
            self.problems.append("The digest of all pixels is not the manifest's.")
        return self.problems


def shard_problems(
    checks: list[ModalityCheck], on_progress: Callable[[int], object]
) -> Iterator[str]:
    """Yield missing and damaged shards, wrong digests, and duplicate examples.

    An example is a duplicate if all its modalities are: an image may have several partners.
    """
    seen, position = DigestIndex(), 0
    twice = DuplicateCounter(checks[0].manifest.get("splits", {}))
    for number, shard in enumerate(checks[0].shards):
        shards = [check.open(number) for check in checks]
        for check, pixels in zip(checks, shards, strict=True):
            for image in () if pixels is None else pixels:
                check.whole.update(image.data)
        readable = [pixels for pixels in shards if pixels is not None]
        if len(readable) == len(checks):
            for place, images in enumerate(zip(*readable, strict=False), position):
                example = hashlib.sha256(b"".join(image.data for image in images))
                first = seen.add(example.digest(), str(place))
                if first is not None:
                    twice.add(int(first), place)
        position += shard["images"]
        on_progress(shard["images"])
    seen.close()
    for check in checks:
        yield from check.finish()
    if "companion_of" not in checks[0].manifest:  # a companion alone may repeat images
        yield from twice.problems()


class DuplicateCounter:
    """Counts duplicate images, within a split and between splits."""

    def __init__(self, splits: dict[str, list[int]]) -> None:
        self.splits, self.pairs = splits, dict[tuple[str, str], list[int]]()

    def split_of(self, number: int) -> str:
        """Return the name of an image's split; empty without splits."""
        within = (name for name, (start, stop) in self.splits.items() if start <= number < stop)
        return next(within, "")

    def add(self, first: int, second: int) -> None:
        """Record that two images are the same."""
        pair = (self.split_of(first), self.split_of(second))
        self.pairs.setdefault(pair, []).append(second)

    def problems(self) -> Iterator[str]:
        """Yield one sentence per pair of splits."""
        for (first, second), numbers in self.pairs.items():
            where = f"both in the splits {first} and {second}" if first != second else "duplicates"
            yield f"{len(numbers)} images are {where}, the first of them image {numbers[0]}."


def label_problems(folder: Path, checked: CheckResult) -> Iterator[str]:
    """Yield what is wrong with the labels, and count the images of each class."""
    names = checked.manifest.get("class_names")
    if names is None:
        return
    try:
        labels = load_labels(folder / LABELS)
    except (OSError, ValueError, EOFError) as cause:
        yield f"{folder / LABELS} cannot be read: {cause}."
        return
    if labels.shape != (checked.manifest["images"],) or labels.dtype != np.int64:
        yield f"{folder / LABELS} holds {labels.dtype} {labels.shape}, not one int64 per image."
        return
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        yield f"{folder / LABELS} has labels outside 0 to {len(names) - 1}."
        return
    counts = np.bincount(labels, minlength=len(names)).tolist()
    checked.classes = dict(zip(names, counts, strict=True))
    for name, count in checked.classes.items():
        if count == 0:
            yield f"The class {name} has no image."


def list_problems(folder: Path, checked: CheckResult) -> Iterator[str]:
    """Yield the lists whose length is not the manifest's count; count the reasons for skipping."""
    for name, count in ((SOURCES, "written"), (SKIPPED, "skipped"), (DUPLICATES, "duplicates")):
        lines = 0
        try:
            for record in read_lines(folder / name):
                lines += 1
                if name == SKIPPED:
                    reason = record["reason"]
                    checked.reasons[reason] = checked.reasons.get(reason, 0) + 1
        except DatasetError as cause:
            yield cause.message
            continue
        if lines != checked.manifest[count]:
            expected = checked.manifest[count]
            yield f"{folder / name} has {lines} lines, the manifest counts {expected} {count}."
