"""One image's bytes as one square of pixels, or the reason why not: all decoding of an image."""

from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from facegan.data.prepare.metadata import UPRIGHT, orientation_of, strip_metadata
from facegan.safe_images import TooManyPixelsError, open_image

# Imports inside functions: pi-heif is an optional package.

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "TIFF", "PPM")
MAX_BYTES = 2**28  # of one file
FILTER = "lanczos"
HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
ORIENTATION = "facegan orientation"  # the key in an image's info
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
GENERATED = "facegan made it (its metadata says so)"


class UnusableError(ValueError):
    """An image is not used; the message says why, in words that are the same on every machine."""


def open_source_image(content: bytes, everything: bool = False) -> Image.Image:
    """An image that is worth decoding; of its pixels nothing is read yet.

    Args:
        content: The file's bytes.
        everything: Also what says that facegan generated it.

    Raises:
        UnusableError: empty, text, no image, several images in one, generated, or a
            decompression bomb.
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
    # A phone's MPO or HEIF holds a depth map or a second view too; the first is the image.
    several = image.format not in ("MPO", "HEIF") and getattr(image, "is_animated", False)
    if several:
        raise UnusableError("it is animated, or several images in one file")
    orientation = bare.orientation
    if orientation is None:  # of AVIF Pillow makes EXIF; of HEIF libheif has turned the pixels
        exif = image.info.get("exif") if image.format == "AVIF" else None
        orientation = orientation_of(exif or b"")
    image.info[ORIENTATION] = orientation or UPRIGHT
    return image


@lru_cache(maxsize=1)
def supported_formats() -> tuple[str, ...]:
    """Those of the formats that can be read here: HEIF by the extra ``heic``."""
    Image.init()
    if find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
    return tuple(name for name in FORMATS if name in Image.OPEN)


def describe_unidentified(content: bytes) -> str:
    """What a file is that is not an image, as far as its first bytes tell."""
    start = content[:256].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    if start.startswith(b"<"):
        return "it is text (HTML, SVG or XML), not an image"
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        if "HEIF" in supported_formats():
            return "it is a damaged HEIC"
        return "it is HEIC, which is read with pip install 'facegan[heic]', or convert it to JPEG"
    return "it is not an image that is read here (JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, PPM)"


def apply_orientation(image: Image.Image) -> Image.Image:
    """An image turned by its orientation, and by nothing else that its metadata says."""
    turn = TURNS.get(image.info.get(ORIENTATION, UPRIGHT))
    return image if turn is None else image.transpose(turn)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF says, as RGB.

    Raises:
        ValueError: it has 16 bits or more.
    """
    return to_rgb(apply_orientation(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; transparency is laid on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        raise ValueError(f"images of mode {image.mode} (16 bits or more) are not read")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def centre_square(size: tuple[int, int]) -> Box:
    """The centred square of a width and height."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def cut(image: Image.Image, box: Box, resolution: int, resample: Image.Resampling) -> Image.Image:
    """What a box of an image holds, as a square of the resolution."""
    # Cropped first: resizing a box would let the filter reach over its edges.
    kept = image.crop(box)
    if kept.size == (resolution, resolution):
        return kept
    return kept.resize((resolution, resolution), resample)
