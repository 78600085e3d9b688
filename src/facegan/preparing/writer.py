"""Writes the packed format shard by shard, and goes on where a killed run had finished shards.

Beside the shards a run keeps, in ``.preparing/``, a journal a shard: a line for every picture that
was written, dropped as a duplicate or skipped since the shard before, in order, and at last how far
in the source that reaches. A journal appears when its shard is whole on the disk. From the journals
the lists, labels and counts of the data set are made at the end, so nothing grows in memory.
"""

import contextlib
import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from facegan.errors import DatasetError
from facegan.files import write_aside
from facegan.preparing.layout import (
    DUPLICATES,
    FORMAT,
    KIND,
    LABELS,
    MANIFEST,
    SKIPPED,
    SOURCES,
    VERSION,
    file_digest,
    open_shard,
    read_lines,
    to_line,
)
from facegan.preparing.seen import Seen
from facegan.preparing.shard_file import ShardFile

STATE = ".preparing"
Record = dict[str, Any]  # {"file", "index"}, and what became of it


class PackedWriter:
    """A data set in the making.

    Args:
        folder: Where.
        resolution: The side of every image.
        images_per_shard: When a shard is full.

    Raises:
        DatasetError: a shard that a killed run had finished is not what it was.
    """

    def __init__(self, folder: Path, resolution: int, images_per_shard: int) -> None:
        self.folder, self.resolution, self.full = folder, resolution, images_per_shard
        self.counts = {"found": 0, "written": 0, "duplicates": 0, "skipped": 0}
        self.digest = hashlib.sha256()  # of all pixels in order
        self.shards: list[dict[str, Any]] = []
        self.classes_seen: set[str] = set()
        self.position, self.names = 0, ""  # how far the source was read; what its names come to
        self.journals = 0
        self.seen = Seen()
        self.shard: ShardFile | None = None
        self.journal: IO[bytes] | None = None
        self.remember()

    # --- what a killed run left -------------------------------------------------------------

    def remember(self) -> None:
        """Take up the finished shards."""
        while (path := self.journal_path(self.journals)).exists():
            for record in read_lines(path):
                if "position" in record:
                    self.remember_shard(record)
                else:
                    self.count(record)
                    if "pixels" in record:
                        self.seen.first_of(bytes.fromhex(record["pixels"]), record["file"])
            self.journals += 1

    def remember_shard(self, record: Record) -> None:
        """Take up one, read once more: its pixels are part of the digest."""
        self.position, self.names = record["position"], record["names"]
        if shard := record["shard"]:
            pixels = open_shard(self.folder, shard, self.resolution)
            if file_digest(self.folder / shard["file"]) != shard["sha256"]:
                raise DatasetError(
                    f"The shard {self.folder / shard['file']} has changed since it was written.",
                    f"Remove {self.folder} and prepare it again.",
                )
            self.digest.update(pixels.data)
            self.shards.append(shard)

    def journal_path(self, number: int) -> Path:
        """Where a shard's journal lies."""
        return self.folder / STATE / f"{number:05d}.jsonl"

    # --- one picture after another ----------------------------------------------------------

    def write(self, record: Record, pixels: bytes, digest: bytes) -> None:
        """Add a picture, unless its pixels were there before."""
        first = self.seen.first_of(digest, record["file"])
        if first is not None:
            self.note({"file": record["file"], "index": record["index"], "of": first})
            return
        if self.shard is None:
            self.shard = ShardFile(self.folder, len(self.shards), self.resolution)
        self.shard.append(pixels)
        self.digest.update(pixels)
        self.note({**record, "pixels": digest.hex()})

    def skip(self, record: Record, reason: str) -> None:
        """Name a picture that is not used."""
        self.note({"file": record["file"], "index": record["index"], "reason": reason})

    def note(self, record: Record) -> None:
        """Write into the journal what became of a picture."""
        self.count(record)
        if self.journal is None:
            self.journal = self.journal_path(self.journals).with_suffix(".partial").open("wb")
        self.journal.write(to_line(record))

    def count(self, record: Record) -> None:
        """Count a picture by what became of it."""
        fate = "skipped" if "reason" in record else "duplicates" if "of" in record else "written"
        self.counts[fate] += 1
        self.counts["found"] += 1
        if fate == "written" and record.get("label") is not None:
            self.classes_seen.add(record["label"])

    def reach(self, position: int, names: str) -> None:
        """Note how far the source was read; if a shard is full by that, it is finished."""
        self.position, self.names = position, names
        if self.shard is not None and self.shard.images >= self.full:
            self.commit()

    def commit(self) -> None:
        """Finish the shard, then its journal, which makes it count."""
        shard = self.shard.commit() if self.shard is not None else None
        self.shard = None
        if self.journal is None:
            return
        self.journal.write(
            to_line({"position": self.position, "names": self.names, "shard": shard})
        )
        self.journal.flush()
        os.fsync(self.journal.fileno())
        self.journal.close()
        self.journal = None
        path = self.journal_path(self.journals)
        os.replace(path.with_suffix(".partial"), path)
        self.journals += 1
        if shard is not None:
            self.shards.append(shard)

    # --- the end ----------------------------------------------------------------------------

    def finish(
        self,
        protocol: dict[str, Any],
        order_classes: Callable[[set[str]], list[str] | None],
        **facts: Any,
    ) -> dict[str, Any]:
        """Write the lists, the labels and, last of all, the manifest, which makes it a data set.

        Returns:
            The manifest.
        """
        self.commit()
        class_names = order_classes(self.classes_seen)
        splits = self.write_lists(class_names)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "kind": KIND,
            **facts,
            "resolution": self.resolution,
            "images": self.counts["written"],
            "digest": self.digest.hexdigest(),
            "protocol": protocol,
            **({"labels": LABELS, "class_names": class_names} if class_names is not None else {}),
            **({"splits": splits} if splits else {}),
            **self.counts,
            "sources_file": SOURCES,
            "skipped_files": SKIPPED,
            "duplicate_files": DUPLICATES,
            "names_digest": self.names,
            "shards": self.shards,
        }
        write_aside(self.folder / MANIFEST, to_pretty(manifest))
        shutil.rmtree(self.folder / STATE, ignore_errors=True)
        return manifest

    def write_lists(self, class_names: list[str] | None) -> dict[str, list[int]]:
        """Make of the journals the lists of names and the labels; the splits that they tell of."""
        number_of = {name: number for number, name in enumerate(class_names or [])}
        labels, splits = array("q"), dict[str, list[int]]()
        written = 0
        with contextlib.ExitStack() as stack:
            files = {
                name: stack.enter_context(file_aside(self.folder / name))
                for name in (SOURCES, SKIPPED, DUPLICATES)
            }
            for record in self.records():
                if "reason" in record:
                    files[SKIPPED].write(to_line(record))
                elif "of" in record:
                    files[DUPLICATES].write(to_line(record))
                else:
                    facts = {"file": record["file"], "index": record["index"]}
                    files[SOURCES].write(to_line(facts))
                    if class_names is not None:
                        labels.append(number_of[record["label"]])
                    if (split := record.get("split")) is not None:
                        splits.setdefault(split, [written, written])[1] = written + 1
                    written += 1
        if class_names is not None:
            with file_aside(self.folder / LABELS) as stream:
                np.save(stream, np.frombuffer(labels, np.int64), allow_pickle=False)
        return splits

    def records(self) -> Iterator[Record]:
        """What became of every picture, in order."""
        for number in range(self.journals):
            for record in read_lines(self.journal_path(number)):
                if "position" not in record:
                    yield record

    def close(self) -> None:
        """Let go of what is unfinished; what is finished stays for the next run."""
        if self.shard is not None:
            self.shard.discard()
        if self.journal is not None:
            with contextlib.suppress(OSError):  # a full disk does not take what was buffered
                self.journal.close()
        self.seen.close()


@contextlib.contextmanager
def file_aside(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears when it is complete and on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_pretty(manifest: dict[str, Any]) -> bytes:
    """A manifest for people, too."""
    return json.dumps(manifest, indent=1).encode() + b"\n"
