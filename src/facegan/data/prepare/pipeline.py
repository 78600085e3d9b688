"""Prepares a packed data set from any source of images, for `facegan data prepare`."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import PIL
from PIL import features

from facegan.data.prepare.celeba import CelebASource, is_celeba
from facegan.data.prepare.classes import (
    Classes,
    FolderClasses,
    GivenClasses,
    ManifestClasses,
    NoClasses,
    find_class_root,
)
from facegan.data.prepare.crops import describe_crop, find_crop
from facegan.data.prepare.examples import (
    Example,
    Examples,
    build_examples,
    open_other_images,
    shard_key,
)
from facegan.data.prepare.packed_format import images_per_shard
from facegan.data.prepare.pixels import FILTER, UnusableError
from facegan.data.prepare.pool import Prepared, PrepareSpec, Task, prepare_all
from facegan.data.prepare.skip_report import IgnoredFiles, SkipReasons
from facegan.data.prepare.source_manifest import (
    SourceManifest,
    find_manifest,
    images_source,
    manifest_root,
    warn_unused_manifests,
)
from facegan.data.prepare.sources import (
    FolderSource,
    Source,
    TarSource,
    empty_folders,
    open_source,
)
from facegan.data.prepare.workspace import find_finished, locked_folder, remove_leftovers
from facegan.data.prepare.writer import PackedWriter, Record, companion_facts
from facegan.errors import ConfigError, DatasetError
from facegan.path_kinds import describe_path, no_images_error

# Called with how many images are done, and how many are expected (None if unknown).
OnProgress = Callable[[int, int | None], object]
RESOLUTIONS = range(4, 4097)
UNPAIRED = "unpaired"
NO_FILES = "It is empty."
SourceShard = tuple[int, int]  # (K, M): the K-th of M parts, K from 0


def prepare(
    source: Source | Path | str,
    out: Path,
    resolution: int,
    crop: str = "centre",
    labels: str | None = None,
    shard: SourceShard | None = None,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, expected: None,
    shard_images: int | None = None,
    paired: Source | Path | str | None = None,
    label_maps: Source | Path | str | None = None,
    unpaired: Source | Path | str | None = None,
    host: SourceShard | None = None,
    everything: bool = False,
    on_ignored: Callable[[IgnoredFiles], object] = lambda ignored: None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Prepare a source's images: square, at one resolution, packed, with a manifest.

    If the process is killed, the same call resumes after the last finished shard. The bytes written
    depend only on the source and the arguments, not on the number of workers or interruptions.

    Args:
        source: A folder, a zip, a tar, CelebA's folder; or a :class:`Source`.
        out: The folder to create. It may exist if it is empty or holds this data set, even
            unfinished.
        resolution: The side of every image, 4 to 4096 pixels.
        crop: A name in ``CROPS``.
        labels: "manifest" (the source's dataset.json), "folders", "none", or an attribute of
            CelebA. None: the manifest if it has labels (a tar is not searched for one).
        shard: (K, M) prepares only the images whose names belong to shard K of M, from 0.
        workers: Number of processes; None: one per core. A script that starts several must call
            this under ``if __name__ == "__main__":``.
        on_progress: Called with the number of images done, and expected.
        shard_images: Images per file; None: by their size.
        paired: Images that match those of the source by their path without suffix, and get the
            same crop; "split" if each file of the source holds both, side by side.
        label_maps: Maps of class indices that match in the same way.
        unpaired: Images of another domain, which match none: a data set of its own.
        host: (K, M) says that the source is part K of M of a larger one, as a machine received it.
            Like a shard, such a source may have no usable image.
        everything: Whether to include hidden files, by-products of programs, and images that
            facegan generated.
        on_ignored: Called at the end with the files that were not read.
        encoding: The encoding of names in archives that do not declare it, for example "cp932".

    Returns:
        The manifest. found = written + duplicates + skipped, in those of the companions too.

    Raises:
        ConfigError: an argument is out of range or unknown.
        DatasetError: the source or the folder cannot be used, the disk is full, or no image can
            be prepared.
    """
    check_arguments(resolution, shard, workers)
    crop = find_crop(crop)
    source, classes, labels_plan, source_manifest = open_with_classes(
        source, labels, is_whole=host is None, everything=everything, encoding=encoding
    )
    examples, companions_plan = build_examples(source, paired, label_maps, everything, encoding)
    other = (
        None
        if unpaired is None
        else open_other_images(unpaired, "unpaired_folder", source, everything, encoding)
    )
    per_shard = shard_images or images_per_shard(resolution)
    plan = {
        "resolution": resolution,
        "source": source.name,
        **describe_crop(crop),
        "filter": FILTER,
        "decoder": describe_decoder(),
        **labels_plan,
        "images_per_shard": per_shard,
        **({"part": list(shard)} if shard else {}),
        **companions_plan,
        **({"unpaired_source": other.name} if other else {}),
        **({"host": list(host)} if host else {}),
        **({"everything": True} if everything else {}),
    }

    how = (resolution, crop, shard, workers, on_progress, shard_images, everything, on_ignored)
    beside = partial(prepare_unpaired, other, out, *how)
    if (manifest := find_finished(out, plan)) is not None:
        beside()
        manifest = refuse_changed(out, manifest, examples)
        on_ignored(examples.ignored)
        return manifest
    with locked_folder(out, plan):
        writer = PackedWriter(out, resolution, per_shard, examples.modalities)
        try:
            spec = PrepareSpec(resolution, crop, examples.modalities, everything)
            prepare_remaining(writer, examples, classes, shard, spec, workers, on_progress)
            if labels in (None, "manifest"):
                warn_unused_manifests(source, source_manifest)
            if not writer.counts["written"] and not shard and not host:
                problem = nothing_prepared_error(writer, source, examples.ignored)
                remove_leftovers(out)
                raise problem
            ignored = examples.ignored
            if isinstance(classes, FolderClasses) and isinstance(source, FolderSource):
                root = source.folder / classes.below
                ignored.empty_folders = [] if shard else empty_folders(root, writer.classes_seen)
            on_ignored(ignored)
            writer.commit()
            protocol = {name: value for name, value in plan.items() if name != "resolution"}
            return writer.finish(protocol, classes.ordered, beside(writer.position))
        finally:
            writer.close()


