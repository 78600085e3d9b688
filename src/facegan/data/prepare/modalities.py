"""The modalities of an example: how its image, and a paired image or label map, are read.

Most data sets have one modality, images. Image-to-image families need a second one: another image
of the same scene (pix2pix), or a map that gives each pixel's class (SPADE).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from facegan.data.prepare.pixels import (
    FILTER,
    Pixels,
    UnusableError,
    apply_orientation,
    upright_rgb,
)
from facegan.square_images import Box, cut, raw_mode

LOSSLESS = ("PNG", "BMP", "GIF", "TIFF", "PPM")
MAP_FIX = "save the maps as palette or 8-bit grey PNGs of class indices"


@dataclass(frozen=True)
class Modality:
    """Images: read as RGB, resized with antialiasing."""

    source: str = ""  # the name of the source of its files
    name: str = "images"  # its name in manifests and batches
    folder: str = "."  # below the data set's folder
    channels: int = 3
    filter: str = FILTER

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """Decode an image and turn it upright, ready to be cropped and resized.

        Args:
            image: The opened image, not decoded yet.
            draft: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if both sides keep at
                least this many pixels.

        Raises:
            UnusableError: it is not an image of this modality.
        """
        if draft is not None:
            image.draft("RGB", (draft, draft))
        return upright_rgb(image)

    def cut(self, image: Image.Image, box: Box, resolution: int) -> Pixels:
        """Crop to a box and resize, as uint8 (R, R, 3)."""
        return np.asarray(cut(image, box, resolution, Image.Resampling.LANCZOS))

    def highest(self, pixels: bytes) -> int:
        """Return the highest class in the pixels; 0 for images."""
        return 0

    def facts(self, highest: int) -> dict[str, Any]:
        """Return further facts for its manifest, given the highest class in it."""
        return {}


@dataclass(frozen=True)
class HalfModality(Modality):
    """One half of a file that holds two images side by side, like pix2pix's downloads."""

    half: int = 0  # 0 is the left one

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """Return the half. No draft is used, because the middle might fall inside a pixel.

        Raises:
            UnusableError: the width is odd.
        """
        whole = upright_rgb(image)
        if whole.width % 2:
            raise UnusableError(f"its width is odd ({whole.width}): not two images side by side")
        half = whole.width // 2
        return whole.crop((self.half * half, 0, (self.half + 1) * half, whole.height))


@dataclass(frozen=True)
class LabelMapModality(Modality):
    """Label maps: the class of every pixel, resized with nearest neighbour."""

    channels: int = 1
    filter: str = "nearest"
    names: tuple[str, ...] | None = None  # of the classes; None: 0, 1, 2 …
    palette: tuple[str, ...] | None = None  # colours as #rrggbb; None: PASCAL VOC's

    def open(self, image: Image.Image, draft: int | None) -> Image.Image:
        """Decode a map and turn it upright.

        Raises:
            UnusableError: its pixels are not class indices, or an index is too high.
        """
        if image.mode not in ("P", "L"):
            raise UnusableError(f"it is of mode {image.mode}, not a label map: {MAP_FIX}")
        if image.format not in LOSSLESS:
            raise UnusableError(f"{image.format} compression changes class indices: {MAP_FIX}")
        if image.mode == "L" and raw_mode(image) != "L":
            raise UnusableError(f"it is grey with less than 8 bits, not a label map: {MAP_FIX}")
        whole = apply_orientation(image)
        highest = int(np.asarray(whole).max())
        if self.names is not None and highest >= len(self.names):
            raise UnusableError(f"it has the class {highest}; the last is {len(self.names) - 1}")
        return whole

    def cut(self, image: Image.Image, box: Box, resolution: int) -> Pixels:
        """Crop to a box and resize without inventing classes, as uint8 (R, R)."""
        return np.asarray(cut(image, box, resolution, Image.Resampling.NEAREST))

    def highest(self, pixels: bytes) -> int:
        """Return the highest class in the pixels."""
        return int(np.frombuffer(pixels, np.uint8).max())

    def facts(self, highest: int) -> dict[str, Any]:
        """Return the names and colours of the classes."""
        names = self.names or tuple(str(number) for number in range(highest + 1))
        palette = (*(self.palette or ()), *voc_colours()[len(self.palette or ()) :])
        return {
            "channels": self.channels,
            "label_names": list(names),
            "palette": list(palette[: len(names)]),
        }


def voc_colours() -> tuple[str, ...]:
    """Return PASCAL VOC's 256 colours: the bits of a class, dealt to red, green and blue in turn.

    Source: VOCcode/VOClabelcolormap.m of PASCAL VOC's development kit.
    """

    def channel(number: int, offset: int) -> int:
        bits = (number >> (3 * place + offset) & 1 for place in range(3))
        return sum(bit << (7 - place) for place, bit in enumerate(bits))

    return tuple(
        "#" + "".join(f"{channel(number, offset):02x}" for offset in range(3))
        for number in range(256)
    )
