"""Looks for copied training images: the real images nearest to generated ones."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from facegan.data import Dataset, open_dataset
from facegan.data.image_folder import scan_folder
from facegan.data.opening import dataset_kind, single_images
from facegan.data.splits import select_split
from facegan.errors import DatasetError

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
MAX_COMPARED = 20_000  # real images; decoding more would take minutes
FINGERPRINT_SIDE = 16
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def fingerprint(images: Pixels) -> Tensor:
    """Return images (N, H, W, 3) in grey, averaged down to 16×16, as (N, 256).

    Averaging forgives a shift by a pixel or two and small noise; grey forgives a tint.
    """
    levels = torch.tensor(images, dtype=torch.float32)
    grey = (levels @ torch.tensor(LUMA)).unsqueeze(1)
    return interpolate(grey, size=(FINGERPRINT_SIDE, FINGERPRINT_SIDE), mode="area").flatten(1)


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the distances (N, M) of fingerprints (N, 256) and (M, 256), in grey levels of 255."""
    return torch.cdist(first, second) / FINGERPRINT_SIDE


def distances_or_mirrored(first: Tensor, second: Tensor) -> Tensor:
    """Return the distances with the first as they are or mirrored, whichever is smaller.

    A run that mirrors its images may copy either.
    """
    mirrored = first.unflatten(1, (FINGERPRINT_SIDE, FINGERPRINT_SIDE)).flip(2).flatten(1)
    return torch.minimum(distances(first, second), distances(mirrored, second))


@dataclass(frozen=True)
class Neighbours:
    """The real images nearest to generated ones, and how far real images are from one another."""

    files: list[list[Path]]  # of the real images, nearest first, for every generated one
    distances: list[list[float]]
    generated_median: float  # from a generated image to the nearest real one
    real_median: float  # from a real image to the nearest other real one

    @property
    def suspects(self) -> list[int]:
        """Return the generated images that are nearer than half the real images' distance."""
        nearest = [row[0] for row in self.distances]
        return [index for index, far in enumerate(nearest) if far < self.real_median / 2]


class RealImages:
    """The images a run was trained on, or evenly spaced ones of them; decoded when needed.

    Raises:
        DatasetError: the folder is missing, holds no images, or is packed at another resolution.
    """

    def __init__(self, folder: Path, resolution: int, split: str | None = None) -> None:
        self.folder, self.resolution, self.split = folder, resolution, split
        found, self.read_one = single_images(folder, resolution, split)
        self.scan = scan_folder(folder) if dataset_kind(folder) == "folder" else None
        self.skipped = dict(self.scan.problems) if self.scan else {}
        self.found = len(found) + len(self.skipped)
        self.files = evenly_spaced(found, MAX_COMPARED)

    @cached_property
    def dataset(self) -> Dataset:
        """The same images with their companions, by index.

        Raises:
            DatasetError: a companion is missing or damaged.
        """
        found: Dataset = select_split(open_dataset(self.folder, self.resolution), self.split)
        return found

    def read(self, files: Sequence[Path]) -> Pixels:
        """Return the images (N, R, R, 3) in some files, without those that cannot be read.

        Raises:
            DatasetError: none can be read.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow frees the interpreter lock
            decoded = [pixels for pixels in pool.map(self.decode, files) if pixels is not None]
        if not decoded:
            raise DatasetError(f"The images in {self.folder} cannot be read.")
        return np.stack(decoded)

    def decode(self, file: Path) -> Pixels | None:
        """Decode one file; note the reason and return None if that fails."""
        try:
            return self.read_one(file)
        except Exception as cause:  # inside a decoder a broken file may raise anything
            self.skipped[file] = str(cause)
            return None

    def choose(self, count: int) -> Pixels:
        """Read images from all over the folder, always the same ones."""
        return self.read(evenly_spaced(self.files, count))

    @cached_property
    def fingerprints(self) -> tuple[list[Path], Tensor]:
        """The files that can be read and their fingerprints (N, 256).

        Raises:
            DatasetError: there are fewer than two.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(self.fingerprint_of, self.files))
        readable = [(f, p) for f, p in zip(self.files, found, strict=True) if p is not None]
        if len(readable) < 2:
            raise DatasetError(f"{self.folder} holds fewer than two images that can be read.")
        if self.scan:
            self.scan.log(len(readable), self.skipped)
        return [file for file, _ in readable], torch.cat([print_ for _, print_ in readable])

    def fingerprint_of(self, file: Path) -> Tensor | None:
        """Return one image's fingerprint (1, 256), or None if it cannot be read."""
        pixels = self.decode(file)
        return None if pixels is None else fingerprint(pixels[None])

    def nearest(self, generated: Pixels, count: int) -> Neighbours:
        """Find the `count` real images nearest to each generated one (N, H, W, 3)."""
        files, real = self.fingerprints
        found = distances_or_mirrored(fingerprint(generated), real).topk(
            min(count, len(files)), largest=False
        )
        chosen = evenly_spaced(range(len(files)), len(generated))
        among = distances_or_mirrored(real[chosen], real)
        among[torch.arange(len(chosen)), chosen] = torch.inf  # the image itself
        return Neighbours(
            files=[[files[index] for index in row] for row in found.indices.tolist()],
            distances=found.values.tolist(),
            generated_median=float(found.values[:, 0].median()),
            real_median=float(among.min(dim=1).values.median()),
        )


def evenly_spaced(items: Sequence[T], count: int) -> list[T]:
    """Return at most `count` of some items, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    last = len(items) - 1
    return [items[round(index * last / max(count - 1, 1))] for index in range(count)]
