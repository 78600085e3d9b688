"""Reads and writes streamed data sets: tars of PNGs, for data too large for disk or memory.

Files are only read sequentially, and nothing is written, so mounts such as SageMaker's FastFile
mode work. Each epoch shuffles the shards, and the images within a *window* of a few shards, which
is held in memory. Both orders depend only on the seed: a run resumes in the middle of a window by
reading that window again.
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
SHARD_BYTES = 2**26  # of a shard's pixels: two windows take 512 MiB
INSTALL = "Install it: pip install 'facegan[streaming]'."
SHARDS, IMAGES = 2, 3  # the purposes of an epoch's random numbers
OpenFile = Callable[[str], IO[bytes]]  # a file's path below the data set → its bytes, sequential
Spans = tuple[tuple[int, int, int], ...]  # a shard's number, its first image and the one after


class StreamedPixels:
    """The pixels of a streamed data set; upcoming shards are decoded in advance.

    Args:
        folder: The data set's folder.
        manifest: Its manifest.
        open_file: Opens a shard that is not in the folder.
    """

    def __init__(
        self, folder: Path, manifest: PackedManifest, open_file: OpenFile | None = None
    ) -> None:
        self.folder, self.manifest = folder, manifest
        self.open_file = open_file or (lambda name: (folder / name).open("rb"))
        counts = [shard.images for shard in manifest.shards]
        self.starts = np.cumsum([0, *counts[:-1]])
        self.decoding: OrderedDict[int, Future[Pixels]] = OrderedDict()  # least recently used first
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(os.cpu_count(), "facegan-shards")  # Pillow drops the GIL

    @classmethod
    def open(
        cls, folder: Path, resolution: int | None = None, open_file: OpenFile | None = None
    ) -> "StreamedPixels":
        """Open the shards of a folder; checks that they exist, but not their content.

        With `open_file`, a missing shard is only reported when it is read.

        Raises:
            DatasetError: the manifest is malformed, a shard is missing, webdataset is not
                installed, or the resolution is not the requested one.
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
        """Return the images (n, R, R, 3) at n indices; fast if they are in few shards.

        Raises:
            DatasetError: a shard cannot be decoded; the message names it.
            IndexError: an index is out of range.
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
        """Return one shard's pixels, decoded now or before."""
        return self.prefetch([number])[0].result()

    def prefetch(self, numbers: Sequence[int]) -> list[Future[Pixels]]:
        """Decode shards in the background, and evict the least recently used ones."""
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
        """Read and decode one shard."""
        shard, side = self.manifest.shards[number], self.manifest.resolution
        whole = (shard.images, side, shard.sha256)
        return decode_shard(self.open_file, shard.file, *whole, place=self.folder)

    def verify(self, on_progress: Any = lambda images: None) -> None:
        """Read every byte and compare it with the manifest's digests.

        Raises:
            DatasetError: the digest of a shard differs; the message names the shards.
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
    """A streamed data set: a packed one with an order of its own.

    Args:
        folder: The data set's folder.
        resolution: The expected resolution; None accepts any.
        labels_from: "manifest".
        stream: The pixels, if not all of their files are in the folder.

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
    ) -> None:
        self.stream = stream or StreamedPixels.open(Path(folder), resolution)
        self.ahead: list[int] = []
        super().__init__(folder, resolution, labels_from, self.stream)
        self.counts = tuple(shard.images for shard in self.manifest.shards)

    def order(
        self, seed: int, first: int, count: int, within: tuple[int, int] | None = None
    ) -> Tensor:
        """Return the indices (count,) of the images at positions first … first + count - 1.

        They depend only on the arguments and on the shards' sizes. The next `read` prefetches the
        shards of this window and the next.

        Args:
            seed: The run's seed.
            first: The number of images before.
            count: The number of images to return.
            within: The range of images to use: the first, and the one after the last.
        """
        start, stop = within or (0, len(self))
        spans = spans_within(self.counts, start, stop)
        epoch, position = divmod(first, stop - start)
        self.ahead = shards_ahead(seed, epoch, position, spans)
        return order_of(seed, first, count, stop - start, lambda s, e, _: windowed(s, e, spans))

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices; fast in the order of `order`."""
        ahead, self.ahead = self.ahead, []
        self.stream.prefetch(ahead)
        return super().read(indices)


@lru_cache(maxsize=2)
def shards_of_epoch(seed: int, epoch: int, shards: int) -> list[int]:
    """Return the order of the shards in one epoch."""
    numbers: list[int] = torch.randperm(
        shards, generator=random_numbers(seed, epoch, SHARDS)
    ).tolist()
    return numbers


def windows(seed: int, epoch: int, shards: int) -> Iterator[list[int]]:
    """Yield the shards of an epoch, one window at a time."""
    numbers = shards_of_epoch(seed, epoch, shards)
    for first in range(0, shards, WINDOW):
        yield numbers[first : first + WINDOW]


@lru_cache(maxsize=4)
def spans_within(counts: tuple[int, ...], start: int, stop: int) -> Spans:
    """Return the part of each shard within a range of images; shards outside are omitted."""
    spans, first = [], 0
    for number, count in enumerate(counts):
        span = max(first, start), min(first + count, stop)
        if span[0] < span[1]:
            spans.append((number, *span))
        first += count
    return tuple(spans)


@lru_cache(maxsize=2)
def windowed(seed: int, epoch: int, spans: Spans) -> Tensor:
    """Return the order of one epoch: shuffled shards, and shuffled images in each window."""
    generator = random_numbers(seed, epoch, IMAGES)
    pieces = []
    for window in windows(seed, epoch, len(spans)):
        indices = torch.cat([torch.arange(*spans[place][1:]) for place in window])
        pieces.append(indices[torch.randperm(len(indices), generator=generator)])
    return torch.cat(pieces)


def shards_ahead(seed: int, epoch: int, position: int, spans: Spans) -> list[int]:
    """Return the shards of the window at a position of an epoch, and of the next window."""
    upcoming = iter([*windows(seed, epoch, len(spans)), *windows(seed, epoch + 1, len(spans))])
    for window in upcoming:
        position -= sum(spans[place][2] - spans[place][1] for place in window)
        if position < 0:  # the current window comes last: it is evicted last
            return [spans[place][0] for place in (*next(upcoming), *window)]
    return []


def load_webdataset() -> Any:
    """Import webdataset's reader of tars.

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
    """Return all images (n, R, R, 3) of a tar of PNGs, read sequentially.

    Args:
        open_file: Opens the tar.
        name: The tar's name.
        images: The expected number of images.
        resolution: The side of each image.
        sha256: The expected digest of the file; None: it was checked before.
        place: The folder of the tar, for messages.

    Raises:
        DatasetError: the tar is missing or damaged, or has another number of images.
        FaceGANError: raised by `open_file`.
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
    except Exception as cause:  # decoders may raise anything for a broken file
        raise DatasetError(f"The shard {place / name} cannot be read: {cause}.", AGAIN) from cause
    if row != images:
        raise DatasetError(f"The shard {place / name} holds {row} images, not {images}.", AGAIN)
    if sha256 not in (None, digest):
        raise damaged_shards(place, [name])
    return pixels


class HashedStream:
    """A stream that computes the SHA-256 of everything that is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.hash = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        block = self.source.read(size)
        self.hash.update(block)
        return block

    def digest(self) -> str:
        """Read the rest of the stream, and return the digest of all of it."""
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
    """Write an array of images as a streamed data set; see :func:`write_packed`.

    Args:
        folder: A folder that is empty or does not exist.
        images: uint8 (N, R, R, 3), N at least 1.
        labels: The class of each image, from 0.
        class_names: The names of the classes.
        images_per_shard: The maximum number of images per file; None: 64 MiB of pixels.
        facts: Further entries of the manifest.

    Raises:
        DatasetError: the folder is not empty or cannot be written, or webdataset is missing.
    """
    load_webdataset()
    size = images_per_shard or max(SHARD_BYTES // images[0].nbytes, 1)
    about = {"kind": "streamed", **facts}
    with packed_folder(folder, images, labels, class_names, about) as (partial, shards):
        for number, first in enumerate(range(0, len(images), size)):
            shards.append(write_tar(partial, number, first, images[first : first + size]))
    return read_packed_manifest(folder)


def write_tar(folder: Path, number: int, first: int, images: Pixels) -> Shard:
    """Write one tar of PNGs, reproducibly, and return its manifest entry.

    Args:
        folder: The data set's folder.
        number: The number of the shard.
        first: The number of its first image.
        images: uint8 (n, R, R, 3).
    """
    from webdataset import TarWriter  # an optional package

    name = f"images/{number:05d}.tar"
    with (
        atomic_file(folder / name) as file,
        TarWriter(file, encoder=False, mtime=0) as writer,
        ThreadPoolExecutor(os.cpu_count()) as pool,  # Pillow releases the interpreter lock
    ):
        for index, png in enumerate(pool.map(png_of, images), first):
            writer.write({"__key__": f"{index:09d}", "png": png})
    return Shard(name, len(images), file_digest(folder / name))


def png_of(image: Pixels) -> bytes:
    """Encode one image (R, R, 3) as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()
