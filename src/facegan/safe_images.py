"""Opens images that come from elsewhere: the one place in this package that calls Image.open."""

import io
import warnings
from collections.abc import Sequence

from PIL import Image

MAX_PIXELS = 89_478_485  # Pillow's own line for decompression bombs: 256 MiB of RGB
# What may be asked for. Among Pillow's other formats are some that start programs (EPS).
SAFE = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "TIFF", "PPM")

# Pillow warns of what open_image refuses: a line in the log for each size that a stranger claims.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class TooManyPixelsError(ValueError):
    """An image is larger than any that is decoded here."""


def open_image(content: bytes, formats: Sequence[str]) -> Image.Image:
    """Open an image by its content, whatever its name is; no pixel of it is decoded yet.

    Args:
        content: The file's bytes.
        formats: Which of ``SAFE`` it may be.

    Raises:
        UnidentifiedImageError: it is none of them.
        TooManyPixelsError: it would take too much memory (a decompression bomb).
        Exception: inside a decoder a broken file may raise anything.
    """
    if unsafe := set(formats) - set(SAFE):
        raise ValueError(f"not among the formats that are safe to open: {sorted(unsafe)}")
    try:
        image = Image.open(io.BytesIO(content), formats=list(formats))
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"it has over {2 * MAX_PIXELS:,} pixels (a bomb?)") from None
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise TooManyPixelsError(f"it has {size} pixels, over {MAX_PIXELS:,} (a bomb?)")
    return image
