"""Image files of every kind that a caller may send, made here by Pillow or byte by byte."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facegan.model_inputs import IMAGES, LABEL_MAPS, LATENTS, STYLES
from facegan.wire import ModelSignature

COLOURS = ("#000000", "#e0a080", "#402010", "#3060c0")
CLASSES = tuple(zip(("ground", "skin", "hair", "eyes"), COLOURS, strict=True))
PALETTE = [channel for colour in COLOURS for channel in bytes.fromhex(colour[1:])]

TRANSLATES = ModelSignature((IMAGES,), 16, ("AtoB", "BtoA"))
TRANSLATES_ONE_WAY = ModelSignature((IMAGES,), 16)
PAINTS = ModelSignature((LABEL_MAPS, LATENTS, STYLES), 16, (), CLASSES)
PAINTS_WITHOUT_SEEDS = ModelSignature((LABEL_MAPS,), 16, (), CLASSES)

Array = npt.NDArray[Any]


def saved(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def photo(width: int = 40, height: int = 24, mode: str = "RGB") -> Image.Image:
    """Return an image with a different colour in every corner."""
    across = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    down = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return Image.fromarray(np.dstack([across, down, 255 - across])).convert(mode)


def palette_map(numbers: Array, palette: Sequence[int] = PALETTE) -> Image.Image:
    """Return class numbers as a palette image."""
    image = Image.fromarray(numbers.astype(np.uint8), "L")
    image.putpalette(list(palette))
    return image


def colour_map(numbers: Array, mode: str = "RGB") -> Image.Image:
    """Return class numbers as an image in their colours."""
    return palette_map(numbers).convert("RGB").convert(mode)


def chunk(name: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_of(
    width: int, height: int, bits: int, colour_type: int, rows: bytes, extra: bytes = b""
) -> bytes:
    """Return a PNG with any head; `rows` with their filters, not yet compressed."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def npy(array: Array) -> bytes:
    """Return what numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def form(*parts: tuple[str, str | bytes], boundary: str = "xYz") -> tuple[bytes, str]:
    """Return a form's body and content type; bytes are files, as curl -F sends them."""
    pieces = []
    for name, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(content, bytes):
            head += '; filename="a.png"\r\nContent-Type: application/octet-stream'
        body = content.encode() if isinstance(content, str) else content
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + body + b"\r\n")
    return (
        b"".join(pieces) + f"--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )
