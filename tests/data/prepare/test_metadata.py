"""Metadata never costs an image and never changes its pixels: only the orientation counts."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo
from tiny_images import saved

from facegan import image_encoding
from facegan.data.prepare.pixels import GENERATED, UnusableError, open_source_image, upright_rgb
from facegan.image_metadata import orientation_of, strip_metadata

RAMP = np.arange(24 * 16 * 3, dtype=np.uint16).reshape(16, 24, 3).astype(np.uint8)
PICTURE = Image.fromarray(RAMP)
FORMATS = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 90},
}


def pixels_of(content: bytes) -> np.ndarray:
    with open_source_image(content) as picture:
        return np.asarray(upright_rgb(picture))


def exif(orientation: int, *entries: bytes, order: str = "<", tail: bytes = b"") -> bytes:
    """A TIFF's directory of an orientation and other entries, each of 12 bytes."""
    own = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    all_ = sorted([own, *entries], key=lambda entry: struct.unpack(order + "H", entry[:2]))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(all_))
    return head + b"".join(all_) + struct.pack(order + "I", 0) + tail


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def in_png(plain: bytes, *chunks: bytes) -> bytes:
    return plain[:33] + b"".join(chunks) + plain[33:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def in_jpeg(plain: bytes, *segments: bytes) -> bytes:
    return plain[:2] + b"".join(segments) + plain[2:]


def in_webp(plain: bytes, exif_: bytes, also: bytes = b"") -> bytes:
    """A lossless WebP in the extended form, with EXIF."""
    width, height = 24, 16
    flags = struct.pack("<I", 0x08) + struct.pack("<I", width - 1)[:3]
    vp8x = b"VP8X" + struct.pack("<I", 10) + flags + struct.pack("<I", height - 1)[:3]
    pad = b"\0" * (len(exif_) % 2)
    body = vp8x + plain[12:] + b"EXIF" + struct.pack("<I", len(exif_)) + exif_ + pad + also
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


PUT: dict[str, Callable[[bytes, bytes], bytes]] = {  # EXIF into a plain file
    "JPEG": lambda plain, data: in_jpeg(plain, segment(0xE1, b"Exif\0\0" + data)),
    "PNG": lambda plain, data: in_png(plain, chunk(b"eXIf", data)),
    "WEBP": in_webp,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_image_is_turned_as_pillow_turns_it(format: str, orientation: int) -> None:
    tag = Image.Exif()
    tag[0x0112] = orientation
    content = saved(PICTURE, format, exif=tag, **FORMATS[format])
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert np.array_equal(pixels_of(content), expected)


@settings(max_examples=150)
@given(
    format=st.sampled_from(list(PUT)),
    orientation=st.integers(1, 8),
    order=st.sampled_from("<>"),
    tags=st.lists(
        st.tuples(st.integers(0, 65535), st.integers(0, 20), st.integers(0, 2**32 - 1),
                  st.binary(min_size=4, max_size=4)), max_size=6),
    tail=st.binary(max_size=20),
)  # fmt: skip
def test_any_other_tag_of_any_type_and_value_changes_nothing(
    format: str, orientation: int, order: str, tags: list, tail: bytes
) -> None:
    entries = [struct.pack(order + "HHI", *tag[:3]) + tag[3] for tag in tags if tag[0] != 0x0112]
    plain = saved(PICTURE, format, **FORMATS[format])
    data = exif(orientation, *entries, order=order, tail=tail)
    expected = pixels_of(PUT[format](plain, exif(orientation)))
    assert np.array_equal(pixels_of(PUT[format](plain, data)), expected)


@settings(max_examples=100)
@given(format=st.sampled_from(list(PUT)), keep=st.integers(0, 60), noise=st.binary(max_size=40))
def test_cut_or_wild_exif_leaves_the_pixels(format: str, keep: int, noise: bytes) -> None:
    plain = saved(PICTURE, format, **FORMATS[format])
    for data in (exif(1)[:keep], noise, b"Exif\0\0" * 3 + noise):
        pixels = pixels_of(PUT[format](plain, data))
        assert pixels.size == RAMP.size  # upright, or turned if the noise says so


BOMB = zlib.compress(bytes(10**7))
OF_PNG = {  # chunks that say nothing of the pixels, broken or huge
    "a text bomb": [chunk(b"zTXt", b"Comment\0\0" + BOMB)] * 12,
    "an international text bomb": [chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB)] * 12,
    "many texts": [chunk(b"tEXt", b"Comment\0" + bytes([65]) * 2**20)] * 70,
    "a broken profile": [chunk(b"iCCP", b"x\0\0nothing")],
    "a profile bomb": [chunk(b"iCCP", b"x\0\0" + BOMB)],
    "a wrong checksum": [chunk(b"tEXt", b"a\0b", crc=1)],
    "no size of a pixel": [chunk(b"pHYs", b"")],
    "short gamma": [chunk(b"gAMA", b"\0")],
    "a text without a name": [chunk(b"tEXt", b"")],
    "a broken raw profile": [chunk(b"zTXt", b"Raw profile type exif\0\0xx")],
    "no hex in a raw profile": [chunk(b"tEXt", b"Raw profile type exif\0\nexif\n9\nzz")],
    "an empty eXIf": [chunk(b"eXIf", b"")],
}


@pytest.mark.parametrize("name", OF_PNG)
@pytest.mark.parametrize("where", ["before", "after"])
def test_no_chunk_costs_a_png(name: str, where: str) -> None:
    plain = saved(PICTURE)
    content = in_png(plain, *OF_PNG[name])
    if where == "after":
        content = plain[:-12] + b"".join(OF_PNG[name]) + plain[-12:]
    assert np.array_equal(pixels_of(content), RAMP)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_png_that_is_cut_behind_its_pixels_is_whole(cut: int) -> None:
    plain = saved(PICTURE)
    content = plain[:-12] + chunk(b"tEXt", b"Comment\0" + b"x" * 20) + plain[-12:]
    assert np.array_equal(pixels_of(content[:-cut]), RAMP)


OF_JPEG = {
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "short Adobe": segment(0xEE, b"Adobe"),
    "empty segments": b"".join(segment(marker, b"") for marker in range(0xE0, 0xF0)),
    "a broken profile": segment(0xE2, b"ICC_PROFILE\0\x01\x09xx"),
    "a broken index of images": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\xffxxxx"),
    "a comment": segment(0xFE, b"\xff" * 65_000),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"),
    "filling": b"\xff\xff\xff" + segment(0xFE, b"x"),
    "half an EXIF": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x05\0"),
}


@pytest.mark.parametrize("name", OF_JPEG)
def test_no_segment_costs_a_jpeg(name: str) -> None:
    plain = saved(PICTURE, "JPEG", quality=90)
    expected = pixels_of(plain)
    assert np.array_equal(pixels_of(in_jpeg(plain, OF_JPEG[name])), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"keep_rgb": True}])
