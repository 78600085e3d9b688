"""Removes an image file's metadata before it is decoded, except for the orientation.

Only the orientation affects the pixels. EXIF, XMP, colour profiles, texts and comments never reach
the decoder, so metadata that is broken, truncated or huge cannot make an image unreadable. Damage
to the image data itself is left for the decoder to find.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

UPRIGHT, ORIENTATIONS = 1, range(1, 9)  # EXIF's tag 0x0112
TAG_ORIENTATION = 0x0112
WHOLE_NUMBERS = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}  # TIFF's integer types → size in bytes
XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)([1-8])""")
MOST_TEXT = 2**20  # bytes to decompress: an orientation needs a few hundred

# What `facegan.image_encoding` writes into every image that it generates.
OWN_SOFTWARE, OWN_XMP = b"facegan ", b"urn:facegan:"


@dataclass
class StrippedImage:
    """An image file without its metadata.

    Attributes:
        content: The file's bytes; the same object if there was nothing to remove.
        orientation: EXIF's, 1 to 8; None if only the decoder knows it (AVIF, HEIF).
        is_generated: Whether the metadata says that facegan generated the image.
        is_cut: Whether the file is truncated in a way that its decoder would hide.
    """

    content: bytes
    orientation: int | None = UPRIGHT
    is_generated: bool = False
    is_cut: bool = False


@dataclass
class Found:
    """The metadata found in a file, and which of its bytes to keep."""

    content: bytes
    kept: list[tuple[int, int]] = field(default_factory=list)  # from, to
    exif: bytes = b""
    xmp: bytes = b""
    is_generated: bool = False

    def keep(self, start: int, stop: int) -> None:
        """Keep the bytes from start to stop; adjacent ranges are joined."""
        if self.kept and self.kept[-1][1] == start:
            start = self.kept.pop()[0]
        self.kept.append((start, stop))

    def bare(self, end: bytes = b"") -> StrippedImage:
        """Return the file made of the kept bytes, followed by `end` if any were removed."""
        content = self.content
        if self.kept != [(0, len(content))]:
            view = memoryview(content)
            content = b"".join([*(view[start:stop] for start, stop in self.kept), end])
        return StrippedImage(content, self.orientation(), self.is_generated or OWN_XMP in self.xmp)

    def orientation(self) -> int:
        """Return EXIF's orientation, else XMP's, else upright."""
        found = orientation_of(self.exif)
        if found is None and (match := XMP_ORIENTATION.search(self.xmp)):
            found = int(match[1])
        return found or UPRIGHT


def strip_metadata(content: bytes) -> StrippedImage:
    """Return an image file without its metadata; other and unparsable files are unchanged.

    Args:
        content: Any bytes.
    """
    for is_format, strip in STRIPPERS:
        if is_format(content):
            try:
                return strip(content)
            except (IndexError, ValueError, struct.error):  # truncated: the decoder reports it
                return StrippedImage(content)
    return StrippedImage(content)


# --- orientation --------------------------------------------------------------------------------


def orientation_of(exif: bytes) -> int | None:
    """Return the orientation in an EXIF block, 1 to 8; None if it has none or is broken."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, type_ = struct.unpack_from(order + "HH", exif, entry)
            if tag == TAG_ORIENTATION:
                return orientation_value(exif, entry + 4, type_, order, "I")
    except struct.error:  # truncated
        pass
    return None


def orientation_value(
    content: bytes, place: int, type_: int, order: str, counter: str
) -> int | None:
    """Return the orientation from a tag's count and value; None if it is not a valid one."""
    size = WHOLE_NUMBERS.get(type_, 0)
    (count,) = struct.unpack_from(order + counter, content, place)
    place += struct.calcsize(order + counter)
    value = int.from_bytes(content[place : place + size], "little" if order == "<" else "big")
    return value if size and count == 1 and value in ORIENTATIONS else None


# --- JPEG ---------------------------------------------------------------------------------------

EOI, SOS, APP0, APP1, APP14, COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"


