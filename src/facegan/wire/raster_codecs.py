"""uint8 images ⇄ one PNG, JPEG or WebP of them all; a WebP may be an animation."""

from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from facegan import image_encoding
from facegan.errors import InvocationError
from facegan.image_encoding import montage
from facegan.wire.content_types import WEBP
from facegan.wire.image_reply import DAMAGED_HINT, FRAME_MS, QUALITY, ImageReply, Images
from facegan.wire.provenance import open_raster


def encode_png(reply: ImageReply) -> bytes:
    """Encode a grid of all images, losslessly."""
    facts, source_type = reply.provenance.facts(), reply.provenance.source_type
    return image_encoding.encode_png(montage(reply.images, reply.columns), facts, source_type)


def encode_jpeg(reply: ImageReply) -> bytes:
    """Encode a grid of all images."""
    grid, origin = montage(reply.images, reply.columns), reply.provenance
    quality = reply.quality or QUALITY
    return image_encoding.encode_jpeg(grid, origin.facts(), quality, origin.source_type)


def encode_webp(reply: ImageReply) -> bytes:
    """Encode a grid of all images, or an animation, which is lossless by default."""
    facts, source_type = reply.provenance.facts(), reply.provenance.source_type
    if reply.layout == "animation":
        milliseconds = reply.frame_ms or FRAME_MS
        return image_encoding.encode_animation(
            reply.images, milliseconds, facts, reply.quality, source_type
        )
    grid = montage(reply.images, reply.columns)
    return image_encoding.encode_webp(grid, facts, reply.quality or QUALITY, source_type)


def decode_png(body: bytes) -> Images:
    """Decode the whole image as (1, H, W, 3)."""
    return to_pixels(open_raster(body, ("PNG",)))[np.newaxis]


def decode_jpeg(body: bytes) -> Images:
    """Decode the whole image as (1, H, W, 3)."""
    return to_pixels(open_raster(body, ("JPEG",)))[np.newaxis]


def decode_webp(body: bytes) -> Images:
    """Decode the whole image as (1, H, W, 3); every frame of an animation as (N, H, W, 3)."""
    opened = open_raster(body, ("WEBP",))
    try:
        return np.stack([to_pixels(frame) for frame in ImageSequence.Iterator(opened)])
    except Exception as error:  # Pillow decodes the later frames only now
        raise InvocationError(f"The {WEBP} reply breaks off.", DAMAGED_HINT) from error


def to_pixels(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return pixels (H, W, 3)."""
    return np.asarray(image.convert("RGB"))