def test_a_jpeg_keeps_its_colours(mode: str, how: dict) -> None:
    """JFIF's and Adobe's segments tell what its numbers mean: they stay."""
    if how.get("keep_rgb") and mode != "RGB":
        pytest.skip("RGB alone can be kept")
    content = saved(PICTURE.convert(mode), "JPEG", quality=90, **how)
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(pixels_of(content), expected)


@pytest.mark.parametrize("cut", [0, 1, 5, 9, 20])
def test_a_webp_that_is_cut_in_its_exif_is_whole(cut: int) -> None:
    plain = saved(PICTURE, "WEBP", lossless=True)
    content = in_webp(plain, exif(6))
    assert pixels_of(content[: len(content) - cut]).shape in ((24, 16, 3), (16, 24, 3))


@pytest.mark.parametrize("tag", [282, 283, 274, 305, 34665, 34853, 700, 34675, 33723, 270])
@pytest.mark.parametrize("type_", [1, 2, 3, 5, 7, 10, 12, 99])
def test_no_tag_costs_a_tiff(tag: int, type_: int) -> None:
    plain = saved(PICTURE, "TIFF")
    (start,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, start)
    entries = [plain[start + 2 + 12 * k : start + 14 + 12 * k] for k in range(count)]
    entries = [e for e in entries if struct.unpack("<H", e[:2])[0] != tag]
    entries.append(struct.pack("<HHII", tag, type_, 1, 2**31))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    content = plain[:4] + struct.pack("<I", len(plain)) + plain[8:] + directory
    assert np.array_equal(pixels_of(content), RAMP)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
