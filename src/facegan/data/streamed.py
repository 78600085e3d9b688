"""A data set that is too large for a disk or for memory: tars of PNGs, each read from end to end.

Files are only ever read from their first byte to their last, and nothing is written, so that mounts
such as SageMaker's FastFile mode serve them. What is shuffled are the shards of an epoch, and the
images within a *window* of a few shards, all of which are in memory while it lasts. Both orders are
functions of the seed: a run resumes in the middle of a window by reading that window again.
"""

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facegan.data.dataset import order_of, random_numbers
from facegan.data.packed import PackedDataset
from facegan.data.packed_files import (
    Numbers,
    PackedManifest,
    Pixels,
    Shard,
    damaged_shards,
    packed_folder,
    read_packed_manifest,
)
from facegan.data.prepare.packed_format import AGAIN, check_resolution
from facegan.data.prepare.writer import atomic_file
from facegan.errors import DatasetError, FaceGANError
from facegan.files import file_digest
from facegan.safe_images import open_image

WINDOW = 4  # shards that are shuffled together
SHARD_BYTES = 2**26  # of a shard's pixels: two windows of them take 512 MiB
INSTALL = "Install it: pip install 'facegan[streaming]'."
SHARDS, IMAGES = 2, 3  # what an epoch's random numbers are for
OpenFile = Callable[[str], IO[bytes]]  # a file's name below the data set → its bytes, in sequence
Spans = tuple[tuple[int, int, int], ...]  # a shard's number, its first image and the one after


class StreamedPixels:
    """The pixels of a streamed data set: shards decoded when they are needed, and the next ahead.

    Args:
        folder: The data set's.
        manifest: What it holds.
        open_file: How a file is opened that does not lie in the folder.
    """

    def __init__(
        self, folder: Path, manifest: PackedManifest, open_file: OpenFile | None = None
    ) -> None:
        self.folder, self.manifest = folder, manifest
        self.open_file = open_file or (lambda name: (folder / name).open("rb"))
        counts = [shard.images for shard in manifest.shards]
        self.starts = np.cumsum([0, *counts[:-1]])
        self.decoding: OrderedDict[int, Future[Pixels]] = OrderedDict()  # or decoded, oldest first
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(os.cpu_count(), "facegan-shards")  # Pillow frees the lock

    @classmethod
    def open(
        cls, folder: Path, resolution: int | None = None, open_file: OpenFile | None = None
    ) -> "StreamedPixels":
        """The shards of a folder; that they are there is checked, what is in them is not.

        With `open_file`, which leads elsewhere, a shard that is missing is named when it is read.

        Raises:
            DatasetError: the manifest is not what it should be, a shard is missing, webdataset is
                not installed, or the resolution is another.
        """
        manifest = read_packed_manifest(folder)
        check_resolution(folder, manifest.resolution, resolution)
        for shard in manifest.shards:
            if open_file is None and not (folder / shard.file).is_file():
                raise DatasetError(f"The shard {folder / shard.file} is missing.", AGAIN)
        load_webdataset()
        return cls(folder, manifest, open_file)

    def __len__(self) -> int:
        return self.manifest.images

    def read(self, indices: Any) -> Pixels:
        """The images (n, R, R, 3) at n indices; quick where few shards hold them.

        Raises:
            DatasetError: a shard cannot be decoded; it is named.
            IndexError: there is no such image.
        """
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"an index lies outside 0 to {len(self) - 1}")
        side = self.manifest.resolution
        images = np.empty((len(indices), side, side, 3), np.uint8)
        of_shard = np.searchsorted(self.starts, indices, side="right") - 1
        for number in np.unique(of_shard):
            places = np.flatnonzero(of_shard == number)
            images[places] = self.shard(int(number))[indices[places] - self.starts[number]]
        return images

    def shard(self, number: int) -> Pixels:
        """One shard's pixels, decoded now or before."""
        return self.ask([number])[0].result()

    def ask(self, numbers: Sequence[int]) -> list[Future[Pixels]]:
        """Have shards decoded, and forget those that were not asked for in the longest time."""
        with self.lock:
            for number in numbers:
                if number not in self.decoding:
                    self.decoding[number] = self.pool.submit(self.decode, number)
                self.decoding.move_to_end(number)
            found = [self.decoding[number] for number in numbers]
            while len(self.decoding) > 2 * WINDOW:
                self.decoding.popitem(last=False)
        return found

    def decode(self, number: int) -> Pixels:
        """Read one shard from end to end."""
        shard, side = self.manifest.shards[number], self.manifest.resolution
        whole = (shard.images, side, shard.sha256)
        return decode_shard(self.open_file, shard.file, *whole, place=self.folder)

    def verify(self, on_progress: Any = lambda images: None) -> None:
        """Read every byte and compare it with the manifest's digests.

        Raises:
            DatasetError: shards differ from what was written; they are named.
        """
        damaged = []
        for shard in self.manifest.shards:
            with self.open_file(shard.file) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != shard.sha256:  # type: ignore[arg-type]
                    damaged.append(shard.file)
            on_progress(shard.images)
        if damaged:
            raise DatasetError(f"Shards of {self.folder} are damaged: {', '.join(damaged)}.", AGAIN)