def strip_jpeg(content: bytes) -> StrippedImage:
    """Strip a JPEG; of its application segments only JFIF's and Adobe's define colours."""
    found = Found(content)
    found.keep(0, 2)
    place = 2
    while True:
        if content[place] != 0xFF:  # the rest of a segment with a wrong length
            place = content.index(b"\xff", place)
            continue
        marker = content[place + 1]
        if marker in (0x00, 0xFF):  # an escape, or padding
            place += 1 if marker else 2
            continue
        if marker in ALONE:
            found.keep(place, place + 2)
            place += 2
            continue
        if marker in (SOS, EOI):
            found.keep(place, len(content))
            return found.bare()
        stop = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if stop < place + 4 or stop > len(content):
            return StrippedImage(content)
        if not (APP0 <= marker <= 0xEF or marker == COM) or is_colour_segment(content, place, stop):
            found.keep(place, stop)
        elif marker == APP1:
            body = content[place + 4 : stop]
            if body.startswith(b"Exif\0\0"):
                found.exif = found.exif or body
            elif body.startswith(XMP_NAME) and len(found.xmp) < MOST_TEXT:
                found.xmp += body
        place = stop


def is_colour_segment(content: bytes, start: int, stop: int) -> bool:
    """Return whether this is a complete application segment of JFIF or Adobe."""
    marker, size = content[start + 1], stop - start - 4
    if marker == APP0:
        return size >= 14 and content[start + 4 : start + 9] == b"JFIF\0"
    return marker == APP14 and size >= 12 and content[start + 4 : start + 9] == b"Adobe"


# --- PNG ----------------------------------------------------------------------------------------

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
PNG_KEPT = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # in addition to critical chunks
XMP_KEYWORD = b"XML:com.adobe.xmp"
RAW_PROFILE = b"Raw profile type exif"  # ImageMagick's EXIF, from before PNG had a chunk for it


def strip_png(content: bytes) -> StrippedImage:
    """Strip a PNG down to its critical chunks, transparency, and the chunks of an animation."""
    found = Found(content)
    found.keep(0, 8)
    place, ends = 8, False
    while not ends and place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        stop = place + 12 + length
        is_critical = not name[0] & 0x20
        if not name.isalpha() or (stop > len(content) and is_critical):
            found.keep(place, len(content))
            return found.bare()
        if is_critical or name in PNG_KEPT:
            found.keep(place, stop)
        elif name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            read_png_metadata(found, name, content[place + 8 : min(stop - 4, len(content))])
        place, ends = stop, name == b"IEND"
    return found.bare(b"" if ends else PNG_END)


