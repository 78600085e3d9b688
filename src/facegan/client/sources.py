"""Source images and label maps as callers have them: paths, Pillow images and arrays.

Files are sent as they are, so that the digest in an image's provenance is the file's own.
"""

import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from facegan.errors import RequestError, reason_of
from facegan.wire import encode_pixels

# A file's path, a Pillow image, pixels uint8 (H, W, 3), or class numbers (H, W).
Source = str | PathLike[str] | Image.Image | npt.NDArray[Any]
Sources = Source | Sequence[Source]  # an array may also hold several, along its first axis

DIMENSIONS = {"images": 3, "label_maps": 2, "styles": 3}  # of the array of one
NOT_IN_PNG = ("CMYK", "YCbCr", "LAB", "HSV")  # modes that have to become RGB


def read_sources(field: str, sources: Sources | None) -> list[bytes | npt.NDArray[Any]] | None:
    """Return sources as a request takes them: a file's bytes, or an array.

    Args:
        field: Of the request: images, label_maps or styles.
        sources: One or several.

    Raises:
        RequestError: A file cannot be read, or an item is something else; the message names it.
    """
    if sources is None:
        return None
    if isinstance(sources, np.ndarray) and sources.ndim > DIMENSIONS[field]:
        sources = list(sources)
    if isinstance(sources, str | PathLike | Image.Image | np.ndarray):
        sources = [sources]
    if not isinstance(sources, Sequence):
        raise RequestError(f"{field}: {sources!a:.80} is not a list.", "Give a list of paths.")
    return [read_source(field, f"{field}[{at}]", one) for at, one in enumerate(sources)]


def read_source(field: str, name: str, source: Source) -> bytes | npt.NDArray[Any]:
    """Return one source; arrays are checked by the request."""
    if isinstance(source, np.ndarray):
        return pack_numbers(source) if field == "label_maps" else source
    if isinstance(source, Image.Image):
        return encode_image(field, name, source)
    if isinstance(source, str | PathLike):
        return read_file(Path(source))
    kinds = "a path, a Pillow image or an array"
    raise RequestError(f"{name}: {type(source).__name__} is not {kinds}.", "Give one of these.")


def read_file(path: Path) -> bytes:
    """Return a file's bytes; raise RequestError if it cannot be read."""
    if not path.exists():
        raise RequestError(f"{path} does not exist.", "Check the path.")
    if not path.is_file():
        raise RequestError(f"{path} is not a file.", "Name an image's file.")
    try:
        return path.read_bytes()
    except OSError as cause:
        raise RequestError(f"{path} cannot be read: {reason_of(cause)}.") from cause


def encode_image(field: str, name: str, image: Image.Image) -> bytes:
    """Encode a Pillow image as PNG: upright, without its other metadata."""
    if field != "label_maps" and image.mode in NOT_IN_PNG:
        image = image.convert("RGB")
    stream = io.BytesIO()
    try:
        ImageOps.exif_transpose(image).save(stream, "PNG")
    except (OSError, ValueError) as cause:
        message = f"{name}: the Pillow image of mode {image.mode} cannot be sent: {cause}."
        raise RequestError(message, "Convert it to RGB, or a label map to L or P.") from cause
    return stream.getvalue()


def pack_numbers(numbers: npt.NDArray[Any]) -> bytes | npt.NDArray[Any]:
    """Return a label map as a grey PNG, far smaller than JSON; leave what is not one as it is."""
    is_map = numbers.ndim == 2 and numbers.size and numbers.dtype.kind in "iu"
    if not is_map or numbers.min() < 0 or numbers.max() > 255:
        return numbers
    return encode_pixels(numbers.astype(np.uint8))