def test_a_compressed_tiff_keeps_its_pixels(compression: str) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    content = saved(PICTURE, "TIFF", compression=compression, exif=tag)
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(picture.convert("RGB"))  # Pillow turns a TIFF by itself
    assert np.array_equal(pixels_of(content), expected)


@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_read_whatever_its_integer_type(order: str) -> None:
    for type_, value in ((1, 1), (3, 2), (4, 4), (6, 1), (8, 2), (9, 4)):
        raw = (6).to_bytes(value, "little" if order == "<" else "big").ljust(4, b"\0")
        entry = struct.pack(order + "HHI", 0x0112, type_, 1) + raw
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1)
        assert orientation_of(head + entry) == 6
    assert orientation_of(exif(9, order=order)) is None and orientation_of(b"") is None


@pytest.mark.parametrize("noise", [b"\xff" * 60, bytes(60), b"\x01\x02\x03" * 20])
def test_no_exif_costs_an_avif(noise: bytes) -> None:
    tag = Image.Exif()
    tag[0x010F] = "a maker of cameras, whose name is long enough to be overwritten"
    tag[0x0112] = 6
    content = saved(PICTURE, "AVIF", quality=90, exif=tag)
    expected = pixels_of(content)
    start = content.rindex(b"MM\0*") if b"MM\0*" in content else content.rindex(b"II*\0")
    broken = content[: start + 4] + noise + content[start + 4 + len(noise) :]
    assert expected.shape == (24, 16, 3) and np.array_equal(pixels_of(broken), expected)


def test_xmp_says_the_orientation_where_exif_does_not() -> None:
    said = b'<x tiff:Orientation="6"/>'
    plain = saved(PICTURE, "JPEG")
    turned = in_jpeg(plain, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said))
    assert pixels_of(turned).shape == (24, 16, 3)
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(said))
    assert pixels_of(in_png(saved(PICTURE), text)).shape == (24, 16, 3)


def test_exif_as_imagemagick_wrote_it_is_read() -> None:
    raw = b"\nexif\n" + b"%8d\n" % len(exif(6)) + exif(6).hex().encode() + b"\n"
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    assert pixels_of(in_png(saved(PICTURE), text)).shape == (24, 16, 3)


def test_what_facegan_generated_is_known_by_its_metadata() -> None:
    facts = {"facegan:model_sha256": "0" * 64, "facegan:seeds": "1"}
    for content in (
        image_encoding.encode_png(RAMP, facts),
        image_encoding.encode_jpeg(RAMP, facts, 90),
        image_encoding.encode_webp(RAMP, facts, 90),
    ):
        with pytest.raises(UnusableError, match="facegan made it"):
            open_source_image(content)
        assert open_source_image(content, everything=True).size == (24, 16)
    assert "metadata" in GENERATED


def test_other_peoples_software_is_not_a_mark_of_ours() -> None:
    about = PngInfo()
    about.add_text("Software", "GIMP")
    about.add_text("Source", "facegan toy faces, synthetic, seed 0, image 1")
    assert open_source_image(saved(PICTURE, pnginfo=about)).size == (24, 16)


def test_nothing_is_copied_where_there_is_nothing_to_take_off() -> None:
    plain = saved(PICTURE)
    assert strip_metadata(plain).content is plain


def test_truncated_pixels_are_never_filled_up() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@settings(max_examples=200)
@given(
    st.sampled_from(list(FORMATS)), st.integers(0, 600), st.integers(0, 255), st.integers(1, 400)
)
def test_the_walk_never_raises(format: str, place: int, value: int, keep: int) -> None:
    content = bytearray(saved(PICTURE, format, **FORMATS[format]))
    content[place % len(content)] = value
    strip_metadata(bytes(content))
    strip_metadata(bytes(content[:keep]))
