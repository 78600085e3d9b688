"""Reads and writes the packed format: a manifest and shards of uint8 pixels.

Pixels are read with ``pread``, not mapped: if a mapped file is truncated, its reader gets a SIGBUS.

Torch is not imported here: preparing and checking a data set work without it.

::

    DIR/dataset.json          the manifest: resolution, counts, digests, the shards in their order
    DIR/images/00000.npy …    uint8 (n, R, R, 3), C order, NumPy's .npy
    DIR/labels.npy            int64 (N,), if there are classes
"""

import hashlib
import json
import os
import secrets
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from facegan.data.manifest import MANIFEST, read_manifest
from facegan.data.prepare.packed_format import (
    AGAIN,
    VERSION,
    check_resolution,
    load_labels,
    npy_faults,
    open_shard,
    shard_name,
)
from facegan.data.prepare.workspace import write_error
from facegan.errors import DatasetError
from facegan.files import file_digest

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
OnProgress = Callable[[int], object]

IMAGES_PER_SHARD = 8192
BLOCK_BYTES = 2**24  # hashed at a time
MAX_OPEN_SHARDS = 256  # a process may have 1,024 open files by default


@dataclass(frozen=True)
class Shard:
    """A manifest's entry for one file of pixels."""

    file: str  # its path below the data set's folder, with slashes
    images: int
    sha256: str  # of the file's bytes


@dataclass(frozen=True)
class PackedManifest:
    """The checked dataset.json of a packed data set."""

    resolution: int
    images: int
    digest: str  # sha256 of all pixels in order, uint8 (N, H, W, C)
    shards: tuple[Shard, ...]
    facts: Mapping[str, Any] = field(repr=False)  # the whole JSON object

    @property
    def labels_file(self) -> str | None:
        """The path of the labels, below the folder; None without labels."""
        return self.facts.get("labels") or None

    @property
    def channels(self) -> int:
        """3 for images, 1 for label maps."""
        return int(self.facts.get("channels", 3))

    @property
    def companions(self) -> Mapping[str, Mapping[str, Any]]:
        """The entries of the data set's companions, by name."""
        return self.facts.get("companions") or {}

    def open_shard(self, folder: Path, shard: Shard, stays_open: bool = True) -> "ShardReader":
        """Open one shard for reading.

        Raises:
            DatasetError: it is missing, too short, or has another shape or type.
        """
        size = shard.images, self.resolution, self.channels
        return ShardReader(folder / shard.file, *size, stays_open)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], place: Path) -> Self:
        """Check the content of a dataset.json.

        Args:
            facts: The JSON object.
            place: The file, for the error message.

        Raises:
            DatasetError: its version is newer, or an entry is missing, malformed or contradictory.
        """
        version = facts.get("version")
        if isinstance(version, int) and version > VERSION:
            raise DatasetError(
                f"{place} is of version {version}; this facegan reads {VERSION} and older.",
                "Install a newer facegan, or prepare the data set with this one.",
            )
        if facts.get("images") == 0:
            raise DatasetError(
                f"{place.parent} has no images: this part of a data set is empty.",
                "Merge it with the others: facegan data merge PARTS --out DIR.",
            )
        try:
            shards = tuple(read_shard(entry) for entry in facts["shards"])
            found = cls(
                check_positive(facts["resolution"]), check_positive(facts["images"]),
                check_sha256(facts["digest"]), shards, facts,
            )  # fmt: skip
            if labels := facts.get("labels"):
                check_relative_name(labels)
            check_facts(facts)
            if found.channels not in (1, 3):
                raise ValueError(f"{found.channels} channels")
            for companion in found.companions.values():
                check_companion(**companion)
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            missing = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
            raise DatasetError(
                f"{place} is not the manifest of a packed data set: {missing}.", AGAIN
            ) from None
        counted = sum(shard.images for shard in shards)
        if counted != found.images:
            raise DatasetError(
                f"{place} contradicts itself: {found.images} images, but {counted} in its shards.",
                AGAIN,
            )
        return found


