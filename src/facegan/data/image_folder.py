"""Any folder of pictures as a data set: every picture a square of one resolution, read once."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from facegan.data.labels import Labels, WithLabels, read_labels
from facegan.data.manifest import images_root, read_manifest
from facegan.errors import DatasetError
from facegan.preparing.pixels import square, upright_rgb

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
Pixels = npt.NDArray[np.uint8]
OnProgress = Callable[[int], object]
# Files and a resolution → pixels (N, H, W, 3) of those that can be read, and why others cannot.
ReadPixels = Callable[[list[Path], int, OnProgress], tuple[Pixels, dict[Path, str]]]


class ImageFolderDataset(WithLabels):
    """Pictures below a folder, decoded once into memory.

    A picture is turned upright by its EXIF, laid on white where it is transparent, cropped square
    around its centre, and resized with antialiasing. One that cannot be read is named in the log
    and left out.

    Args:
        folder: JPEG, PNG and WebP files at any depth; or a folder that ``facegan data`` wrote.
        resolution: The side of every image, in pixels.
        on_progress: Called with 1 for every file done.
        labels_from: Where labels are read if anyone asks for them: "manifest" or "folders", see
            :mod:`facegan.data.labels`.
        read_pixels: Reads the files another way, for instance where that was done before.

    Raises:
        DatasetError: the folder is missing, holds no pictures, or none that can be read, or they
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
        files = find_pictures(self.folder)
        self.images, self.skipped = (read_pixels or decode_files)(files, resolution, on_progress)
        self.files = [file for file in files if file not in self.skipped]
        if not self.files:
            file, reason = next(iter(self.skipped.items()))
            raise DatasetError(
                f"None of the {len(files)} pictures in {folder} can be read.",
                f"The first is {file}: {reason}",
            )
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
        name = read_manifest(self.folder).get("name", self.folder.name)
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


def find_pictures(folder: Path) -> list[Path]:
    """Every picture file of a data set, in the order of their names.

    Raises:
        DatasetError: the folder is missing, is not a folder, or holds no pictures.
    """
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DatasetError(
            f"The data folder {folder} {problem}.",
            "Name a folder of pictures, or draw one: facegan data toy --out DIR.",
        )
    files = sorted(picture_files(images_root(folder)))
    if not files:
        raise DatasetError(
            f"The data folder {folder} holds no pictures.",
            f"It should hold {', '.join(SUFFIXES)} files, at any depth.",
        )
    return files


def picture_files(folder: Path) -> Iterator[Path]:
    """The files with a picture's suffix at any depth; links to folders are not followed."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.lower().endswith(SUFFIXES))


def detect_resolution(folder: Path | str) -> int | None:
    """The resolution a prepared data set was made at; None for a folder of any pictures."""
    found = read_manifest(Path(folder)).get("resolution")
    return found if isinstance(found, int) else None


def check_memory(count: int, resolution: int) -> None:
    """Refuse early what could only end in the kernel's out-of-memory killer."""
    needed = count * resolution * resolution * 3
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > 0.7 * available:
        raise DatasetError(
            f"{count} pictures at {resolution} px need {needed / 2**30:.1f} GiB of memory; "
            f"this machine has {available / 2**30:.1f} GiB.",
            "Train at a lower resolution or on fewer pictures.",
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
        except Exception as cause:  # inside a decoder a broken file may raise anything
            skipped[files[index]] = str(cause) or type(cause).__name__
        on_progress(1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow frees the interpreter lock
        list(pool.map(decode_into, range(len(files))))
    for file in sorted(skipped):
        logger.warning("Left out %s: %s", file, skipped[file])
    if skipped:
        logger.warning("%d of %d pictures were left out.", len(skipped), len(files))
    return skipped


def decode_square(file: Path, resolution: int) -> Pixels:
    """One picture as uint8 (resolution, resolution, 3): upright, RGB, centre-cropped, resized."""
    with Image.open(file) as picture:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8; twice the target leaves the resize its choice.
        picture.draft("RGB", (2 * resolution, 2 * resolution))
        return np.asarray(square(upright_rgb(picture), resolution))
