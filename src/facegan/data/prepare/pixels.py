"""Decodes an image file into an upright RGB image, or says why it cannot be used."""

from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from facegan.image_metadata import UPRIGHT, orientation_of, strip_metadata
from facegan.safe_images import TooManyPixelsError, open_image
from facegan.square_images import to_rgb, turned

# Imports inside functions: pi-heif is an optional package.

Pixels = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "TIFF", "PPM")
MAX_BYTES = 2**28  # per file
FILTER = "lanczos"
HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
ORIENTATION = "facegan orientation"  # the key in an image's info
GENERATED = "facegan made it (its metadata says so)"


class UnusableError(ValueError):
    """An image cannot be used. The message says why, and is the same on every machine."""


def open_source_image(content: bytes, everything: bool = False) -> Image.Image:
    """Open an image without decoding its pixels.

    Args:
        content: The file's bytes.
        everything: Whether to accept images whose metadata says that facegan generated them.

    Raises:
        UnusableError: the file is empty, not an image, animated, generated, or a decompression
            bomb.
    """
    if not content:
        raise UnusableError("it is empty (0 bytes)")
    bare = strip_metadata(content)
    if bare.is_generated and not everything:
        raise UnusableError(GENERATED)
    try:
        image = open_image(bare.content, supported_formats())
    except UnidentifiedImageError:
        raise UnusableError(describe_unidentified(content)) from None
    except TooManyPixelsError as cause:
        raise UnusableError(str(cause)) from None
    if bare.is_cut and image.format == "HEIF":
        raise UnusableError("image file is truncated")
    # A phone's MPO or HEIF also holds a depth map or a second view; the first is the image.
    several = image.format not in ("MPO", "HEIF") and getattr(image, "is_animated", False)
    if several:
        raise UnusableError("it is animated, or several images in one file")
    orientation = bare.orientation
    if orientation is None:  # Pillow reports AVIF's as EXIF; libheif has already turned HEIF
        exif = image.info.get("exif") if image.format == "AVIF" else None
        orientation = orientation_of(exif or b"")
    image.info[ORIENTATION] = orientation or UPRIGHT
    return image


@lru_cache(maxsize=1)
def supported_formats() -> tuple[str, ...]:
    """Return the formats that can be read here; HEIF needs the extra ``heic``."""
    Image.init()
    if find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
    return tuple(name for name in FORMATS if name in Image.OPEN)


def describe_unidentified(content: bytes) -> str:
    """Return the reason why a file is not an image, from its first bytes."""
    start = content[:256].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    if start.startswith(b"<"):
        return "it is text (HTML, SVG or XML), not an image"
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        if "HEIF" in supported_formats():
            return "it is a damaged HEIC"
        return "it is HEIC: pip install 'facegan[heic]' to read it, or convert it to JPEG"
    return "it is not an image of a known format (JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, PPM)"


def apply_orientation(image: Image.Image) -> Image.Image:
    """Return an image turned by its orientation; other metadata is ignored."""
    return turned(image, image.info.get(ORIENTATION, UPRIGHT))


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB, turned by its orientation.

    Raises:
        ValueError: it has 16 bits or more.
    """
    return to_rgb(apply_orientation(image))