def prepare_unpaired(
    source: Source | None,
    out: Path,
    resolution: int,
    crop: str,
    shard: SourceShard | None,
    workers: int | None,
    on_progress: OnProgress,
    shard_images: int | None,
    everything: bool,
    on_ignored: Callable[[IgnoredFiles], object],
    before: int = 0,
) -> dict[str, dict[str, Any]]:
    """Prepare the images of another domain in a subfolder; progress starts at `before`.

    Returns:
        Their manifest entry by name; empty without a source.
    """
    if source is None:
        return {}

    def on_more(done: int, expected: int | None) -> None:
        on_progress(before + done, None if expected is None else before + expected)

    manifest = prepare(
        source,
        out / UNPAIRED,
        resolution,
        crop,
        "none",
        shard,
        workers,
        on_more,
        shard_images,
        everything=everything,
        on_ignored=on_ignored,
    )
    return {UNPAIRED: companion_facts(UNPAIRED, manifest["digest"], is_aligned=False)}


def check_arguments(resolution: int, shard: SourceShard | None, workers: int | None) -> None:
    """Raise ConfigError if an argument is out of range."""
    if resolution not in RESOLUTIONS:
        raise ConfigError(f"resolution is {resolution}; it must be 4 to 4096 pixels.")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; it must be at least 1.")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise ConfigError(f"shard is {shard[0]} of {shard[1]}; it must be 0 to {shard[1] - 1}.")


def describe_decoder() -> str:
    """Return the decoders' versions: others may decode a JPEG to values that differ by one."""
    return f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"


