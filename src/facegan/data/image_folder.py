"""Opens any folder of images as a data set: every image is cropped to a square and decoded once.

The code of ``facegan data prepare`` finds and decodes the images: same files, same limits, same
pixels, and same reasons for skipping.
"""

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facegan.data.dataset import InMemoryImages, Pixels
from facegan.data.labels import Labels, LabelsMixin, read_labels
from facegan.data.manifest import data_name, folder_source, read_manifest
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.pool import PrepareSpec, crop_modalities
from facegan.data.prepare.skip_report import IgnoredFiles, SkipReasons, sum_of_counts
from facegan.errors import DatasetError
from facegan.path_kinds import describe_path, no_images_error

logger = logging.getLogger(__name__)

CROP = "centre"
OnProgress = Callable[[int], object]
# From files and a resolution: the pixels (N, H, W, 3) of the readable ones, and why others are not.
ReadPixels = Callable[[list[Path], int, OnProgress], tuple[Pixels, dict[Path, str]]]


class ImageFolderDataset(InMemoryImages, LabelsMixin):
    """Images below a folder, decoded once into memory.

    An image is turned upright by its EXIF orientation, blended with white where it is transparent,
    cropped to the centred square, and resized with antialiasing. Unreadable files are skipped and
    logged, with counts and reasons.

    Args:
        folder: A folder with images at any depth, or one that ``facegan data`` wrote.
        resolution: The side of every image, in pixels.
        on_progress: Called with 1 after each file.
        labels_from: The source of labels, "manifest" or "folders"; see :mod:`facegan.data.labels`.
        read_pixels: Reads the pixels in another way, for example from another process.

    Raises:
        DatasetError: the folder is missing, has no readable images, or they would not fit in
            memory.
    """

    def __init__(
        self,
        folder: Path | str,
        resolution: int,
        on_progress: Callable[[int], object] = lambda done: None,
        labels_from: str = "manifest",
        read_pixels: ReadPixels | None = None,
    ) -> None:
        self.folder, self.resolution = Path(folder), resolution
        self.labels_from = labels_from
        found = scan_folder(self.folder)
        read = read_pixels or decode_files
        self.images, unreadable = read(found.files, resolution, on_progress)
        self.skipped = found.problems | unreadable
        self.files = [file for file in found.files if file not in self.skipped]
        if not self.files:
            raise found.none_readable(self.skipped)
        if read_pixels is None:
            found.log(len(self.files), self.skipped)
        self.digest = hashlib.sha256(self.images.data).hexdigest()

    @cached_property
    def labelled(self) -> Labels | None:
        """The labels, read on first use: only conditional GANs need them.

        Raises:
            DatasetError: they are malformed.
        """
        return read_labels(self.folder, self.files, self.labels_from)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """Return the data's facts for a model card."""
        name = data_name(self.folder, read_manifest(self.folder))
        return {
            "name": name,
            "digest": self.digest,
            "resolution": self.resolution,
            **self.labels_fact(with_labels),
            "images": len(self),
            "skipped": len(self.skipped),
            "crop": "centre square",
            "resize_filter": "Lanczos",
        }


@dataclass
class FolderScan:
    """The content of a folder of images, before any of them is read."""

    folder: Path
    root: Path  # below which images are looked for
    files: list[Path] = field(default_factory=list)  # images, in the order of their names
    problems: dict[Path, str] = field(default_factory=dict)  # unusable files → reason
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)

    def none_found(self) -> DatasetError:
        """Return the error for a folder without images, which names what it contains instead."""
        return no_images_error(describe_path(self.folder), there=self.ignored.lines())

    def none_readable(self, skipped: dict[Path, str]) -> DatasetError:
        """Return the error for a folder without usable images, with all reasons."""
        return DatasetError(
            f"None of the {len(skipped)} images in {self.folder} can be read.",
            "\n".join([*self.reasons(skipped).lines(), *self.ignored.lines()]),
        )

    def reasons(self, skipped: dict[Path, str]) -> SkipReasons:
        """Return the reasons why images were skipped, with paths relative to the root."""
        return SkipReasons(
            (str(file.relative_to(self.root)), skipped[file]) for file in sorted(skipped)
        )

    def log(self, used: int, skipped: dict[Path, str]) -> None:
        """Log found = used + skipped, the reasons for skipping, and the ignored files."""
        logger.info("%s in %s", sum_of_counts(used, len(skipped)), self.folder)
        for line in (*self.reasons(skipped).lines(), *self.ignored.lines()):
            logger.warning("%s", line)


