"""Whether a generator copies: the real pictures that are nearest to a generated one."""

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

from facegan.data.image_folder import survey
from facegan.data.opening import kind_of, single_pictures
from facegan.errors import DatasetError

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
MOST_REALS = 20_000  # compared with at most: decoding more would take minutes
PRINT_SIDE = 16
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def prints_of(images: Pixels) -> Tensor:
    """What pictures (N, H, W, 3) are compared by: grey, averaged down to 16×16, as (N, 256).

    Averaging forgives a shift by a pixel or two and small noise; grey forgives a tint.
    """
    levels = torch.tensor(images, dtype=torch.float32)
    grey = (levels @ torch.tensor(LUMA)).unsqueeze(1)
    return interpolate(grey, size=(PRINT_SIDE, PRINT_SIDE), mode="area").flatten(1)


def distances(first: Tensor, second: Tensor) -> Tensor:
    """L2 distances (N, M) of prints (N, 256) and (M, 256), a pixel's mean: grey levels of 255."""
    return torch.cdist(first, second) / PRINT_SIDE


def nearer_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the distances of prints, the first as they are or mirrored, whichever is nearer.

    A run that mirrors its images may copy either.
    """
    mirrored = first.unflatten(1, (PRINT_SIDE, PRINT_SIDE)).flip(2).flatten(1)
    return torch.minimum(distances(first, second), distances(mirrored, second))


@dataclass(frozen=True)
class Neighbours:
    """The nearest reals of some fakes, and two medians to judge their distances by."""

    files: list[list[Path]]  # the reals, nearest first, for every fake
    distances: list[list[float]]
    fakes_median: float  # from a fake to the nearest real
    reals_median: float  # from a real to the nearest other real


class Reals:
    """The pictures a run was trained on, or an even choice of them; decoded when needed.

    Raises:
        DatasetError: the folder is missing, holds no pictures, or is packed at another resolution.
    """

    def __init__(self, folder: Path, resolution: int, split: str | None = None) -> None:
        self.folder, self.resolution = folder, resolution
        found, self.read_one = single_pictures(folder, resolution, split)
        self.survey = survey(folder) if kind_of(folder) == "folder" else None
        self.skipped = dict(self.survey.problems) if self.survey else {}
        self.found = len(found) + len(self.skipped)
        self.files = spread(found, MOST_REALS)

    def read(self, files: Sequence[Path]) -> Pixels:
        """The pictures (N, R, R, 3) of some files; those that cannot be read are left out.

        Raises:
            DatasetError: none can be read.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow frees the interpreter lock
            decoded = [pixels for pixels in pool.map(self.decode, files) if pixels is not None]
        if not decoded:
            raise DatasetError(f"The pictures in {self.folder} cannot be read.")
        return np.stack(decoded)

    def decode(self, file: Path) -> Pixels | None:
        """One picture, or None, and why is noted."""
        try:
            return self.read_one(file)
        except Exception as cause:  # inside a decoder a broken file may raise anything
            self.skipped[file] = str(cause)
            return None

    def choose(self, count: int) -> Pixels:
        """Pictures from all over the folder, always the same ones."""
        return self.read(spread(self.files, count))

    @cached_property
    def prints(self) -> tuple[list[Path], Tensor]:
        """The files that can be read and their prints (N, 256).

        Raises:
            DatasetError: there are fewer than two.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(self.print_of, self.files))
        readable = [(f, p) for f, p in zip(self.files, found, strict=True) if p is not None]
        if len(readable) < 2:
            raise DatasetError(f"{self.folder} holds fewer than two pictures that can be read.")
        if self.survey:
            self.survey.tell(len(readable), self.skipped)
        return [file for file, _ in readable], torch.cat([print_ for _, print_ in readable])

    def print_of(self, file: Path) -> Tensor | None:
        """One picture's print (1, 256), or None."""
        pixels = self.decode(file)
        return None if pixels is None else prints_of(pixels[None])

    def nearest(self, fakes: Pixels, count: int) -> Neighbours:
        """The nearest `count` reals of each fake (N, H, W, 3); DatasetError as in `prints`."""
        files, prints = self.prints
        found = nearer_distances(prints_of(fakes), prints).topk(
            min(count, len(files)), largest=False
        )
        chosen = spread(range(len(files)), len(fakes))
        among = nearer_distances(prints[chosen], prints)
        among[torch.arange(len(chosen)), chosen] = torch.inf  # itself
        return Neighbours(
            files=[[files[index] for index in row] for row in found.indices.tolist()],
            distances=found.values.tolist(),
            fakes_median=float(found.values[:, 0].median()),
            reals_median=float(among.min(dim=1).values.median()),
        )


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of some items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    last = len(items) - 1
    return [items[round(index * last / max(count - 1, 1))] for index in range(count)]
