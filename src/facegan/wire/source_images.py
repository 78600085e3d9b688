"""Source images and label maps of requests → arrays of a model's side, or a sentence why not.

They come from strangers: a file's head is checked before any pixel of it is decoded. They are
cropped and resized as data sets are (``square_images``): images by Lanczos, label maps by nearest
neighbour. Colour profiles are ignored, CMYK becomes RGB, transparent pixels become white.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from facegan.errors import RequestError, RequestTooLarge, pluralize
from facegan.image_metadata import UPRIGHT, strip_metadata
from facegan.safe_images import TooManyPixelsError, open_image
from facegan.square_images import centre_square, cut, raw_mode, to_rgb, turned
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.signature import ModelSignature
from facegan.wire.sources import Source

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.integer]

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 32_000_000  # of all sources of a request together
BAND_ROWS = 256  # of a map whose colours are looked up at once
WIDENED = {"1": 255, "L;2": 85, "L;4": 17}  # what Pillow multiplies grey of fewer bits by
NOUNS = {"images": "image", "label_maps": "label map", "styles": "style"}
MAP_HINT = (
    "Send a PNG: palette or 8-bit grey with the number of each pixel's class, or RGB in the "
    "classes' own colours."
)


@dataclass(frozen=True)
class OpenSource:
    """One source, of which no pixel is decoded yet.

    Attributes:
        name: For messages: "The image", or "images[3]" of several.
        field: Of ``SOURCE_FIELDS``.
        image: The opened file; or an array, uint8 (H, W, 3) or class numbers (H, W).
        raw_mode: How the file stores pixels; see ``square_images.raw_mode``.
        orientation: EXIF's, 1 to 8.
    """

    name: str
    field: str
    image: Image.Image | npt.NDArray[np.integer]
    raw_mode: str = ""
    orientation: int = UPRIGHT

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        if isinstance(self.image, np.ndarray):
            return self.image.shape[1], self.image.shape[0]
        return self.image.size

    def error(self, message: str, hint: str) -> RequestError:
        """Build an error about this source."""
        return RequestError(f"{self.name} {message}.", hint)


def open_sources(request: GenerateRequest, max_pixels: int = MAX_PIXELS) -> list[OpenSource]:
    """Open all sources of a request.

    Raises:
        RequestTooLarge: They have over `max_pixels` together; said by their heads.
        RequestError: One is not an image, is animated, or has 16 bits.
    """
    opened = []
    left = max_pixels
    for field, sources in request.sources.items():
        for index, source in enumerate(sources):
            name = f"{field}[{index}]" if len(sources) > 1 else f"The {NOUNS[field]}"
            opened.append(open_source(name, field, source, max_pixels))
            left -= count_pixels(opened[-1:])
            if left < 0:
                message = f"The request's images have over {max_pixels:,} pixels together."
                raise RequestTooLarge(message, "Reduce them, or split the request.")
    return opened


def count_pixels(sources: Sequence[OpenSource]) -> int:
    """Return how many pixels sources have together."""
    return sum(width * height for width, height in (source.size for source in sources))


def open_source(name: str, field: str, source: Source, max_pixels: int) -> OpenSource:
    """Open one source; see :func:`open_sources`."""
    if isinstance(source, np.ndarray):
        return OpenSource(name, field, source)
    if not source:
        raise RequestError(f"{name} is empty (0 bytes).", "Send the bytes of an image file.")
    bare = strip_metadata(source)
    try:
        image = open_image(bare.content, FORMATS)
        is_animated = image.format != "MPO" and getattr(image, "is_animated", False)
    except TooManyPixelsError:
        raise too_large(name, "more", max_pixels) from None
    except Exception as error:  # a broken head may raise anything in a decoder
        hint = "Send an image as PNG, JPEG or WebP."
        raise RequestError(f"{name} is not a readable PNG, JPEG or WebP.", hint) from error
    if image.width * image.height > max_pixels:
        raise too_large(name, f"{image.width} x {image.height}", max_pixels)
    opened = OpenSource(name, field, image, raw_mode(image), bare.orientation or UPRIGHT)
    if is_animated:
        raise opened.error("is animated", "Send one frame of it, as PNG.")
    if "16" in opened.raw_mode or image.mode in ("I", "F"):
        raise opened.error("has 16 bits per channel", "Save it with 8 bits per channel.")
    if field == "label_maps" and is_lossy(source, image):
        kind = f"a {'lossy ' if image.format == 'WEBP' else ''}{image.format}"
        raise opened.error(f"is {kind}, whose compression changes class numbers", MAP_HINT)
    return opened


def too_large(name: str, size: str, max_pixels: int) -> RequestTooLarge:
    """Build the error of an image that is not decoded because of its size."""
    message = f"{name} has {size} pixels; the limit is {max_pixels:,}."
    return RequestTooLarge(message, "Reduce it: the model's own images are far smaller.")


def is_lossy(content: bytes, image: Image.Image) -> bool:
    """Return whether a file's compression changes pixels: any but PNG and lossless WebP."""
    if image.format != "WEBP":
        return image.format != "PNG"
    place = 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], content[place + 4 : place + 8]
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        place += 8 + (int.from_bytes(size, "little") + 1) // 2 * 2
    return True


