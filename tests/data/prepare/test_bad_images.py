"""Files that are no good images: each is skipped and named, and the others come through."""

import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_images import lines_of, picture, pixels_of, saved, write_files

from facegan.data.prepare import prepare
from facegan.data.prepare.pool import PrepareSpec, prepare_batch
from facegan.data.prepare.sources import has_image_suffix

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "runs" / "pillow-sdist"  # `make broken-images` fetches it
RGB = Image.new("RGB", (20, 20), (200, 10, 10))
FRAMES = [Image.new("RGB", (20, 20), (k, 9, 9)) for k in (1, 99)]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says that it is huge."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


BAD = {  # name → (content, what the reason says)
    "zero.png": (b"", "empty"),
    "text.jpg": (b"hello", "not an image"),
    "page.jpg": (b"\n<!DOCTYPE html><html></html>", "HTML"),
    "drawing.jpg": (b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', "SVG"),
    "program.png": (b"\x7fELF" + bytes(100), "not an image"),
    "cut.jpg": (saved(Image.effect_noise((99, 99), 90), "JPEG")[:900], "truncated"),
    "cut.png": (picture(1, (60, 60))[:-300], "truncated"),
    "cut.webp": (picture(1, (60, 60), "WEBP")[:-30], ""),
    "header.png": (picture(1)[:20], ""),
    "flipped.png": (picture(1)[:60] + bytes([picture(1)[60] ^ 1]) + picture(1)[61:], ""),
    "film.gif": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "animated"),
    "film.png": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "animated"),
    "film.webp": (saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "animated"),
    "pages.tif": (saved(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), "animated"),
    "deep.png": (saved(Image.fromarray(np.full((9, 9), 60_000, np.uint16))), "16 bits"),
    "float.tif": (saved(Image.new("F", (9, 9), 0.5), "TIFF"), "16 bits"),
    "bomb.png": (bomb(30_000, 30_000), "bomb"),
    "smaller_bomb.png": (bomb(10_000, 10_000), "bomb"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}
GOOD = {
    "mislabelled.png": saved(RGB, "JPEG"),
    "grey.png": saved(RGB.convert("L")),
    "bits.png": saved(RGB.convert("1")),
    "palette.gif": saved(RGB.convert("P"), "GIF"),
    "cmyk.jpg": saved(RGB.convert("CMYK"), "JPEG"),
    "clear.png": saved(Image.new("LA", (9, 9), (9, 30))),
    "one_pixel.bmp": saved(RGB.resize((1, 1)), "BMP"),
    "line.png": saved(RGB.resize((900, 1))),
    "PHONE.JPG": saved(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]),
}


def test_each_is_named_with_its_reason_and_the_counts_add_up(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {name: bad for name, (bad, _) in BAD.items()} | GOOD)
    manifest = prepare(folder, tmp_path / "out", 8, workers=1)
    message = {
        line["file"]: line["reason"] for line in lines_of(tmp_path / "out" / "skipped.jsonl")
    }
    assert set(message) == set(BAD)
    for name, (_, expected) in BAD.items():
        assert expected in message[name], f"{name}: {message[name]}"
        assert "0x" not in message[name] and str(tmp_path) not in message[name]
    assert (
        manifest["found"]
        == len(BAD) + len(GOOD)
        == (manifest["written"] + manifest["duplicates"] + manifest["skipped"])
    )
    assert manifest["written"] + manifest["duplicates"] == len(GOOD)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"a.png": saved(Image.new("RGBA", (9, 9), (0, 0, 0, 0)))})
    prepare(folder, tmp_path / "out", 8, workers=1)
    assert (pixels_of(tmp_path / "out") == 255).all()


WHOLE = [picture(1), picture(1, format="JPEG"), picture(1, format="WEBP"), picture(1, format="GIF"),
         picture(1, format="TIFF"), saved(RGB, "BMP")]  # fmt: skip


@settings(max_examples=80)
@given(st.sampled_from(WHOLE), st.integers(0, 400), st.integers(0, 255), st.integers(1, 500))
def test_no_damage_ends_more_than_the_image(
    content: bytes, place: int, value: int, keep: int
) -> None:
    """A byte changed and the end cut off: pixels, or a reason in words."""
    broken = bytearray(content)
    broken[place % len(broken)] = value
    content = bytes(broken[:-keep] if keep < 400 else broken)
    (done,) = prepare_batch(PrepareSpec(8, "centre"), [(content,)])
    if isinstance(done, list):
        assert done[0] and "0x" not in done[0]
    else:
        assert len(done[0][0]) == 8 * 8 * 3


def corpus() -> dict[str, bytes]:
    """The images that Pillow tests its decoders with; all are called images."""
    found = {}
    for archive in CORPUS.glob("pillow-*.tar.gz"):
        with tarfile.open(archive) as files:
            for member in files:
                if member.isfile() and "/Tests/images/" in member.name:
                    content = files.extractfile(member)
                    assert content is not None
                    name = member.name.split("/Tests/images/")[1]
                    found[name if has_image_suffix(name) else name + ".png"] = content.read()
    return found


def test_pillows_own_broken_images_break_nothing(tmp_path: Path) -> None:
    """Some of them once crashed it, or took its memory or its time."""
    pictures = corpus()
    if not pictures:
        pytest.skip("Pillow's source distribution is not here: make broken-images")
    folder = write_files(tmp_path / "x", pictures)
    manifest = prepare(folder, tmp_path / "out", 16, workers=1)
    assert manifest["found"] == (manifest["written"] + manifest["duplicates"] + manifest["skipped"])
    message = {
        line["file"]: line["reason"] for line in lines_of(tmp_path / "out" / "skipped.jsonl")
    }
    assert manifest["found"] > 300 and manifest["skipped"] > 30
    assert all(reason and "0x" not in reason for reason in message.values())
