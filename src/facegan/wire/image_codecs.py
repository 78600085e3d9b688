"""uint8 images ⇄ bytes: one row per content type, written by the server and read by the client."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facegan.errors import InvocationError, NotAcceptable
from facegan.pictures import PNG_SAID_OF_ALL, XMP
from facegan.wire.content_types import JPEG, JSON, JSON_LINES, NPY, PNG, WEBP, ZIP
from facegan.wire.face_codecs import (
    decode_json,
    decode_json_lines,
    encode_json,
    encode_json_lines,
)
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.negotiation import bare_type
from facegan.wire.npy import npy_length, read_npy, write_npy
from facegan.wire.picture_codecs import (
    decode_jpeg,
    decode_png,
    decode_webp,
    encode_jpeg,
    encode_png,
    encode_webp,
)
from facegan.wire.provenance import Provenance
from facegan.wire.sheet import BROKEN, Images, Sheet
from facegan.wire.zip_codec import decode_zip, encode_zip

MOST_DEFLATED = 1032  # to one byte: deflate's longest match, 258 bytes, in two bits


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
    """Write images.

    Args:
        images: uint8 (N, H, W, 3), N ≥ 1.
        accept: A content type of ``IMAGE_CODECS``, as :func:`negotiate` returns it.
        provenance: What every picture says about its origin.
        layout: "grid", "row", "column", "single" or "animation"; shapes types of one picture only.
        columns: Columns of a grid; as square as possible where None.
        quality: 1 … 100, of JPEG and WebP; where None 90, and an animation is lossless.
        frame_ms: How long an animation shows each image, in milliseconds.

    Raises:
        NotAcceptable: `accept` is not in the table.
    """
    if accept not in IMAGE_CODECS:
        offered = ", ".join(IMAGE_CODECS)
        raise NotAcceptable(f"No images are written as {accept[:100]!a}.", f"Ask for {offered}.")
    sheet = Sheet(images, provenance, layout, columns, quality, frame_ms)
    return IMAGE_CODECS[accept].encode(sheet)


def encode_reply(
    images: Images, request: GenerateRequest, accept: str, provenance: Provenance
) -> bytes:
    """Write the images of a request, arranged as it asks; see :func:`encode_images`."""
    return encode_images(
        images,
        accept,
        provenance=provenance,
        layout=request.layout,
        columns=request.arranged_columns,
        quality=request.quality,
        frame_ms=request.frame_ms,
    )


def decode_images(body: bytes, content_type: str) -> Images:
    """Read images back as uint8 (N, H, W, 3).

    A PNG is one picture whatever it shows: a montage comes back whole, as (1, H, W, 3).

    Raises:
        InvocationError: the content type is not in the table, or the body is damaged.
    """
    name = bare_type(content_type)
    if name not in IMAGE_CODECS:
        known = ", ".join(IMAGE_CODECS)
        raise InvocationError(f"The answer is {name[:100]!a}, not one of {known}.", BROKEN)
    return IMAGE_CODECS[name].decode(body)


def least_bytes(count: int, image_shape: tuple[int, ...], content_type: str) -> int:
    """The fewest bytes that `count` images (3, H, W) can take, whatever they show.

    Exact for raw pixels; far below what faces take for all else.
    """
    return IMAGE_CODECS[content_type].least(count, image_shape)


def encode_npy(sheet: Sheet) -> bytes:
    """The bare array (N, H, W, 3)."""
    return write_npy(sheet.images)


def decode_npy(body: bytes) -> Images:
    """The bare array (N, H, W, 3)."""
    try:
        images = read_npy(body)
    except ValueError as cause:
        raise InvocationError(f"The {NPY} answer {cause}.", BROKEN) from cause
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        told = f"The {NPY} answer is {images.dtype} of shape {images.shape}, not images."
        raise InvocationError(told, BROKEN)
    return images


def least_npy(count: int, image_shape: tuple[int, ...]) -> int:
    """A header and the raw pixels: exactly what they take."""
    channels, height, width = image_shape
    return npy_length((count, height, width, channels), np.dtype(np.uint8))


def least_png(count: int, image_shape: tuple[int, ...]) -> int:
    """What every PNG says, and the pixels if they were all alike."""
    return len(PNG_SAID_OF_ALL) + count * math.prod(image_shape) // MOST_DEFLATED


def least_pngs(count: int, image_shape: tuple[int, ...]) -> int:
    """The same for a PNG an image."""
    return count * least_png(1, image_shape)


def least_base64(count: int, image_shape: tuple[int, ...]) -> int:
    """The same in base64, which makes four bytes of three."""
    return least_pngs(count, image_shape) * 4 // 3


def least_lossy(count: int, image_shape: tuple[int, ...]) -> int:
    """What such a picture says; how little its pixels can take, nobody knows."""
    return len(XMP)


class ImageCodec(NamedTuple):
    """Both directions of one content type, and a bound that is known without drawing."""

    encode: Callable[[Sheet], bytes]
    decode: Callable[[bytes], Images]
    least: Callable[[int, tuple[int, ...]], int]


IMAGE_CODECS: dict[str, ImageCodec] = {
    PNG: ImageCodec(encode_png, decode_png, least_png),
    JSON: ImageCodec(encode_json, decode_json, least_base64),
    NPY: ImageCodec(encode_npy, decode_npy, least_npy),
    JPEG: ImageCodec(encode_jpeg, decode_jpeg, least_lossy),
    WEBP: ImageCodec(encode_webp, decode_webp, least_lossy),
    JSON_LINES: ImageCodec(encode_json_lines, decode_json_lines, least_base64),
    ZIP: ImageCodec(encode_zip, decode_zip, least_pngs),
}
