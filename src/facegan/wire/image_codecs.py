"""uint8 images ⇄ bytes: one row per content type, used by the server and the client."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facegan.errors import InvocationError, NotAcceptable
from facegan.image_encoding import COMMON_CHUNKS, XMP
from facegan.wire.content_types import (
    JPEG,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    WEBP,
    ZIP,
    bare_type,
)
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.image_reply import DAMAGED_HINT, ImageReply, Images
from facegan.wire.json_codecs import (
    decode_json,
    decode_json_lines,
    encode_json,
    encode_json_lines,
)
from facegan.wire.npy import npy_length, read_npy, write_npy
from facegan.wire.provenance import Provenance
from facegan.wire.raster_codecs import (
    decode_jpeg,
    decode_png,
    decode_webp,
    encode_jpeg,
    encode_png,
    encode_webp,
)
from facegan.wire.zip_codec import decode_zip, encode_zip

MAX_DEFLATE_RATIO = 1032  # deflate's longest match, 258 bytes, takes two bits


def encode_images(
    images: Images,
    accept: str,
    *,
    provenance: Provenance,
    layout: str = "grid",
    columns: int | None = None,
    quality: int | None = None,
    frame_ms: int | None = None,
) -> bytes:
    """Encode images.

    Args:
        images: uint8 (N, H, W, 3), N ≥ 1.
        accept: A content type of ``IMAGE_CODECS``.
        provenance: Written into every image.
        layout: "grid", "row", "column", "single" or "animation"; for types of one image only.
        columns: Columns of a grid; as square as possible if None.
        quality: 1 … 100, of JPEG and WebP; if None, 90, and an animation is lossless.
        frame_ms: How long an animation shows each image, in milliseconds.

    Raises:
        NotAcceptable: `accept` is not in the table.
    """
    if accept not in IMAGE_CODECS:
        offered = ", ".join(IMAGE_CODECS)
        message = f"Images cannot be encoded as {accept[:100]!a}."
        raise NotAcceptable(message, f"Ask for {offered}.")
    columns = {"row": len(images), "column": 1}.get(layout, columns)
    reply = ImageReply(images, provenance, layout, columns, quality, frame_ms)
    return IMAGE_CODECS[accept].encode(reply)


def encode_reply(
    images: Images, request: GenerateRequest, accept: str, provenance: Provenance
) -> bytes:
    """Encode the images of a request, arranged as it says; `accept` is a key of IMAGE_CODECS."""
    layout, columns = request.layout, request.grid_columns
    reply = ImageReply(images, provenance, layout, columns, request.quality, request.frame_ms)
    return IMAGE_CODECS[accept].encode(reply)


def decode_images(body: bytes, content_type: str) -> Images:
    """Decode images to uint8 (N, H, W, 3).

    A PNG is one image whatever it shows: a grid comes back whole, as (1, H, W, 3).

    Raises:
        InvocationError: The content type is not in the table, or the body is damaged.
    """
    name = bare_type(content_type)
    if name not in IMAGE_CODECS:
        known = ", ".join(IMAGE_CODECS)
        message = f"The reply is {name[:100]!a}, not one of {known}."
        raise InvocationError(message, DAMAGED_HINT)
    return IMAGE_CODECS[name].decode(body)


def encode_npy(reply: ImageReply) -> bytes:
    """Encode the bare array (N, H, W, 3)."""
    return write_npy(reply.images)


def decode_npy(body: bytes) -> Images:
    """Decode the bare array (N, H, W, 3)."""
    try:
        images = read_npy(body)
    except ValueError as error:
        raise InvocationError(f"The {NPY} reply {error}.", DAMAGED_HINT) from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        message = f"The {NPY} reply is {images.dtype} of shape {images.shape}, not images."
        raise InvocationError(message, DAMAGED_HINT)
    return images


def min_npy_size(count: int, image_shape: tuple[int, ...]) -> int:
    """Return the exact size: a header and the raw pixels."""
    channels, height, width = image_shape
    return npy_length((count, height, width, channels), np.dtype(np.uint8))


def min_png_size(count: int, image_shape: tuple[int, ...]) -> int:
    """Return the size of one PNG's metadata, and of pixels that are all alike."""
    return len(COMMON_CHUNKS) + count * math.prod(image_shape) // MAX_DEFLATE_RATIO


def min_pngs_size(count: int, image_shape: tuple[int, ...]) -> int:
    """Return :func:`min_png_size` of one PNG per image."""
    return count * min_png_size(1, image_shape)


def min_base64_size(count: int, image_shape: tuple[int, ...]) -> int:
    """Return :func:`min_pngs_size` in base64, which makes four bytes of three."""
    return min_pngs_size(count, image_shape) * 4 // 3


def min_lossy_size(count: int, image_shape: tuple[int, ...]) -> int:
    """Return the size of the metadata; there is no known bound for lossy pixels."""
    return len(XMP)


class ImageCodec(NamedTuple):
    """Both directions of one content type, and the fewest bytes that N images (3, H, W) take.

    The bound is exact for raw pixels, and far below what real images take for all other types.
    """

    encode: Callable[[ImageReply], bytes]
    decode: Callable[[bytes], Images]
    min_encoded_size: Callable[[int, tuple[int, ...]], int]


IMAGE_CODECS: dict[str, ImageCodec] = {
    PNG: ImageCodec(encode_png, decode_png, min_png_size),
    JSON: ImageCodec(encode_json, decode_json, min_base64_size),
    NPY: ImageCodec(encode_npy, decode_npy, min_npy_size),
    JPEG: ImageCodec(encode_jpeg, decode_jpeg, min_lossy_size),
    WEBP: ImageCodec(encode_webp, decode_webp, min_lossy_size),
    JSON_LINES: ImageCodec(encode_json_lines, decode_json_lines, min_base64_size),
    ZIP: ImageCodec(encode_zip, decode_zip, min_pngs_size),
}