class StreamedDataset(PackedDataset):
    """A streamed data set behind the same door as a packed one, with an order of its own.

    Args:
        folder: The data set's.
        resolution: What is expected; None takes what there is.
        labels_from: "manifest".
        stream: The pixels, where their files do not all lie in the folder.
        numbers: The labels, where they do not.

    Raises:
        DatasetError: see :meth:`StreamedPixels.open`.
    """

    reads_in_sequence = True

    def __init__(
        self,
        folder: Path | str,
        resolution: int | None = None,
        labels_from: str = "manifest",
        stream: StreamedPixels | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        self.stream = stream or StreamedPixels.open(Path(folder), resolution)
        self.ahead: list[int] = []
        super().__init__(folder, resolution, labels_from, self.stream, numbers)
        self.counts = tuple(shard.images for shard in self.manifest.shards)

    def order(
        self, seed: int, first: int, count: int, within: tuple[int, int] | None = None
    ) -> Tensor:
        """Which images come first-th … (first + count - 1)-th in a run, as indices (count,).

        A function of its arguments and of the shards' sizes. What is read next will have the shards
        of this window and of the next decoded.

        Args:
            seed: The run's.
            first: How many images came before.
            count: How many are wanted.
            within: Only images from the first number up to the second, which is not included.
        """
        start, stop = within or (0, len(self))
        spans = spans_within(self.counts, start, stop)
        epoch, position = divmod(first, stop - start)
        self.ahead = shards_ahead(seed, epoch, position, spans)
        return order_of(seed, first, count, stop - start, lambda s, e, _: windowed(s, e, spans))

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, 3, H, W) at N indices; quick in the order that `order` gives."""
        ahead, self.ahead = self.ahead, []
        self.stream.ask(ahead)
        return super().read(indices)


@lru_cache(maxsize=2)
def shards_of_epoch(seed: int, epoch: int, shards: int) -> list[int]:
    """The order of the shards in one pass over the data."""
    numbers: list[int] = torch.randperm(
        shards, generator=random_numbers(seed, epoch, SHARDS)
    ).tolist()
    return numbers


def windows(seed: int, epoch: int, shards: int) -> Iterator[list[int]]:
    """The shards of an epoch, a window at a time."""
    numbers = shards_of_epoch(seed, epoch, shards)
    for first in range(0, shards, WINDOW):
        yield numbers[first : first + WINDOW]


@lru_cache(maxsize=4)
def spans_within(counts: tuple[int, ...], start: int, stop: int) -> Spans:
    """What of each shard lies within a part of the data set; shards outside are left out."""
    spans, first = [], 0
    for number, count in enumerate(counts):
        span = max(first, start), min(first + count, stop)
        if span[0] < span[1]:
            spans.append((number, *span))
        first += count
    return tuple(spans)


@lru_cache(maxsize=2)
def windowed(seed: int, epoch: int, spans: Spans) -> Tensor:
    """The order of one pass over the data: shards shuffled, and the images of each window."""
    generator = random_numbers(seed, epoch, IMAGES)
    pieces = []
    for window in windows(seed, epoch, len(spans)):
        indices = torch.cat([torch.arange(*spans[place][1:]) for place in window])
        pieces.append(indices[torch.randperm(len(indices), generator=generator)])
    return torch.cat(pieces)


def shards_ahead(seed: int, epoch: int, position: int, spans: Spans) -> list[int]:
    """The shards of the window at a position of an epoch, and those of the window after it."""
    upcoming = iter([*windows(seed, epoch, len(spans)), *windows(seed, epoch + 1, len(spans))])
    for window in upcoming:
        position -= sum(spans[place][2] - spans[place][1] for place in window)
        if position < 0:  # the present one last: it is forgotten last
            return [spans[place][0] for place in (*next(upcoming), *window)]
    return []


def load_webdataset() -> Any:
    """webdataset's reader of tars.

    Raises:
        DatasetError: it is not installed.
    """
    try:
        from webdataset import tariterators
    except ModuleNotFoundError as cause:
        raise DatasetError(f"A streamed data set needs {cause.name}.", INSTALL) from cause
    return tariterators


def decode_shard(
    open_file: OpenFile,
    name: str,
    images: int,
    resolution: int,
    sha256: str | None = None,
    place: Path = Path(),
) -> Pixels:
    """All images (n, R, R, 3) of a tar of PNGs, which is read once, from its begin to its end.

    Args:
        open_file: Opens it.
        name: Its own.
        images: How many it should hold.
        resolution: The side of each.
        sha256: The file's digest; None where it was compared before.
        place: Where it lies, for who must mend it.

    Raises:
        DatasetError: it is missing, damaged, or holds other images than it should.
        FaceGANError: whatever `open_file` says of itself.
    """
    pixels = np.empty((images, resolution, resolution, 3), np.uint8)
    row = 0
    try:
        with open_file(name) as source:
            stream = HashedStream(source)
            for row, member in enumerate(load_webdataset().tar_file_iterator(stream), 1):
                with open_image(member["data"], ["PNG"]) as image:
                    pixels[row - 1] = np.asarray(image)
            digest = stream.digest()
    except FaceGANError:
        raise
    except Exception as cause:  # inside a decoder a broken file may raise anything
        raise DatasetError(f"The shard {place / name} cannot be read: {cause}.", AGAIN) from cause
    if row != images:
        raise DatasetError(f"The shard {place / name} holds {row} images, not {images}.", AGAIN)
    if sha256 not in (None, digest):
        raise damaged_shards(place, [name])
    return pixels


class HashedStream:
    """A stream read from its begin to its end, and the SHA-256 of all that was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.hash = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self.source.read(size)
        self.hash.update(block)
        return block

    def digest(self) -> str:
        """The digest of the whole stream; what is left of it is read first."""
        while self.read(2**20):
            pass
        return self.hash.hexdigest()