def decode_sources(sources: Sequence[OpenSource], signature: ModelSignature) -> dict[str, Pixels]:
    """Decode opened sources to the model's side.

    Returns:
        By field: uint8 images (N, R, R, 3), or the class of each pixel, uint8 (N, R, R).

    Raises:
        RequestError: One is damaged, or has classes or colours that the model does not know.
    """
    found: dict[str, list[Pixels]] = {}
    for source in sources:
        decode = decode_label_map if source.field == "label_maps" else decode_image
        found.setdefault(source.field, []).append(decode(source, signature))
    return {field: np.stack(arrays) for field, arrays in found.items()}


def decode_image(source: OpenSource, signature: ModelSignature) -> Pixels:
    """Decode an image: upright, its centre square, by Lanczos, as uint8 (R, R, 3)."""
    side = signature.side

    def decode() -> Image.Image:
        if isinstance(source.image, np.ndarray):
            return Image.fromarray(source.image)
        source.image.draft("RGB", (2 * side, 2 * side))  # a JPEG's; twice the side is enough
        source.image.load()
        return to_rgb(turned(source.image, source.orientation))

    image = guarded(source, decode)
    return np.asarray(cut(image, centre_square(image.size), side, Image.Resampling.LANCZOS))


def decode_label_map(source: OpenSource, signature: ModelSignature) -> Pixels:
    """Decode a label map: upright, its centre square, by nearest neighbour, as uint8 (R, R)."""
    if isinstance(source.image, np.ndarray):
        numbers = source.image
    else:
        numbers = numbers_of(source, signature)
    check_numbers(source, numbers, signature)
    image = Image.fromarray(numbers.astype(np.uint8))
    box = centre_square(image.size)
    return np.asarray(cut(image, box, signature.side, Image.Resampling.NEAREST))


def guarded(source: OpenSource, decode: Callable[[], Image.Image]) -> Image.Image:
    """Decode pixels; raise RequestError if the file is damaged."""
    try:
        return decode()
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises a dozen
        raise source.error("is damaged or cut off", "Send the whole file again.") from error


# --- label maps: palette, grey or colours → class numbers -----------------------------------------


def numbers_of(source: OpenSource, signature: ModelSignature) -> Numbers:
    """Return the class number of each pixel of a file (H, W)."""
    assert isinstance(source.image, Image.Image)
    opened = source.image

    def decode() -> Image.Image:
        opened.load()
        return turned(opened, source.orientation)

    image = guarded(source, decode)
    if image.mode == "P":
        return numbers_of_palette(image, signature)
    if image.mode in ("LA", "RGBA"):
        image = without_alpha(source, image)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L")) // WIDENED.get(source.raw_mode, 1)
    return numbers_of_colours(source, image.convert("RGB"), signature)