def read_shard(entry: Any) -> Shard:
    """Parse one entry of a manifest's shards.

    Raises:
        ValueError, TypeError, KeyError: it is malformed.
    """
    file, images = check_relative_name(entry["file"]), check_positive(entry["images"])
    return Shard(file, images, check_sha256(entry["sha256"]))


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError if an entry that a run records is malformed."""
    for name in ("protocol", "companions"):
        if not isinstance(facts.get(name) or {}, dict):
            raise ValueError(f"{name} is not an object")
    skipped = facts.get("skipped", 0)
    if type(skipped) is not int or skipped < 0:
        raise ValueError(f"skipped is {skipped!r}, not a number of files")


def check_companion(folder: Any, digest: Any, aligned: Any) -> None:
    """Raise ValueError or TypeError if the entry of a companion is malformed."""
    check_relative_name(folder)
    check_sha256(digest)
    if type(aligned) is not bool:
        raise ValueError(f"aligned is {aligned!r}, neither true nor false")


def check_positive(number: Any) -> int:
    """Return a whole number from 1; raise ValueError for anything else."""
    if type(number) is not int or number < 1:
        raise ValueError(f"{number!r} is not a whole number from 1")
    return number


def check_sha256(text: Any) -> str:
    """Return a sha256 in hexadecimal; raise ValueError for anything else."""
    if not (isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")):
        raise ValueError(f"{text!r} is not a sha256")
    return text


def check_relative_name(name: Any) -> str:
    """Return a path that stays below the folder; raise ValueError for anything else."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a file name")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the folder")
    return name


def read_packed_manifest(folder: Path) -> PackedManifest:
    """Return the manifest of a packed data set.

    Raises:
        DatasetError: it is missing or malformed.
    """
    return PackedManifest.from_facts(read_manifest(folder), folder / MANIFEST)


# --- pixels -------------------------------------------------------------------------------------


class PixelSource(Protocol):
    """Pixels by index, described by a manifest."""

    @property
    def manifest(self) -> PackedManifest:
        """The manifest of the data set."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """Return the images (n, R, R, 3) at n indices."""

    def verify(self, on_progress: OnProgress = ...) -> None:
        """Read every byte and compare it with the manifest's digests."""


class ShardReader:
    """Reads single images from a shard's file.

    Args:
        file: The path of the shard.
        images: The number of images in it.
        resolution: The side of each image.
        channels: The number of channels of each image.
        stays_open: Whether to keep the file open; else it is opened for every image.

    Raises:
        DatasetError: the file is missing, too short, or has another shape or type.
    """

    def __init__(
        self, file: Path, images: int, resolution: int, channels: int, stays_open: bool = True
    ) -> None:
        whole = open_shard(file, images, resolution, channels)  # checked, then closed
        self.file, self.images = file, images
        self.image_bytes = whole[0].nbytes
        self.start = file.stat().st_size - whole.nbytes
        self.descriptor: int | None = None
        if stays_open:
            self.descriptor = self.open()
            weakref.finalize(self, os.close, self.descriptor)

    def __len__(self) -> int:
        return self.images

    def open(self) -> int:
        """Return a descriptor of the file."""
        try:
            return os.open(self.file, os.O_RDONLY)
        except OSError as cause:
            raise self.unreadable(str(cause.strerror)) from cause

    def read_into(self, row: int, image: Pixels) -> None:
        """Read an image into an array (R, R, channels).

        Raises:
            DatasetError: the file was truncated, or cannot be read any more.
        """
        place = self.start + row * self.image_bytes
        descriptor = self.open() if self.descriptor is None else self.descriptor
        try:
            done = os.preadv(descriptor, (image.data,), place)
        except OSError as cause:
            raise self.unreadable(str(cause.strerror)) from cause
        finally:
            if self.descriptor is None:
                os.close(descriptor)
        if done != image.nbytes:
            raise self.unreadable("it was truncated while in use")

    def unreadable(self, reason: str) -> DatasetError:
        """Return the error for a shard that was complete when it was opened."""
        return DatasetError(f"The shard {self.file} cannot be read: {reason}.", AGAIN)


