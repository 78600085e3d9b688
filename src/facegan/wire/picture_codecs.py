"""uint8 images ⇄ one picture of them all: PNG, JPEG and WebP, which may move."""

from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from facegan import pictures
from facegan.errors import InvocationError
from facegan.pictures import montage
from facegan.wire.content_types import WEBP
from facegan.wire.provenance import open_picture
from facegan.wire.sheet import BROKEN, FRAME_MS, QUALITY, Images, Sheet


def arranged(sheet: Sheet) -> Images:
    """All images side by side, (H', W', 3)."""
    return montage(sheet.images, sheet.columns_abreast)


def encode_png(sheet: Sheet) -> bytes:
    """One picture of all images, to the last bit."""
    return pictures.encode_png(arranged(sheet), sheet.provenance.facts())


def encode_jpeg(sheet: Sheet) -> bytes:
    """One picture of all images, nearly."""
    facts = sheet.provenance.facts()
    return pictures.encode_jpeg(arranged(sheet), facts, sheet.quality or QUALITY)


def encode_webp(sheet: Sheet) -> bytes:
    """One picture of all images, nearly; or one after the other, to the last bit by default."""
    facts = sheet.provenance.facts()
    if sheet.layout == "animation":
        milliseconds = sheet.frame_ms or FRAME_MS
        return pictures.encode_animation(sheet.images, milliseconds, facts, sheet.quality)
    return pictures.encode_webp(arranged(sheet), facts, sheet.quality or QUALITY)


def decode_png(body: bytes) -> Images:
    """The whole picture as (1, H, W, 3)."""
    return pixels_of(open_picture(body, ("PNG",)))[np.newaxis]


def decode_jpeg(body: bytes) -> Images:
    """The whole picture as (1, H, W, 3)."""
    return pixels_of(open_picture(body, ("JPEG",)))[np.newaxis]


def decode_webp(body: bytes) -> Images:
    """The whole picture as (1, H, W, 3); of an animation every frame, (N, H, W, 3)."""
    opened = open_picture(body, ("WEBP",))
    try:
        return np.stack([pixels_of(frame) for frame in ImageSequence.Iterator(opened)])
    except Exception as cause:  # Pillow decodes the later frames only now
        raise InvocationError(f"The {WEBP} answer breaks off.", BROKEN) from cause


def pixels_of(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture's pixels (H, W, 3)."""
    return np.asarray(picture.convert("RGB"))