def read_png_metadata(found: Found, name: bytes, body: bytes) -> None:
    """Record what a metadata chunk says."""
    if name == b"eXIf":
        found.exif = found.exif or body
        return
    keyword, _, text = body.partition(b"\0")
    if keyword == b"Software":
        found.is_generated |= text.startswith(OWN_SOFTWARE)
    elif keyword == RAW_PROFILE:
        text = unpacked(text[1:]) if name == b"zTXt" else text
        lines = b"".join(text.split(b"\n")[3:])
        digits = re.match(rb"[0-9a-fA-F]*", lines)
        raw = bytes.fromhex((digits[0][: len(digits[0]) // 2 * 2] if digits else b"").decode())
        found.exif = found.exif or raw
    elif keyword == XMP_KEYWORD and name == b"iTXt" and len(found.xmp) < MOST_TEXT:
        is_packed, text = text[:1] == b"\x01", text[2:]
        text = text.partition(b"\0")[2].partition(b"\0")[2]  # after language and keyword
        found.xmp += unpacked(text) if is_packed else text


def unpacked(packed: bytes) -> bytes:
    """Return the start of a compressed text; empty if it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, MOST_TEXT)
    except zlib.error:
        return b""


# --- WebP ---------------------------------------------------------------------------------------

WEBP_KEPT = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
WEBP_FLAGS = 0x20 | 0x08 | 0x04  # in VP8X: has a colour profile, EXIF, XMP


def strip_webp(content: bytes) -> StrippedImage:
    """Strip a WebP down to its image chunks, and clear the flags of the others."""
    found, place = Found(content), 12
    end = min(8 + int.from_bytes(content[4:8], "little"), len(content))
    while place + 8 <= end:
        name, length = struct.unpack_from("<4sI", content, place)
        stop = place + 8 + length + length % 2
        if name in WEBP_KEPT:
            found.keep(place, stop)
            if place + 8 + length > end:
                return StrippedImage(content)
        elif name == b"EXIF":
            found.exif = content[place + 8 : place + 8 + length]
        elif name == b"XMP ":
            found.xmp = content[place + 8 : place + 8 + length]
        place = stop
    if found.kept == [(12, len(content))]:
        return StrippedImage(content)
    body = bytearray(b"".join(content[start:stop] for start, stop in found.kept))
    if body[:4] == b"VP8X":
        body[8] &= 0xFF ^ WEBP_FLAGS
    bare = found.bare()
    bare.content = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + bytes(body)
    return bare


# --- TIFF ---------------------------------------------------------------------------------------

TIFF_KEPT = {
    *(254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284),  # size, strips, compression
    *(292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347),  # fax, tiles, colours, samples
    *(512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 50674),  # JPEG, YCbCr, LERC
}


def strip_tiff(content: bytes) -> StrippedImage:
    """Strip the first directory of a TIFF down to the tags that say how pixels are stored."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", content, 2)[0] == 43
    offset, counter, size = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + offset, content, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + counter, content, start)
    first = start + struct.calcsize(order + counter)
    stop = first + size * count
    kept, orientation = [], UPRIGHT
    for place in range(first, stop, size):
        tag, type_ = struct.unpack_from(order + "HH", content, place)
        if tag in TIFF_KEPT:
            kept.append(content[place : place + size])
        elif tag == TAG_ORIENTATION:
            value = orientation_value(content, place + 4, type_, order, offset)
            orientation = value or orientation
    after = content[stop : stop + struct.calcsize(order + offset)]  # offset of the next directory
    after = after.ljust(struct.calcsize(order + offset), b"\0")
    directory = struct.pack(order + counter, len(kept)) + b"".join(kept) + after
    changed = bytearray(content)
    changed[start : start + len(directory)] = directory  # never longer than the original
    return StrippedImage(bytes(changed), orientation)


# --- AVIF and HEIF ------------------------------------------------------------------------------

HIDDEN_ITEM = b"skip"


def strip_heif(content: bytes) -> StrippedImage:
    """Rename the EXIF and XMP items of an AVIF or HEIF, so that decoders ignore them."""
    changed: bytearray | None = None
    for meta, stop in boxes(content, 0, len(content), b"meta"):
        for items, end in boxes(content, meta + 4, stop, b"iinf"):
            version = content[items]
            for item, _ in boxes(content, items + (6 if version == 0 else 8), end, b"infe"):
                kind = item + (10 if content[item] >= 3 else 8)
                if content[kind : kind + 4] in (b"Exif", b"mime"):
                    changed = changed or bytearray(content)
                    changed[kind : kind + 4] = HIDDEN_ITEM
    is_cut = next(boxes(content, 0, len(content), b"mdat"), None) is None
    return StrippedImage(content if changed is None else bytes(changed), None, is_cut=is_cut)


def boxes(content: bytes, place: int, end: int, wanted: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and stop of the body of each box of one name."""
    while place + 8 <= end:
        size, name = struct.unpack_from(">I4s", content, place)
        body = place + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, body)
            body += 8
        stop = end if size == 0 else place + size
        if stop <= place or stop > end:
            return
        if name == wanted:
            yield body, stop
        place = stop


def is_webp(content: bytes) -> bool:
    """Return whether the content starts like a WebP."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def is_tiff(content: bytes) -> bool:
    """Return whether the content starts like a TIFF."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


STRIPPERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], StrippedImage]], ...] = (
    (lambda content: content[:3] == b"\xff\xd8\xff", strip_jpeg),
    (lambda content: content[:8] == PNG_SIGNATURE, strip_png),
    (is_webp, strip_webp),
    (is_tiff, strip_tiff),
    (lambda content: content[4:8] == b"ftyp", strip_heif),
)
