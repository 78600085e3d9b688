"""Writes the packed format shard by shard, and resumes after the last finished shard.

Beside the shards, a run keeps one journal per shard in ``.preparing/``: a line for every example
that was written, dropped as a duplicate or skipped since the previous shard, in order, then the
position reached in the source. A journal appears once its shard is on the disk, in every modality.
The lists, labels and counts of the data set are made from the journals at the end, so memory use
does not grow.
"""

import contextlib
import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from facegan.data.prepare.dedup import DigestIndex
from facegan.data.prepare.modalities import Modality
from facegan.data.prepare.packed_format import (
    DUPLICATES,
    FORMAT,
    KIND,
    LABELS,
    MANIFEST,
    SKIPPED,
    SOURCES,
    VERSION,
    open_shard,
    read_lines,
    to_line,
)
from facegan.data.prepare.shard_file import ShardFile
from facegan.errors import DatasetError
from facegan.files import file_digest, write_atomic

STATE = ".preparing"
LISTS = {"written": SOURCES, "skipped": SKIPPED, "duplicates": DUPLICATES}
# The entries of a protocol that hold for every modality.
# ("detector" and "face_margin" are from --crop faces of earlier versions.)
SHARED = ("crop", "crop_box", "detector", "face_margin", "decoder", "images_per_shard", "part")
Record = dict[str, Any]  # {"file", "index"}, and the outcome
Records = Sequence[Record | None]  # one per modality; None where it is missing


