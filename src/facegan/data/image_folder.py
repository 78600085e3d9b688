"""Any folder of images as a data set: every image a square of one resolution, read once.

Images are found and decoded by the code of ``facegan data prepare``: the same files, the same
limits, the same pixels, and the same reasons for what is skipped.
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
import numpy.typing as npt
import torch
from torch import Tensor

from facegan.data.labels import Labels, LabelsMixin, read_labels
from facegan.data.manifest import data_name, folder_source, read_manifest
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.pool import PrepareSpec, crop_modalities
from facegan.data.prepare.skip_report import IgnoredFiles, SkipReasons, sum_of_counts
from facegan.errors import DatasetError
from facegan.path_kinds import describe_path, no_images_error

logger = logging.getLogger(__name__)

CROP = "centre"
Pixels = npt.NDArray[np.uint8]
OnProgress = Callable[[int], object]
# Files and a resolution → pixels (N, H, W, 3) of those that can be read, and why others cannot.
ReadPixels = Callable[[list[Path], int, OnProgress], tuple[Pixels, dict[Path, str]]]


class ImageFolderDataset(LabelsMixin):
    """Images below a folder, decoded once into memory.

    An image is turned upright by its EXIF, laid on white where it is transparent, cropped square
    around its centre, and resized with antialiasing. What cannot be read is told in the log, with
    counts and reasons, and left out.

    Args:
        folder: Images at any depth; or a folder of images that ``facegan data`` wrote.
        resolution: The side of every image, in pixels.
        on_progress: Called with 1 for every file done.
        labels_from: Where labels are read if anyone asks for them: "manifest" or "folders", see
            :mod:`facegan.data.labels`.
        read_pixels: Reads the files another way, for instance where that was done before.

    Raises:
        DatasetError: the folder is missing, holds no images, or none that can be read, or they
            would not fit in memory.
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
            found.tell(len(self.files), self.skipped)
        self.digest = hashlib.sha256(self.images.data).hexdigest()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""
        return (3, self.resolution, self.resolution)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, 3, H, W) at N indices."""
        return torch.from_numpy(self.images[indices.numpy()]).permute(0, 3, 1, 2)

    @cached_property
    def labelled(self) -> Labels | None:
        """The labels, read when they are first asked for: only conditional games need them.

        Raises:
            DatasetError: they are not what they should be.
        """
        return read_labels(self.folder, self.files, self.labels_from)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """What a model card says of the data."""
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
    """What lies in a folder of images, before any of them is read."""

    folder: Path
    root: Path  # below which images are looked for
    files: list[Path] = field(default_factory=list)  # images, in the order of their names
    problems: dict[Path, str] = field(default_factory=dict)  # files that are not images, and why
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)

    def none_found(self) -> DatasetError:
        """Return the error for a folder without images, which names what is there instead."""
        return no_images_error(describe_path(self.folder), there=self.ignored.lines())

    def none_readable(self, skipped: dict[Path, str]) -> DatasetError:
        """Return the error for a folder without usable images, with all reasons."""
        return DatasetError(
            f"None of the {len(skipped)} images in {self.folder} can be read.",
            "\n".join([*self.reasons(skipped).lines(), *self.ignored.lines()]),
        )

    def reasons(self, skipped: dict[Path, str]) -> SkipReasons:
        """Why images were skipped, by their names below the folder."""
        return SkipReasons(
            (str(file.relative_to(self.root)), skipped[file]) for file in sorted(skipped)
        )

    def tell(self, used: int, skipped: dict[Path, str]) -> None:
        """Log what became of every file: found = used + skipped, and what was not looked into."""
        logger.info("%s in %s", sum_of_counts(used, len(skipped)), self.folder)
        for line in (*self.reasons(skipped).lines(), *self.ignored.lines()):
            logger.warning("%s", line)


def scan_folder(folder: Path) -> FolderScan:
    """The images of a folder, found as ``facegan data prepare`` finds them.

    Raises:
        DatasetError: the folder is missing, is not a folder, or holds no images.
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
    """Every image file of a data set, in the order of their names.

    Raises:
        DatasetError: the folder is missing, is not a folder, or holds no images.
    """
    found = scan_folder(folder)
    if not found.files:
        raise found.none_readable(found.problems)
    return found.files


def iter_images(folder: Path) -> Iterator[Path]:
    """The image files of a folder that may have none."""
    source = folder_source(folder)
    yield from (source.folder / entry.name for entry in source.entries() if not entry.problem)


def detect_resolution(folder: Path | str) -> int | None:
    """The resolution a prepared data set was made at; None for a folder of any images."""
    found = read_manifest(Path(folder)).get("resolution")
    return found if isinstance(found, int) else None


def check_memory(count: int, resolution: int) -> None:
    """Refuse early what could only end in the kernel's out-of-memory killer."""
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
    """The pixels of every file that can be read, and the reasons of those that cannot."""
    check_memory(len(files), resolution)
    pixels = np.empty((len(files), resolution, resolution, 3), np.uint8)
    skipped = decode_all(files, pixels, on_progress)
    kept = [index for index, file in enumerate(files) if file not in skipped]
    return (pixels[kept] if skipped else pixels), skipped


def decode_all(
    files: list[Path], pixels: Pixels, on_progress: Callable[[int], object]
) -> dict[Path, str]:
    """Decode every file into its row; returns the reasons of those that could not be."""
    skipped: dict[Path, str] = {}

    def decode_into(index: int) -> None:
        try:
            pixels[index] = decode_square(files[index], pixels.shape[1])
        except UnusableError as cause:
            skipped[files[index]] = str(cause)
        on_progress(1)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # Pillow's, of odd files; what matters is raised
        list(pool.map(decode_into, range(len(files))))  # Pillow frees the interpreter lock
    return skipped


def is_usable(file: Path) -> bool:
    """Whether an image can be read."""
    try:
        decode_square(file, 4)
    except UnusableError:
        return False
    return True


def decode_square(file: Path, resolution: int) -> Pixels:
    """One image as uint8 (resolution, resolution, 3): upright, RGB, centre-cropped, resized.

    Raises:
        UnusableError: it cannot be read; the message says why.
    """
    (content,) = crop_modalities(PrepareSpec(resolution, CROP), (file,))
    if isinstance(content, str):
        raise UnusableError(content)
    return np.frombuffer(content, np.uint8).reshape(resolution, resolution, 3)
