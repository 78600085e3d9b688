"""The packed format: what files a prepared data set is made of, and how its manifest is read."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facegan.errors import DatasetError
from facegan.preparing.pixels import Pixels

FORMAT, VERSION, KIND = "facegan-dataset", 2, "packed"
MANIFEST, LABELS = "dataset.json", "labels.npy"
SOURCES, SKIPPED, DUPLICATES = "sources.jsonl", "skipped.jsonl", "duplicates.jsonl"
SHARD_BYTES = 2**27  # of pixels: what a kill can cost, and what one file holds


def shard_name(number: int) -> str:
    """Where a shard lies: ``images/00012.npy``."""
    return f"images/{number:05d}.npy"


def images_per_shard(resolution: int) -> int:
    """How many images a shard holds, but for the last."""
    return max(SHARD_BYTES // (resolution * resolution * 3), 1)


def read_packed(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared data set.

    Raises:
        DatasetError: there is none, or it is of another kind or newer.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        problem = "has no dataset.json" if folder.is_dir() else "does not exist"
        raise DatasetError(
            f"{folder} {problem}, so it is no prepared data set.",
            f"Make one: facegan data prepare SOURCE --out {folder} --resolution 64.",
        ) from None
    except (OSError, ValueError, RecursionError) as cause:
        raise DatasetError(f"{folder / MANIFEST} cannot be read: {cause}.") from cause
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DatasetError(f"{folder / MANIFEST} is not of the format {FORMAT!r}.")
    if manifest.get("kind") == "streamed":
        raise DatasetError(
            f"{folder} holds a streamed data set, and a packed one is needed here.",
            "Name the packed one that it was made of.",
        )
    if manifest.get("kind") != KIND:
        raise DatasetError(
            f"{folder} holds plain pictures, not a prepared data set.",
            f"Prepare it: facegan data prepare {folder} --out DIR --resolution R.",
        )
    if manifest.get("version") != VERSION:
        raise DatasetError(
            f"{folder / MANIFEST} has version {manifest.get('version')}; this facegan reads "
            f"{VERSION}.",
            "Upgrade facegan, or prepare the data set again.",
        )
    return manifest


def read_companions(
    folder: Path, manifest: dict[str, Any], aligned: bool = True
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """The folders and manifests of a data set's companions, by name.

    Args:
        folder: The data set's.
        manifest: Its manifest.
        aligned: Those that have an image for each of its images; or those that do not.

    Raises:
        DatasetError: one is missing, or no data set in a folder below.
    """
    found = {}
    for name, facts in manifest.get("companions", {}).items():
        below = facts.get("folder")
        if not isinstance(below, str) or PurePosixPath(below).name != below or "\\" in below:
            raise DatasetError(f"{folder / MANIFEST}: the companion {name} is in no folder below.")
        if facts.get("aligned", False) is aligned:
            found[name] = (folder / below, read_packed(folder / below))
    return found


def open_shard(folder: Path, shard: dict[str, Any], resolution: int, channels: int = 3) -> Pixels:
    """A shard's pixels (n, R, R, channels), mapped into memory.

    Raises:
        DatasetError: it is missing, cut short, or not what the manifest says.
    """
    path = folder / shard["file"]
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"The shard {path} is missing.") from None
    except (OSError, ValueError, EOFError) as cause:
        raise DatasetError(f"The shard {path} is damaged: {cause}.") from cause
    shape = (shard["images"], resolution, resolution, channels)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise DatasetError(
            f"The shard {path} holds {pixels.dtype} {pixels.shape}, not uint8 {shape}."
        )
    return pixels  # type: ignore[no-any-return]


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file with one of them, in JSON, a line.

    Raises:
        DatasetError: it cannot be read, or a line is something else.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)
    except (OSError, ValueError) as cause:
        raise DatasetError(f"{path} cannot be read: {cause}.") from cause


def to_line(record: dict[str, Any]) -> bytes:
    """A record as a line: pure ASCII, so that no name, in any script, can break it."""
    return json.dumps(record).encode() + b"\n"