def numbers_of_palette(image: Image.Image, signature: ModelSignature) -> Numbers:
    """Return a palette image's indices; or its classes, if a program has reordered the palette.

    Programs that make files smaller do that. Then the image shows no other colours than the
    classes', each once in the palette, and the palette is not the classes' own.
    """
    indices = np.asarray(image)
    palette = image.getpalette("RGB") or []
    colours = ["#" + bytes(palette[start : start + 3]).hex() for start in range(0, len(palette), 3)]
    own = [colour for _, colour in signature.map_classes]
    used = [index for index in np.unique(indices).tolist() if index < len(colours)]
    shown = [colours[index] for index in used]
    is_reordered = len(set(own)) == len(own) and len(set(shown)) == len(shown)
    if colours[: len(own)] == own or not is_reordered or not set(shown) <= set(own):
        return indices
    table = np.arange(256, dtype=np.uint8)
    table[used] = [own.index(colour) for colour in shown]
    numbers: Numbers = table[indices]
    return numbers


def without_alpha(source: OpenSource, image: Image.Image) -> Image.Image:
    """Return an opaque image without its alpha channel."""
    transparent = int((np.asarray(image.getchannel("A")) < 255).sum())
    if transparent:
        raise source.error(f"has {pluralize(transparent, 'transparent pixel')}", MAP_HINT)
    return image.convert("L" if image.mode == "LA" else "RGB")


def numbers_of_colours(
    source: OpenSource, image: Image.Image, signature: ModelSignature
) -> Numbers:
    """Return the class of each pixel by its colour, which must be a class's own.

    A lossless WebP has no grey: one whose pixels are all grey, and not all of them in the classes'
    colours, holds class numbers.
    """
    colours = np.array([int(colour[1:], 16) for _, colour in signature.map_classes])
    order = np.argsort(colours, kind="stable")
    table = colours[order]
    pixels = np.asarray(image)
    numbers = np.empty(pixels.shape[:2], np.uint8)
    unknown: dict[int, int] = {}
    for top in range(0, len(pixels), BAND_ROWS):
        band = pixels[top : top + BAND_ROWS].astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        places = np.minimum(np.searchsorted(table, band), len(table) - 1)
        numbers[top : top + BAND_ROWS] = order[places]
        wrong, counts = np.unique(band[table[places] != band], return_counts=True)
        for colour, count in zip(wrong.tolist(), counts.tolist(), strict=True):
            unknown[colour] = unknown.get(colour, 0) + count
    if not unknown:
        return numbers
    is_webp = isinstance(source.image, Image.Image) and source.image.format == "WEBP"
    if is_webp and (pixels == pixels[..., :1]).all():
        return pixels[..., 0]
    raise unknown_colours(source, unknown, signature)


def unknown_colours(
    source: OpenSource, unknown: dict[int, int], signature: ModelSignature
) -> RequestError:
    """Build the error of colours that are not a class's; the most frequent are named."""
    often = sorted(unknown, key=lambda colour: -unknown[colour])[:3]
    named = ", ".join(f"#{colour:06x} ({pluralize(unknown[colour], 'pixel')})" for colour in often)
    start = "most frequently " if len(unknown) > len(often) else ""
    known = ", ".join(f"{colour} {name}" for name, colour in signature.map_classes[:16])
    more = ", …" if len(signature.map_classes) > 16 else ""
    return source.error(
        f"has {pluralize(len(unknown), 'colour')} that no class has: {start}{named}",
        f"The classes' colours are {known}{more}.",
    )


def check_numbers(source: OpenSource, numbers: Numbers, signature: ModelSignature) -> None:
    """Raise RequestError if a number is not a class's."""
    last = len(signature.map_classes) - 1
    wrong = (numbers < 0) | (numbers > last)
    if not wrong.any():
        return
    row, column = np.argwhere(wrong)[0].tolist()
    number = numbers[row, column]
    name = signature.map_classes[last][0]
    message = (
        f"has the class {number} at row {row}, column {column}, and "
        f"{pluralize(int(wrong.sum()), 'pixel')} outside 0 to {last}"
    )
    raise source.error(message, f"The last class is {last} ({name}). {MAP_HINT}")


def encode_pixels(pixels: Pixels) -> bytes:
    """Encode an image (H, W, 3) as a plain PNG, to be sent as a source."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