class ModalityWriter:
    """Writes the images of one modality."""

    def __init__(self, folder: Path, modality: Modality, resolution: int) -> None:
        self.folder, self.modality, self.resolution = folder / modality.folder, modality, resolution
        self.counts = {"found": 0, "written": 0, "duplicates": 0, "skipped": 0}
        self.digest = hashlib.sha256()  # of all pixels in order
        self.highest = 0  # the highest class in label maps
        self.shards: list[dict[str, Any]] = []
        self.shard: ShardFile | None = None

    def resume(self, shard: dict[str, Any]) -> None:
        """Continue after a finished shard; it is read again for the digest of all pixels.

        Raises:
            DatasetError: the shard has changed.
        """
        file = self.folder / shard["file"]
        pixels = open_shard(file, shard["images"], self.resolution, self.modality.channels)
        if file_digest(file) != shard["sha256"]:
            raise DatasetError(
                f"The shard {file} has changed since it was written.",
                f"Remove {self.folder} and prepare it again.",
            )
        for image in pixels:
            self.add_to_digest(image.tobytes())
        self.shards.append(shard)

    def add_to_digest(self, pixels: bytes) -> None:
        """Add an image to the digest of all pixels."""
        self.digest.update(pixels)
        self.highest = max(self.highest, self.modality.highest(pixels))

    def append(self, pixels: bytes) -> None:
        """Append an image to the current shard."""
        if self.shard is None:
            number, channels = len(self.shards), self.modality.channels
            self.shard = ShardFile(self.folder, number, self.resolution, channels)
        self.shard.append(pixels)
        self.add_to_digest(pixels)

    def count(self, record: Record) -> None:
        """Count an image by its outcome."""
        self.counts[outcome_of(record)] += 1
        self.counts["found"] += 1

    def commit(self) -> dict[str, Any] | None:
        """Finish the current shard and return its manifest entry; None without one."""
        shard = self.shard.commit() if self.shard is not None else None
        self.shard = None
        return shard

    def manifest(self, protocol: dict[str, Any], names: str, **facts: Any) -> dict[str, Any]:
        """Return the content of dataset.json."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": KIND,
            "name": self.modality.source,
            "resolution": self.resolution,
            "images": self.counts["written"],
            "digest": self.digest.hexdigest(),
            "protocol": protocol,
            **facts,
            **self.counts,
            "sources_file": SOURCES,
            "skipped_files": SKIPPED,
            "duplicate_files": DUPLICATES,
            "names_digest": names,
            "shards": self.shards,
        }


def outcome_of(record: Record) -> str:
    """Return the outcome of an image, a key of the counts."""
    return "skipped" if "reason" in record else "duplicates" if "of" in record else "written"


class PackedWriter:
    """Writes a packed data set.

    Args:
        folder: The folder to write into.
        resolution: The side of every image, in pixels.
        images_per_shard: The number of images in a full shard.
        modalities: The modalities of every example.

    Raises:
        DatasetError: a shard that a killed run had finished has changed.
    """

    def __init__(
        self,
        folder: Path,
        resolution: int,
        images_per_shard: int,
        modalities: Sequence[Modality] = (Modality(),),
    ) -> None:
        self.folder, self.full = folder, images_per_shard
        self.writers = [ModalityWriter(folder, modality, resolution) for modality in modalities]
        self.classes_seen: set[str] = set()
        self.position, self.names = 0, ""  # entries of the source read, and their names' digest
        self.journals = 0
        self.seen = DigestIndex()
        self.journal: IO[bytes] | None = None
        self.resume()

    @property
    def counts(self) -> dict[str, int]:
        """The outcomes of the first modality's images: outcome → count."""
        return self.writers[0].counts

    # --- resuming ---------------------------------------------------------------------------

    def resume(self) -> None:
        """Continue after the finished shards of a killed run."""
        while (path := self.journal_path(self.journals)).exists():
            for line in read_lines(path):
                if "position" in line:
                    self.position, self.names = line["position"], line["names"]
                    for writer, shard in zip(self.writers, line["shards"], strict=False):
                        writer.resume(shard)
                else:
                    self.count(line["sides"])
                    if "pixels" in line:
                        self.seen.add(bytes.fromhex(line["pixels"]), join_files(line["sides"]))
            self.journals += 1

    def journal_path(self, number: int) -> Path:
        """Return the path of a shard's journal."""
        return self.folder / STATE / f"{number:05d}.examples.jsonl"

    # --- examples ---------------------------------------------------------------------------

    def write(self, records: Sequence[Record], pixels: Sequence[bytes], digest: bytes) -> None:
        """Append an example, or note it as a duplicate if all its pixels were seen before."""
        first = self.seen.add(digest, join_files(records))
        if first is not None:
            both = zip(records, split_files(first, len(records)), strict=True)
            self.note([{"file": r["file"], "index": r["index"], "of": of} for r, of in both])
            return
        for writer, content in zip(self.writers, pixels, strict=True):
            writer.append(content)
        self.note(records, digest)

    def note(self, records: Records, digest: bytes | None = None) -> None:
        """Write the outcome of an example into the journal, one record per modality."""
        self.count(records)
        if self.journal is None:
            self.journal = self.journal_path(self.journals).with_suffix(".partial").open("wb")
        pixels = {"pixels": digest.hex()} if digest is not None else {}
        self.journal.write(to_line({"sides": records, **pixels}))

    def count(self, records: Records) -> None:
        """Count the images of an example, and note its class."""
        for writer, record in zip(self.writers, records, strict=True):
            if record is not None:
                writer.count(record)
        first = records[0]
        if first is not None and outcome_of(first) == "written" and first.get("label") is not None:
            self.classes_seen.add(first["label"])

    def advance(self, position: int, names: str) -> None:
        """Record how far the source was read, and finish the shard if it is full."""
        self.position, self.names = position, names
        shard = self.writers[0].shard
        if shard is not None and shard.images >= self.full:
            self.commit()

    def commit(self) -> None:
        """Finish every modality's shard, then their journal, which makes them permanent."""
        shards = [shard for writer in self.writers if (shard := writer.commit()) is not None]
        if self.journal is None:
            return
        self.journal.write(
            to_line({"position": self.position, "names": self.names, "shards": shards})
        )
        self.journal.flush()
        os.fsync(self.journal.fileno())
        self.journal.close()
        self.journal = None
        path = self.journal_path(self.journals)
        os.replace(path.with_suffix(".partial"), path)
        self.journals += 1
        for writer, shard in zip(self.writers, shards, strict=False):  # empty if all were skipped
            writer.shards.append(shard)

    # --- finishing --------------------------------------------------------------------------

    def finish(
        self,
        protocol: dict[str, Any],
        order_classes: Callable[[set[str]], list[str] | None],
        companions: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Write the lists, the labels and, last, the manifest that makes it a data set.

        Args:
            protocol: How it was prepared.
            order_classes: Returns the names of all classes, given those that have images.
            companions: The manifest entries of companions that were written separately.

        Returns:
            The manifest.
        """
        self.commit()
        class_names = order_classes(self.classes_seen)
        splits = self.write_lists(class_names)
        companions = {**self.write_companions(protocol), **companions}
        facts = {
            **({"labels": LABELS, "class_names": class_names} if class_names is not None else {}),
            **({"splits": splits} if splits else {}),
            **({"companions": companions} if companions else {}),
        }
        manifest = self.writers[0].manifest(protocol, self.names, **facts)
        write_atomic(self.folder / MANIFEST, encode_manifest(manifest))
        shutil.rmtree(self.folder / STATE, ignore_errors=True)
        return manifest

    def write_companions(self, protocol: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Write the manifests of the aligned companions, and return their manifest entries."""
        shared = {name: protocol[name] for name in protocol if name in SHARED}
        for writer in self.writers[1:]:
            own = {"source": writer.modality.source, **shared, "filter": writer.modality.filter}
            facts = {"companion_of": "..", **writer.modality.facts(writer.highest)}
            manifest = writer.manifest(own, self.names, **facts)
            write_atomic(writer.folder / MANIFEST, encode_manifest(manifest))
        return {
            writer.modality.name: companion_facts(
                writer.modality.folder, writer.digest.hexdigest(), True
            )
            for writer in self.writers[1:]
        }

    def write_lists(self, class_names: list[str] | None) -> dict[str, list[int]]:
        """Write the lists of names and the labels from the journals; return the splits."""
        number_of = {name: number for number, name in enumerate(class_names or [])}
        labels, splits = array("q"), dict[str, list[int]]()
        written = 0
        with contextlib.ExitStack() as stack:
            files = [
                {
                    outcome: stack.enter_context(atomic_file(writer.folder / name))
                    for outcome, name in LISTS.items()
                }
                for writer in self.writers
            ]
            for records in self.records():
                for lists, record in zip(files, records, strict=True):
                    if record is not None:
                        lists[outcome_of(record)].write(to_line(omit(record, "label", "split")))
                first = records[0]
                if first is None or outcome_of(first) != "written":
                    continue
                if class_names is not None:
                    labels.append(number_of[first["label"]])
                if (split := first.get("split")) is not None:
                    splits.setdefault(split, [written, written])[1] = written + 1
                written += 1
        if class_names is not None:
            with atomic_file(self.folder / LABELS) as stream:
                np.save(stream, np.frombuffer(labels, np.int64), allow_pickle=False)
        return splits

    def records(self) -> Iterator[Records]:
        """Yield the records of every example, in order."""
        for number in range(self.journals):
            for line in read_lines(self.journal_path(number)):
                if "position" not in line:
                    yield line["sides"]

    def close(self) -> None:
        """Discard the unfinished shards; finished ones stay for the next run."""
        for writer in self.writers:
            if writer.shard is not None:
                writer.shard.discard()
        if self.journal is not None:
            with contextlib.suppress(OSError):  # flushing the buffer fails on a full disk
                self.journal.close()
        self.seen.close()


def join_files(records: Sequence[Record]) -> str:
    """Join the file names of all modalities; a file name cannot contain a zero byte."""
    return "\0".join(record["file"] for record in records)


def split_files(names: str, modalities: int) -> list[str]:
    """Split what :func:`join_files` has joined."""
    return names.split("\0", modalities - 1)


def omit(record: Record, *names: str) -> Record:
    """Return a record without some of its keys."""
    return {name: value for name, value in record.items() if name not in names}


def companion_facts(folder: str, digest: str, is_aligned: bool) -> dict[str, Any]:
    """Return the manifest entry of a companion; an aligned one has one image per image."""
    return {"folder": folder, "digest": digest, "aligned": is_aligned}


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name, and rename it once it is complete and synced."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)  # missing if a companion has no images
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def encode_manifest(manifest: dict[str, Any]) -> bytes:
    """Return a manifest as indented JSON."""
    return json.dumps(manifest, indent=1).encode() + b"\n"