def open_with_classes(
    source: Source | Path | str,
    labels: str | None,
    is_whole: bool = True,
    everything: bool = False,
    encoding: str | None = None,
) -> tuple[Source, Classes, dict[str, Any], SourceManifest]:
    """Open a source with its classes.

    Returns:
        The source, its classes, what the plan says of them, and the source's manifest. The classes
        of a source that is not whole are the folders of its root.

    Raises:
        ConfigError: `labels` is not a source of labels.
        DatasetError: labels are requested but missing, or are damaged.
    """
    keywords = (None, "manifest", "folders", "none")
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if labels not in ("manifest", "folders") and is_celeba(folder):
            attribute = None if labels in keywords else labels
            found = CelebASource(folder, attribute)
            found.everything = everything
            if found.class_names:
                plan = {"labels_from": attribute}
                return found, GivenClasses(found.class_names), plan, SourceManifest()
            return found, NoClasses(), {"labels_from": "none"}, SourceManifest()
        source = open_source(folder, encoding)
    source.everything = everything
    if labels not in keywords:
        raise ConfigError(
            f"labels is {labels!r}.",
            "Use manifest, folders or none; in CelebA's own layout, also an attribute.",
        )
    manifest = SourceManifest()
    if labels == "manifest" or not isinstance(source, TarSource):
        manifest = find_manifest(source, is_needed=labels in (None, "manifest"))
    whole = source
    if manifest.is_ours:
        refuse_prepared(source, manifest)
        source = images_source(source, manifest)  # the other folders hold label maps
    if labels == "folders":
        below = find_class_root(source.entries()) if is_whole else ""
        plan = {"labels_from": "folders", **({"labels_below": below} if below else {})}
        return source, FolderClasses(below), plan, manifest
    if manifest.facts.get("labels") and labels != "none":
        plan = {"labels_from": "manifest", "labels_digest": manifest.digest}
        below = "" if source is not whole else manifest_root(manifest)
        if below:
            plan["labels_below"] = below
        return source, ManifestClasses(manifest.facts, below), plan, manifest
    if labels == "manifest":
        raise DatasetError(
            f"{source.name} has no dataset.json with labels.",
            'Write one with "labels": {"a.png": 0, …}, or add --labels folders.',
        )
    return source, NoClasses(), {"labels_from": "none"}, manifest


def refuse_prepared(source: Source, manifest: SourceManifest) -> None:
    """Raise DatasetError if the source is a prepared data set."""
    if manifest.facts.get("kind", "folder") == "folder":
        return
    is_folder = isinstance(source, FolderSource)
    place = source.folder / manifest.folder if isinstance(source, FolderSource) else source.name
    hint = f"Train on it: facegan train --data {place} --out DIR." if is_folder else "Unpack it."
    raise DatasetError(f"{place} is already a prepared data set.", hint)


def prepare_remaining(
    writer: PackedWriter,
    examples: Examples,
    classes: Classes,
    shard: SourceShard | None,
    spec: PrepareSpec,
    workers: int | None,
    on_progress: OnProgress,
) -> None:
    """Prepare the examples that are not done yet."""
    begun = writer.position
    cursor = Cursor(begun, writer.names)
    tasks = pending_tasks(examples, writer, shard, cursor)
    on_progress(begun, examples.expected(begun))
    # It owns processes, which must end at once when something fails here.
    with closing(prepare_all(tasks, spec, examples.readers, workers or cpu_count())) as done:
        for task, prepared in done:
            record_result(writer, classes, task, prepared)
            writer.advance(task.index + 1, task.names)
            on_progress(task.index + 1, examples.expected(task.index + 1))
    writer.advance(cursor.position, cursor.names)


class Cursor:
    """How far a source was read; its last images may belong to another shard."""

    def __init__(self, position: int, names: str) -> None:
        self.position, self.names = position, names