@dataclass(frozen=True)
class PackedPixels:
    """All pixels of a packed data set, read on demand; the system caches the files.

    Args:
        folder: The data set's folder.
        manifest: Its manifest.
        shards: Its shards, in the manifest's order.
    """

    folder: Path
    manifest: PackedManifest
    shards: Sequence[ShardReader]

    @classmethod
    def open(cls, folder: Path, resolution: int | None = None) -> Self:
        """Open the shards of a folder; headers and sizes are checked, pixels are not.

        Raises:
            DatasetError: the manifest is malformed, a shard is missing or has another shape, or
                the resolution is not the requested one.
        """
        manifest = read_packed_manifest(folder)
        check_resolution(folder, manifest.resolution, resolution)
        stays_open = len(manifest.shards) <= MAX_OPEN_SHARDS
        shards = [manifest.open_shard(folder, shard, stays_open) for shard in manifest.shards]
        return cls(folder, manifest, shards)

    @cached_property
    def starts(self) -> npt.NDArray[np.intp]:
        """The index of the first image of each shard."""
        return np.cumsum([0, *(len(shard) for shard in self.shards[:-1])])

    def __len__(self) -> int:
        return self.manifest.images

    def read(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """Return a copy of the images (n, R, R, channels) at n indices, in any order.

        Raises:
            IndexError: an index is out of range.
            DatasetError: a shard was truncated since it was opened, or cannot be read any more.
        """
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"an index lies outside 0 to {len(self) - 1}")
        side = self.manifest.resolution
        images = np.empty((len(indices), side, side, self.manifest.channels), np.uint8)
        of_shard = np.searchsorted(self.starts, indices, side="right") - 1
        rows = (indices - self.starts[of_shard]).tolist()
        for image, number, row in zip(images, of_shard.tolist(), rows, strict=True):
            self.shards[number].read_into(row, image)
        return images

    def verify(self, on_progress: OnProgress = lambda images: None) -> None:
        """Read every byte and compare it with the manifest's digests.

        Args:
            on_progress: Called after each shard, with its number of images.

        Raises:
            DatasetError: the digest of a shard, or of all pixels, differs; it names the shards.
        """
        whole, damaged = hashlib.sha256(), []
        with ThreadPoolExecutor(1) as pool:  # hashing releases the interpreter lock
            for shard in self.manifest.shards:
                if not hash_shard(self.folder / shard.file, shard, whole, pool):
                    damaged.append(shard.file)
                on_progress(shard.images)
        if damaged:
            raise damaged_shards(self.folder, damaged)
        if whole.hexdigest() != self.manifest.digest:
            raise DatasetError(
                f"The digest of the pixels in {self.folder} is not the one in its {MANIFEST}.",
                AGAIN,
            )


def hash_shard(file: Path, shard: Shard, whole: Any, pool: ThreadPoolExecutor) -> bool:
    """Add a shard's pixels to the digest of all, and return whether the file's own is right.

    Args:
        file: The path of the shard.
        shard: Its manifest entry.
        whole: The hash of all pixels so far.
        pool: One more thread, for the file's own digest.
    """
    own = hashlib.sha256()
    try:
        with npy_faults(file), file.open("rb") as stream:
            header = read_header(stream)
            own.update(header)
            while block := stream.read(BLOCK_BYTES):
                other = pool.submit(own.update, block)
                whole.update(block)
                other.result()
    except (OSError, ValueError) as cause:
        raise DatasetError(f"The shard {file} cannot be read: {cause}.", AGAIN) from cause
    return own.hexdigest() == shard.sha256


def read_header(stream: IO[bytes]) -> bytes:
    """Return the header of an open .npy file; the stream is then at the first pixel."""
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"its version is {version}")
    read[version](stream)
    length = stream.tell()
    stream.seek(0)
    return stream.read(length)


