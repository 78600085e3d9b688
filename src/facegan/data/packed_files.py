"""The packed format on a disk: a manifest and shards of uint8 pixels, checked before they are read.

Pixels are read by ``pread``, not mapped: a mapped file that is cut short kills its reader (SIGBUS).

No torch here: preparing and checking a data set need none.

::

    DIR/dataset.json          the manifest: resolution, counts, digests, the shards in their order
    DIR/images/00000.npy …    uint8 (n, R, R, 3), C order, NumPy's .npy
    DIR/labels.npy            int64 (N,), where there are classes
"""

import errno
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
from facegan.errors import DatasetError, OutputError
from facegan.files import file_digest

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
OnProgress = Callable[[int], object]

IMAGES_PER_SHARD = 8192
BLOCK_BYTES = 2**24  # hashed at a time
MAX_OPEN_SHARDS = 256  # shards whose files are kept open: processes may have 1,024 files by default


@dataclass(frozen=True)
class Shard:
    """What a manifest says of one file of pixels."""

    file: str  # below the data set's folder, with slashes
    images: int
    sha256: str  # of the file's bytes


@dataclass(frozen=True)
class PackedManifest:
    """What dataset.json says of a packed data set, checked."""

    resolution: int
    images: int
    digest: str  # sha256 of all pixels in order, as uint8 rows of height, width, channel
    shards: tuple[Shard, ...]
    facts: Mapping[str, Any] = field(repr=False)  # all that the file says

    @property
    def labels_file(self) -> str | None:
        """The file of the labels, below the folder; None without labels."""
        return self.facts.get("labels") or None

    @property
    def channels(self) -> int:
        """How many an image has: 3, or 1 of label maps."""
        return int(self.facts.get("channels", 3))

    @property
    def companions(self) -> Mapping[str, Mapping[str, Any]]:
        """What the file says of the data sets that belong to this one, by name."""
        return self.facts.get("companions") or {}

    def open_shard(self, folder: Path, shard: Shard, stays_open: bool = True) -> "ShardReader":
        """One shard's images, read when they are asked for.

        Raises:
            DatasetError: it is missing, short, or of another shape or type than it should be.
        """
        size = shard.images, self.resolution, self.channels
        return ShardReader(folder / shard.file, *size, stays_open)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], place: Path) -> Self:
        """The manifest in a dataset.json.

        Args:
            facts: The JSON object.
            place: The file, for the error message.

        Raises:
            DatasetError: it is of a newer version, or something in it is missing or contradicts.
        """
        version = facts.get("version")
        if isinstance(version, int) and version > VERSION:
            raise DatasetError(
                f"{place} is of version {version}; this facegan reads {VERSION} and older.",
                "Install a newer facegan, or prepare the data set with this one.",
            )
        if facts.get("images") == 0:
            raise DatasetError(
                f"{place.parent} holds no image: none fell to this part of a data set.",
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
            raise DatasetError(f"{place} describes no packed data set: {missing}.", AGAIN) from None
        counted = sum(shard.images for shard in shards)
        if counted != found.images:
            raise DatasetError(
                f"{place} contradicts itself: {found.images} images, but {counted} in its shards.",
                AGAIN,
            )
        return found


def read_shard(entry: Any) -> Shard:
    """One entry of a manifest's list; what is wrong with it as ValueError, TypeError, KeyError."""
    file, images = check_relative_name(entry["file"]), check_positive(entry["images"])
    return Shard(file, images, check_sha256(entry["sha256"]))


def check_facts(facts: Mapping[str, Any]) -> None:
    """Refuse what a run would write into its records and cannot; with what is wrong, ValueError."""
    for name, kind, kind_name in (("protocol", dict, "object"), ("companions", dict, "object")):
        if not isinstance(facts.get(name) or {}, kind):
            raise ValueError(f"{name} is no {kind_name}")
    skipped = facts.get("skipped", 0)
    if type(skipped) is not int or skipped < 0:
        raise ValueError(f"skipped is {skipped!r}, no number of files")


def check_companion(folder: Any, digest: Any, aligned: Any) -> None:
    """Refuse what says nothing of a companion; with what is wrong as ValueError or TypeError."""
    check_relative_name(folder)
    check_sha256(digest)
    if type(aligned) is not bool:
        raise ValueError(f"aligned is {aligned!r}, neither true nor false")


def check_positive(number: Any) -> int:
    """A whole number from 1."""
    if type(number) is not int or number < 1:
        raise ValueError(f"{number!r} is no whole number from 1")
    return number


def check_sha256(text: Any) -> str:
    """A sha256 as 64 hexadecimal digits."""
    if not (isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")):
        raise ValueError(f"{text!r} is no sha256")
    return text


def check_relative_name(name: Any) -> str:
    """A file's name below the folder, that cannot lead out of it."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a file name")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the folder")
    return name


def read_packed_manifest(folder: Path) -> PackedManifest:
    """The manifest of a packed data set.

    Raises:
        DatasetError: it is missing or not what it should be.
    """
    return PackedManifest.from_facts(read_manifest(folder), folder / MANIFEST)


# --- pixels -------------------------------------------------------------------------------------


class PixelSource(Protocol):
    """Pixels by index, behind a manifest."""

    @property
    def manifest(self) -> PackedManifest:
        """What it holds."""

    def __len__(self) -> int:
        """How many images there are."""

    def read(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """The images (n, R, R, 3) at n indices."""

    def verify(self, on_progress: OnProgress = ...) -> None:
        """Read every byte and compare it with the manifest's digests."""


class ShardImages(Protocol):
    """The images of one shard."""

    def __len__(self) -> int:
        """How many there are."""

    def read_into(self, row: int, image: Pixels) -> None:
        """Copy one image (R, R, channels) into an array of its shape."""

    def read_rows(self, first: int, count: int) -> Pixels:
        """The images (n, R, R, channels) from the first on."""


@dataclass(frozen=True)
class InMemoryShard:
    """Images in memory, or in a file that nobody else can change."""

    images: Pixels

    def __len__(self) -> int:
        return len(self.images)

    def read_into(self, row: int, image: Pixels) -> None:
        """Copy one image."""
        image[...] = self.images[row]

    def read_rows(self, first: int, count: int) -> Pixels:
        """Copy some images: what is mapped read-only cannot be sent."""
        return self.images[first : first + count].copy()


class ShardReader:
    """Images in a shard's file, each read when it is asked for.

    Args:
        file: The shard's.
        images: How many it holds.
        resolution: The side of each.
        channels: Of each.
        stays_open: Whether the file is kept open; else it is opened for every image.

    Raises:
        DatasetError: it is missing, short, or of another shape or type than it should be.
    """

    def __init__(
        self, file: Path, images: int, resolution: int, channels: int, stays_open: bool = True
    ) -> None:
        whole = open_shard(file, images, resolution, channels)  # checked, and let go
        self.file, self.images, self.shape = file, images, whole.shape[1:]
        self.image_bytes = whole[0].nbytes
        self.start = file.stat().st_size - whole.nbytes
        self.descriptor: int | None = None
        if stays_open:
            self.descriptor = self.open()
            weakref.finalize(self, os.close, self.descriptor)

    def __len__(self) -> int:
        return self.images

    def open(self) -> int:
        """A descriptor of the file."""
        try:
            return os.open(self.file, os.O_RDONLY)
        except OSError as cause:
            raise self.unreadable(str(cause.strerror)) from cause

    def read_into(self, row: int, image: Pixels) -> None:
        """Read an image, or as many as the array (…, R, R, channels) has, from this row on.

        Raises:
            DatasetError: the file was cut short, or cannot be read any more.
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
            raise self.unreadable("it was cut short while it was in use")

    def read_rows(self, first: int, count: int) -> Pixels:
        """The images (n, R, R, channels) from the first on.

        Raises:
            DatasetError: the file was cut short, or cannot be read any more.
        """
        images = np.empty((count, *self.shape), np.uint8)
        self.read_into(first, images)
        return images

    def unreadable(self, reason: str) -> DatasetError:
        """What is said of a shard that was whole when it was opened."""
        return DatasetError(f"The shard {self.file} cannot be read: {reason}.", AGAIN)


@dataclass(frozen=True)
class PackedPixels:
    """All pixels of a packed data set, read when they are asked for: the system keeps the files.

    Args:
        folder: The data set's.
        manifest: What it holds.
        shards: Their images, in the manifest's order; or a single one of all.
    """

    folder: Path
    manifest: PackedManifest
    shards: Sequence[ShardImages]

    @classmethod
    def open(cls, folder: Path, resolution: int | None = None) -> Self:
        """Open the shards of a folder; their headers and sizes are checked, their pixels are not.

        Raises:
            DatasetError: the manifest, or a shard that is missing, short or foreign, which is
                named; or the data set has another resolution than the one asked for.
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
        """The images (n, R, R, channels) at n indices, in any order, in memory of their own.

        Raises:
            IndexError: there is no such image.
            DatasetError: a shard was cut short since it was opened, or cannot be read any more.
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
            on_progress: Called with the number of images of every shard done.

        Raises:
            DatasetError: shards differ from what was written, which are named; or the pixels as
                a whole do.
        """
        whole, damaged = hashlib.sha256(), []
        with ThreadPoolExecutor(1) as pool:  # hashing frees Python's lock
            for shard in self.manifest.shards:
                if not hash_shard(self.folder / shard.file, shard, whole, pool):
                    damaged.append(shard.file)
                on_progress(shard.images)
        if damaged:
            raise damaged_shards(self.folder, damaged)
        if whole.hexdigest() != self.manifest.digest:
            raise DatasetError(
                f"The pixels in {self.folder} are not those that its {MANIFEST} names by digest.",
                AGAIN,
            )


def hash_shard(file: Path, shard: Shard, whole: Any, pool: ThreadPoolExecutor) -> bool:
    """Add a shard's pixels to a digest of all; whether the file's own is the manifest's.

    Args:
        file: Where the shard lies.
        shard: What the manifest says of it.
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
    """Return what stands before the pixels in an open .npy file; the stream is behind it then."""
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
    """What is said where files are not those that were written."""
    return DatasetError(
        f"Shards of {folder} are damaged: {', '.join(files)}.",
        "Copy them again, or prepare the data set again.",
    )


def read_label_numbers(folder: Path, manifest: PackedManifest) -> Numbers | None:
    """int64 (N,): each image's class; None without labels.

    Raises:
        DatasetError: the file is missing, or no such list.
    """
    if manifest.labels_file is None:
        return None
    file = folder / manifest.labels_file
    try:
        numbers = load_labels(file)
    except (OSError, ValueError, EOFError) as cause:
        raise DatasetError(f"The labels in {file} cannot be read: {cause}.", AGAIN) from cause
    check_label_numbers(file, numbers, manifest.images)
    return numbers  # type: ignore[no-any-return]


def check_label_numbers(file: Path, numbers: Any, images: int) -> None:
    """Refuse what is no label for every image.

    Raises:
        DatasetError: it is of another type or length, or a number is negative.
    """
    is_list = isinstance(numbers, np.ndarray) and numbers.dtype == np.int64
    if not is_list or numbers.shape != (images,) or (numbers < 0).any():
        raise DatasetError(
            f"{file} holds no int64 label from 0 for each of {images} images.", AGAIN
        )


# --- writing ------------------------------------------------------------------------------------


def write_packed(
    folder: Path,
    images: Pixels,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    images_per_shard: int = IMAGES_PER_SHARD,
    **facts: Any,
) -> PackedManifest:
    """Write pixels as a packed data set; the folder appears when it is complete.

    Args:
        folder: It must not exist, or be empty.
        images: uint8 (N, R, R, 3), N at least 1.
        labels: The class of each image, from 0.
        class_names: Their names.
        images_a_shard: How many images a file holds at most.
        facts: What else the manifest says: ``name``, ``protocol``, ``skipped`` …

    Raises:
        DatasetError: the folder holds something, or cannot be written; no partial one stays.
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
    """A folder to write shards into, and the list for them; the rest is written afterwards."""
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
    """sha256 of pixels (N, R, R, 3), in order."""
    whole = hashlib.sha256()
    for image in images:
        whole.update(np.ascontiguousarray(image).data)
    return whole.hexdigest()


def write_shard(folder: Path, number: int, images: Pixels) -> Shard:
    """Write one file of pixels; what the manifest says of it."""
    name = shard_name(number)
    file = folder / name
    with file.open("wb") as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(images, np.uint8), version=(1, 0))
    return Shard(name, len(images), file_digest(file))


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder beside another, which becomes it when all went well, and else is removed."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists and is not empty.", "Name another folder.")
    partial = folder.with_name(f"{folder.name}.partial-{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(folder)
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatasetError(
                f"The disk is full: {folder} was not made.",
                "Free some space, or ask for fewer images.",
            ) from cause
        raise OutputError(f"{folder} cannot be written: {cause.strerror or cause}.") from cause
    finally:
        shutil.rmtree(partial, ignore_errors=True)