def pending_tasks(
    examples: Examples, writer: PackedWriter, shard: SourceShard | None, cursor: Cursor
) -> Iterator[Task]:
    """Yield the examples of this shard that are not done yet.

    Raises:
        DatasetError: the source no longer starts with the examples that are done.
    """
    begun, names_then = writer.position, writer.names
    names = hashlib.sha256()
    index = -1
    for index, example in enumerate(examples):
        names.update(encode_names(example))
        if index < begun:
            if index == begun - 1 and names.hexdigest() != names_then:
                raise source_changed(writer.folder, examples)
            continue
        cursor.position, cursor.names = index + 1, names.hexdigest()
        if shard is None or belongs_to_shard(shard_key(example), shard):
            yield Task(index, example, cursor.names)
    if index + 1 < begun:
        raise source_changed(writer.folder, examples)


def encode_names(example: Example) -> bytes:
    """Return an example's names as bytes, for the digest of all names."""
    names = (entry.name if entry else "" for entry in example)
    return b"".join(name.encode("utf-8", "surrogatepass") + b"\0" for name in names)


def belongs_to_shard(name: str, shard: SourceShard) -> bool:
    """Return whether an example is in this shard; by its name, so all machines agree."""
    number = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]
    return int.from_bytes(number, "big") % shard[1] == shard[0]


def record_result(writer: PackedWriter, classes: Classes, task: Task, prepared: Prepared) -> None:
    """Write or skip an example."""
    if isinstance(prepared, list):
        record_skip(writer, task, prepared)
        return
    entries = [entry for entry in task.example if entry is not None]  # complete: it was prepared
    try:
        label = classes.class_of(entries[0])
    except UnusableError as cause:
        record_skip(writer, task, [str(cause), *[""] * (len(entries) - 1)])
        return
    records: list[Record] = [{"file": entry.name, "index": task.index} for entry in entries]
    if label is not None:
        records[0]["label"] = label
    if entries[0].split is not None:
        records[0]["split"] = entries[0].split
    writer.write(records, *prepared)


def record_skip(writer: PackedWriter, task: Task, reasons: list[str]) -> None:
    """Record the images of a skipped example, with what is wrong with each or with its partner."""
    name, reason = next(
        (entry.name, reason)
        for entry, reason in zip(task.example, reasons, strict=True)
        if entry is not None and reason
    )
    of_partners = f"its partner {name} is not used: {reason}"
    writer.note([
        {"file": entry.name, "index": task.index, "reason": reason or of_partners}
        if entry
        else None
        for entry, reason in zip(task.example, reasons, strict=True)
    ])  # fmt: skip


def cpu_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def names_digest(examples: Examples) -> str:
    """Return the digest of all names in a source."""
    names = hashlib.sha256()
    for example in examples:
        names.update(encode_names(example))
    return names.hexdigest()


def refuse_changed(out: Path, manifest: dict[str, Any], examples: Examples) -> dict[str, Any]:
    """Return the manifest of a finished data set, if the source still has the same names.

    Raises:
        DatasetError: the source has changed.
    """
    if names_digest(examples) != manifest.get("names_digest"):
        raise source_changed(out, examples)
    return {**manifest, "already_there": True}


def source_changed(out: Path, examples: Examples) -> DatasetError:
    """Return the error for a source that has changed."""
    sources = " and ".join(dict.fromkeys(modality.source for modality in examples.modalities))
    return DatasetError(
        f"The images in {sources} have changed since {out} was prepared or begun.",
        f"Remove {out} and prepare it again, or name another folder.",
    )


def nothing_prepared_error(
    writer: PackedWriter, source: Source, ignored: IgnoredFiles
) -> DatasetError:
    """Return the error for a source without usable images, with what it contains instead."""
    there = list(ignored.lines("--everything"))
    found = writer.counts["found"]
    if not found and isinstance(source, FolderSource):
        return no_images_error(describe_path(source.folder), there=there)
    if not found:
        return DatasetError(f"{source.name} contains no images.", " ".join(there) or NO_FILES)
    writer.commit()
    reasons = SkipReasons(
        (record["file"], record["reason"])
        for records in writer.records()
        for record in records
        if record is not None and "reason" in record
    )
    hint = "\n".join([*reasons.lines(), *there])
    return DatasetError(f"None of the {found} images in {source.name} can be prepared.", hint)