def damaged_shards(folder: Path, files: Sequence[str]) -> DatasetError:
    """Return the error for shards whose digest differs."""
    return DatasetError(
        f"Shards of {folder} are damaged: {', '.join(files)}.",
        "Copy them again, or prepare the data set again.",
    )


def read_label_numbers(folder: Path, manifest: PackedManifest) -> Numbers | None:
    """Return each image's class, int64 (N,); None without labels.

    Raises:
        DatasetError: the file is missing or malformed.
    """
    if manifest.labels_file is None:
        return None
    file = folder / manifest.labels_file
    try:
        numbers = load_labels(file)
    except (OSError, ValueError, EOFError) as cause:
        raise DatasetError(f"The labels in {file} cannot be read: {cause}.", AGAIN) from cause
    is_array = isinstance(numbers, np.ndarray) and numbers.dtype == np.int64
    if not is_array or numbers.shape != (manifest.images,) or (numbers < 0).any():
        raise DatasetError(
            f"{file} does not hold one int64 label from 0 for each of {manifest.images} images.",
            AGAIN,
        )
    found: Numbers = numbers
    return found


# --- writing ------------------------------------------------------------------------------------


def write_packed(
    folder: Path,
    images: Pixels,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    **facts: Any,
) -> PackedManifest:
    """Write an array of images as a packed data set; the folder appears once it is complete.

    Args:
        folder: A folder that is empty or does not exist.
        images: uint8 (N, R, R, 3), N at least 1.
        labels: The class of each image, from 0.
        class_names: The names of the classes.
        images_per_shard: The maximum number of images per file.
        facts: Further entries of the manifest: ``name``, ``protocol``, ``skipped`` …

    Raises:
        DatasetError: the folder is not empty, or cannot be written; no partial folder stays.
    """
    about = {"kind": "packed", **facts}
    with packed_folder(folder, images, labels, class_names, about) as (partial, shards):
        for number, first in enumerate(range(0, len(images), images_per_shard)):
            shards.append(write_shard(partial, number, images[first : first + images_per_shard]))
    return read_packed_manifest(folder)


@contextmanager
def packed_folder(
    folder: Path,
    images: Pixels,
    labels: Sequence[int] | None,
    class_names: Sequence[str] | None,
    facts: Mapping[str, Any],
) -> Iterator[tuple[Path, list[Shard]]]:
    """Give a folder to write shards into, and a list for their entries; then write the rest."""
    shards: list[Shard] = []
    with atomic_folder(folder) as partial:
        (partial / "images").mkdir()
        yield partial, shards
        manifest: dict[str, Any] = {
            "format": "facegan-dataset",
            "version": VERSION,
            "resolution": images.shape[1],
            "images": len(images),
            "digest": pixel_digest(images),
            "shards": [vars(shard) for shard in shards],
            "found": len(images),
            "written": len(images),
            "duplicates": 0,
            "skipped": 0,
            **facts,
        }
        if labels is not None:
            np.save(partial / "labels.npy", np.asarray(labels, np.int64))
            manifest["labels"] = "labels.npy"
        if class_names is not None:
            manifest["class_names"] = list(class_names)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def pixel_digest(images: Pixels) -> str:
    """Return the sha256 of pixels (N, R, R, 3), in order."""
    whole = hashlib.sha256()
    for image in images:
        whole.update(np.ascontiguousarray(image).data)
    return whole.hexdigest()


def write_shard(folder: Path, number: int, images: Pixels) -> Shard:
    """Write one file of pixels, and return its manifest entry."""
    name = shard_name(number)
    file = folder / name
    with file.open("wb") as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(images, np.uint8), version=(1, 0))
    return Shard(name, len(images), file_digest(file))


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder, which is renamed at the end, or removed after an error.

    Raises:
        DatasetError: the folder exists and is not empty, or the disk is full.
        OutputError: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists and is not empty.", "Name another folder.")
    partial = folder.with_name(f"{folder.name}.partial-{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(folder)
    except OSError as cause:
        raise write_error(folder, cause, "or ask for fewer images.") from cause
    finally:
        shutil.rmtree(partial, ignore_errors=True)
