"""One picture's bytes as one square of pixels, or the reason why not: all decoding of a picture."""

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom

# What Pillow may try; among its others are some that start programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 89_478_485  # Pillow's own line for decompression bombs: 256 MiB of RGB
MAX_BYTES = 2**28  # of one file
FILTER = "lanczos"


class UnusableError(ValueError):
    """A picture is not used; the message says why, in words that are the same on every machine."""


def open_picture(content: bytes) -> Image.Image:
    """A picture that is worth decoding; of its pixels nothing is read yet.

    Raises:
        UnusableError: empty, text, no picture, several pictures in one, or a decompression bomb.
    """
    if not content:
        raise UnusableError("it is empty (0 bytes)")
    try:
        picture = Image.open(io.BytesIO(content), formats=formats_here())
    except UnidentifiedImageError:
        raise UnusableError(unidentified(content)) from None
    except Image.DecompressionBombError:
        raise UnusableError(f"it has over {2 * MAX_PIXELS:,} pixels (a bomb?)") from None
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise UnusableError(f"it has {size} pixels, over {MAX_PIXELS:,} (a bomb?)")
    # A phone's MPO holds a depth map or a second view beside its JPEG; the first is the picture.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        raise UnusableError("it is animated, or several pictures in one file")
    return picture


@lru_cache(maxsize=1)
def formats_here() -> tuple[str, ...]:
    """Those of the formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def unidentified(content: bytes) -> str:
    """What a file is that is no picture, as far as its first bytes tell."""
    start = content[:256].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    if start.startswith(b"<"):
        return "it is text (HTML, SVG or XML), not a picture"
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "it is HEIC, which is not read: convert it to JPEG"
    return "it is no picture that is read here (JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, PPM)"


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A picture turned as its EXIF says, as RGB.

    Raises:
        ValueError: it has 16 bits or more.
    """
    return flatten(ImageOps.exif_transpose(picture))


def flatten(picture: Image.Image) -> Image.Image:
    """Any mode as RGB; transparency is laid on white."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        raise ValueError(f"pictures of mode {picture.mode} (16 bits or more) are not read")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def square(picture: Image.Image, resolution: int) -> Image.Image:
    """The centred square of a picture, resized with an antialiasing (Lanczos) filter."""
    return cut(picture, middle(picture.size), resolution, Image.Resampling.LANCZOS)


def middle(size: tuple[int, int]) -> Box:
    """The centred square of a width and height."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def cut(picture: Image.Image, box: Box, resolution: int, resample: Image.Resampling) -> Image.Image:
    """What a box of a picture holds, as a square of the resolution."""
    # Cropped first: resizing a box would let the filter reach over its edges.
    kept = picture.crop(box)
    if kept.size == (resolution, resolution):
        return kept
    return kept.resize((resolution, resolution), resample)