def scan_folder(folder: Path) -> FolderScan:
    """Find the images of a folder, as ``facegan data prepare`` finds them.

    Raises:
        DatasetError: the folder is missing, is not a folder, or has no images.
    """
    if not folder.is_dir():
        raise no_images_error(describe_path(folder))
    source = folder_source(folder)
    found = FolderScan(folder, source.folder)
    for entry in source.entries():
        if entry.problem:
            found.problems[source.folder / entry.name] = entry.problem
        else:
            found.files.append(source.folder / entry.name)
    found.ignored = source.ignored
    if not found.files and not found.problems:
        raise found.none_found()
    return found


def find_images(folder: Path) -> list[Path]:
    """Return every image file of a data set, in the order of their names.

    Raises:
        DatasetError: the folder is missing, is not a folder, or has no images.
    """
    found = scan_folder(folder)
    if not found.files:
        raise found.none_readable(found.problems)
    return found.files


def iter_images(folder: Path) -> Iterator[Path]:
    """Yield the image files of a folder, which may have none."""
    source = folder_source(folder)
    yield from (source.folder / entry.name for entry in source.entries() if not entry.problem)


def detect_resolution(folder: Path | str) -> int | None:
    """Return the resolution of a prepared data set; None for a folder of images."""
    found = read_manifest(Path(folder)).get("resolution")
    return found if isinstance(found, int) else None


def check_memory(count: int, resolution: int) -> None:
    """Raise DatasetError if the images would need more than 70 % of this machine's memory."""
    needed = count * resolution * resolution * 3
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > 0.7 * available:
        raise DatasetError(
            f"{count} images at {resolution} px need {needed / 2**30:.1f} GiB of memory; "
            f"this machine has {available / 2**30:.1f} GiB.",
            "Train at a lower resolution or on fewer images.",
        )


def decode_files(
    files: list[Path], resolution: int, on_progress: OnProgress
) -> tuple[Pixels, dict[Path, str]]:
    """Return the pixels of every readable file, and why the others are not."""
    check_memory(len(files), resolution)
    pixels = np.empty((len(files), resolution, resolution, 3), np.uint8)
    skipped = decode_all(files, pixels, on_progress)
    kept = [index for index, file in enumerate(files) if file not in skipped]
    return (pixels[kept] if skipped else pixels), skipped


def decode_all(
    files: list[Path], pixels: Pixels, on_progress: Callable[[int], object]
) -> dict[Path, str]:
    """Decode every file into its row, and return why files could not be decoded."""
    skipped: dict[Path, str] = {}

    def decode_into(index: int) -> None:
        try:
            pixels[index] = decode_square(files[index], pixels.shape[1])
        except UnusableError as cause:
            skipped[files[index]] = str(cause)
        on_progress(1)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # Pillow warns about odd files; errors are raised
        list(pool.map(decode_into, range(len(files))))  # Pillow releases the interpreter lock
    return skipped


def is_usable(file: Path) -> bool:
    """Return whether an image can be read."""
    try:
        decode_square(file, 4)
    except UnusableError:
        return False
    return True


def decode_square(file: Path, resolution: int) -> Pixels:
    """Return an image as uint8 (resolution, resolution, 3): upright, RGB, centre-cropped, resized.

    Raises:
        UnusableError: it cannot be read; the message says why.
    """
    (content,) = crop_modalities(PrepareSpec(resolution, CROP), (file,))
    if isinstance(content, str):
        raise UnusableError(content)
    return np.frombuffer(content, np.uint8).reshape(resolution, resolution, 3)