# --- writing ------------------------------------------------------------------------------------


def write_streamed(
    folder: Path,
    images: Pixels,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    images_per_shard: int | None = None,
    **facts: Any,
) -> PackedManifest:
    """Write pixels as a streamed data set; see :func:`write_packed`.

    Args:
        folder: It must not exist, or be empty.
        images: uint8 (N, R, R, 3), N at least 1.
        labels: The class of each image, from 0.
        class_names: Their names.
        images_a_shard: How many a file holds at most; None: 64 MiB of pixels.
        facts: What else the manifest says.

    Raises:
        DatasetError: the folder holds something, or cannot be written; webdataset is missing.
    """
    load_webdataset()
    size = images_per_shard or max(SHARD_BYTES // images[0].nbytes, 1)
    about = {"kind": "streamed", **facts}
    with packed_folder(folder, images, labels, class_names, about) as (partial, shards):
        for number, first in enumerate(range(0, len(images), size)):
            shards.append(write_tar(partial, number, first, images[first : first + size]))
    return read_packed_manifest(folder)


def write_tar(folder: Path, number: int, first: int, images: Pixels) -> Shard:
    """Write one file of PNGs, the same bytes for the same images; what the manifest says of it.

    Args:
        folder: The data set's.
        number: The shard's.
        first: The number of its first image.
        images: uint8 (n, R, R, 3).
    """
    from webdataset import TarWriter  # an optional package

    name = f"images/{number:05d}.tar"
    with (
        atomic_file(folder / name) as file,
        TarWriter(file, encoder=False, mtime=0) as writer,
        ThreadPoolExecutor(os.cpu_count()) as pool,  # Pillow frees the lock
    ):
        for index, png in enumerate(pool.map(png_of, images), first):
            writer.write({"__key__": f"{index:09d}", "png": png})
    return Shard(name, len(images), file_digest(folder / name))


def png_of(image: Pixels) -> bytes:
    """One image (R, R, 3) as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()
