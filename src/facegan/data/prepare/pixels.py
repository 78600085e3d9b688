"""One picture's bytes as one square of pixels, or the reason why not: all decoding of a picture."""

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
ORIENTATION = "facegan orientation"  # the key in a picture's info
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
    """A picture is not used; the message says why, in words that are the same on every machine."""


def open_source_image(content: bytes, everything: bool = False) -> Image.Image:
    """A picture that is worth decoding; of its pixels nothing is read yet.

    Args:
        content: The file's bytes.
        everything: Also what says that facegan generated it.

    Raises:
        UnusableError: empty, text, no picture, several pictures in one, generated, or a
            decompression bomb.
    """
    if not content:
        raise UnusableError("it is empty (0 bytes)")
    bare = strip_metadata(content)
    if bare.is_generated and not everything:
        raise UnusableError(GENERATED)
    try:
        picture = open_image(bare.content, supported_formats())
    except UnidentifiedImageError:
        raise UnusableError(describe_unidentified(content)) from None
    except TooManyPixelsError as cause:
        raise UnusableError(str(cause)) from None
    if bare.is_cut and picture.format == "HEIF":
        raise UnusableError("image file is truncated")
    # A phone's MPO or HEIF holds a depth map or a second view too; the first is the picture.
    several = picture.format not in ("MPO", "HEIF") and getattr(picture, "is_animated", False)
    if several:
        raise UnusableError("it is animated, or several pictures in one file")
    orientation = bare.orientation
    if orientation is None:  # of AVIF Pillow makes EXIF; of HEIF libheif has turned the pixels
        exif = picture.info.get("exif") if picture.format == "AVIF" else None
        orientation = orientation_of(exif or b"")
    picture.info[ORIENTATION] = orientation or UPRIGHT
    return picture


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
    """What a file is that is no picture, as far as its first bytes tell."""
    start = content[:256].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    if start.startswith(b"<"):
        return "it is text (HTML, SVG or XML), not a picture"
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        if "HEIF" in supported_formats():
            return "it is a damaged HEIC"
        return "it is HEIC, which is read with pip install 'facegan[heic]', or convert it to JPEG"
    return "it is no picture that is read here (JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, PPM)"


def apply_orientation(picture: Image.Image) -> Image.Image:
    """A picture turned by its orientation, and by nothing else that its metadata says."""
    turn = TURNS.get(picture.info.get(ORIENTATION, UPRIGHT))
    return picture if turn is None else picture.transpose(turn)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A picture turned as its EXIF says, as RGB.

    Raises:
        ValueError: it has 16 bits or more.
    """
    return to_rgb(apply_orientation(picture))


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode as RGB; transparency is laid on white."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        raise ValueError(f"pictures of mode {picture.mode} (16 bits or more) are not read")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def centre_square(size: tuple[int, int]) -> Box:
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
