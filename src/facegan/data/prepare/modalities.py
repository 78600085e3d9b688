"""What an example is made of: an image and its companions, and how each of these sides is read.

A data set of images has one side. Image-to-image families need more of each example: a second
image of the same thing (pix2pix), or a map that says what each pixel shows (SPADE).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from facegan.data.prepare.pixels import (
    FILTER,
    Box,
    Pixels,
    UnusableError,
    apply_orientation,
    cut,
    upright_rgb,
)

LOSSLESS = ("PNG", "BMP", "GIF", "TIFF", "PPM")
MAP_FIX = "save the maps as palette or 8-bit grey PNGs of class indices"


@dataclass(frozen=True)
class Modality:
    """Images: read as RGB, resized with antialiasing."""

    source: str = ""  # the name of where its files come from
    name: str = "images"  # what a manifest and a batch call it
    folder: str = "."  # below the data set's own
    channels: int = 3
    filter: str = FILTER

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """An image, upright, as whatever is cut and resized.

        Args:
            image: Nothing of it is decoded yet.
            draft: A JPEG may be decoded at 1/2, 1/4 or 1/8 if that leaves it so many pixels.

        Raises:
            UnusableError: it is not what this side needs.
        """
        if draft is not None:
            image.draft("RGB", (draft, draft))
        return upright_rgb(image)

    def cut(self, image: Image.Image, box: Box, resolution: int) -> Pixels:
        """What a box holds, as uint8 (R, R, 3)."""
        return np.asarray(cut(image, box, resolution, Image.Resampling.LANCZOS))

    def highest(self, pixels: bytes) -> int:
        """The highest class in pixels; images have none."""
        return 0

    def facts(self, highest: int) -> dict[str, Any]:
        """What its manifest says besides, given the highest class in it."""
        return {}


@dataclass(frozen=True)
class HalfModality(Modality):
    """One half of a file that holds two images side by side, as pix2pix's downloads are."""

    half: int = 0  # 0 is the left one

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """The half; never from a draft, in which the middle may lie within a pixel.

        Raises:
            UnusableError: the width is odd.
        """
        whole = upright_rgb(image)
        if whole.width % 2:
            raise UnusableError(f"its width, {whole.width}, is odd: no two images side by side")
        half = whole.width // 2
        return whole.crop((self.half * half, 0, (self.half + 1) * half, whole.height))


@dataclass(frozen=True)
class LabelMapModality(Modality):
    """Label maps: the class of every pixel by its number, resized by taking the nearest."""

    channels: int = 1
    filter: str = "nearest"
    names: tuple[str, ...] | None = None  # of the classes; None: they are called 0, 1, 2 …
    palette: tuple[str, ...] | None = None  # their colours, #rrggbb; None: PASCAL VOC's

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """The map, upright.

        Raises:
            UnusableError: what it holds are no class indices, or one is of no class.
        """
        if image.mode not in ("P", "L"):
            raise UnusableError(f"it is of mode {image.mode}, not a label map: {MAP_FIX}")
        if image.format not in LOSSLESS:
            raise UnusableError(f"{image.format} changes the numbers of a map: {MAP_FIX}")
        if image.mode == "L" and raw_mode(image) != "L":
            raise UnusableError(f"it is grey of less than 8 bits, not a label map: {MAP_FIX}")
        whole = apply_orientation(image)
        highest = int(np.asarray(whole).max())
        if self.names is not None and highest >= len(self.names):
            raise UnusableError(f"it has the class {highest}; the last is {len(self.names) - 1}")
        return whole

    def cut(self, image: Image.Image, box: Box, resolution: int) -> Pixels:
        """What a box holds, as uint8 (R, R): no class that was not there."""
        return np.asarray(cut(image, box, resolution, Image.Resampling.NEAREST))

    def highest(self, pixels: bytes) -> int:
        """The highest class in pixels."""
        return int(np.frombuffer(pixels, np.uint8).max())

    def facts(self, highest: int) -> dict[str, Any]:
        """The classes' names and colours."""
        names = self.names or tuple(str(number) for number in range(highest + 1))
        palette = (*(self.palette or ()), *voc_colours()[len(self.palette or ()) :])
        return {
            "channels": self.channels,
            "label_names": list(names),
            "palette": list(palette[: len(names)]),
        }


def raw_mode(image: Image.Image) -> str:
    """How a file holds its pixels: ``L;2`` is grey of 2 bits, which Pillow widens to 8."""
    tile = getattr(image, "tile", [])
    args = tile[0][3] if tile else ""
    return args if isinstance(args, str) else str(args[0])


def voc_colours() -> tuple[str, ...]:
    """The 256 colours of PASCAL VOC's maps: a class's bits, dealt to red, green and blue in turn.

    Source: VOCcode/VOClabelcolormap.m of PASCAL VOC's development kit.
    """

    def channel(number: int, offset: int) -> int:
        bits = (number >> (3 * place + offset) & 1 for place in range(3))
        return sum(bit << (7 - place) for place, bit in enumerate(bits))

    return tuple(
        "#" + "".join(f"{channel(number, offset):02x}" for offset in range(3))
        for number in range(256)
    )
