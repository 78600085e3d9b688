"""No image that a client sends causes a 5xx: bombs, cut files, wrong heads, odd formats."""

import base64
import io
import json
import logging
import os
import tracemalloc
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from source_files import chunk, colour_map, form, npy, palette_map, photo, png_of, saved
from source_models import CYCLING, LABELLING, PAINTING, SIDE, TRANSLATING, arithmetic
from werkzeug.test import TestResponse

from facegan.serving import create_app

EXAMPLES = settings(max_examples=int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "60")))
NUMBERS = np.random.default_rng(2).integers(0, 4, (SIDE, SIDE), np.uint8)
EXIF = Image.Exif()
EXIF[0x0112] = 6
FRAMES = {"save_all": True, "append_images": [photo(8, 8)]}
TEXT_BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))

FILES = {
    "PNG": saved(photo()),
    "palette": saved(palette_map(NUMBERS)),
    "colours": saved(colour_map(NUMBERS)),
    "grey": saved(photo(mode="L")),
    "JPEG": saved(photo(), "JPEG"),
    "progressive JPEG": saved(photo(), "JPEG", progressive=True),
    "CMYK": saved(photo(mode="CMYK"), "JPEG"),
    "turned": saved(photo(), "JPEG", exif=EXIF),
    "MPO": saved(photo(), "MPO", **FRAMES),
    "WebP": saved(photo(), "WEBP"),
    "lossless WebP": saved(photo(), "WEBP", lossless=True, exif=EXIF),
    "APNG": saved(photo(), "PNG", **FRAMES),
    "animated WebP": saved(photo(8, 8), "WEBP", **FRAMES),
    "16 bits": png_of(4, 4, 16, 2, bytes(4 * 25)),
    "transparent": saved(photo(mode="RGBA")),
    "30,000 x 30,000": png_of(30_000, 30_000, 8, 2, b""),
    "a bomb of pixels": png_of(5_000, 5_000, 8, 2, bytes(75_005_000)),
    "a bomb of text": png_of(4, 4, 8, 2, bytes(4 * 13), TEXT_BOMB),
    "more data than pixels": png_of(2, 2, 8, 0, bytes(9_000_000)),
    "a head of another image": b"\x89PNG\r\n\x1a\n" + saved(photo(), "JPEG"),
    "a JPEG's end": b"\xff\xd8\xff\xd9",
    "GIF": saved(photo(), "GIF"),
    "TIFF": saved(photo(), "TIFF"),
    "BMP": saved(photo(), "BMP"),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "nothing": b"",
}
TYPES = ["image/png", "image/jpeg", "image/webp"]
CARDS = {"pix2pix": TRANSLATING, "cyclegan": CYCLING, "spade": PAINTING, "maps": LABELLING}


@pytest.fixture(scope="module")
def clients() -> dict[str, FlaskClient]:
    return {name: create_app(arithmetic(card)).test_client() for name, card in CARDS.items()}


@pytest.fixture(autouse=True)
def no_faults(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged as an error, and no traceback."""
    yield
    assert not [it for it in caplog.records if it.levelno >= logging.ERROR or it.exc_info]


def check(reply: TestResponse) -> None:
    """Accept an image, or a refusal in a sentence."""
    assert reply.status_code in (200, 400, 413, 415), reply.text
    if reply.status_code == 200:
        assert reply.content_type == "image/png"
        return
    error = reply.get_json()
    assert error["message"] and error["hint"]
    assert "Traceback" not in reply.text and ".py" not in reply.text


def bodies(content: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield every body that holds a file."""
    for content_type in TYPES:
        yield content, content_type
    text = base64.b64encode(content).decode()
    for fields in ({"images": [text]}, {"label_maps": [text]}):
        yield json.dumps(fields).encode(), "application/json"
    yield json.dumps({"label_maps": [[[0]]], "styles": [text]}).encode(), "application/json"
    yield form(("image", content))
    yield form(("label_map", content), ("style", content))


@pytest.mark.parametrize("name", FILES)
def test_any_file_is_answered_or_refused(clients: dict[str, FlaskClient], name: str) -> None:
    for model in clients:
        for body, content_type in bodies(FILES[name]):
            check(clients[model].post("/invocations", data=body, content_type=content_type))


@pytest.mark.parametrize("name", ["PNG", "palette", "colours", "JPEG", "turned", "lossless WebP"])
@EXAMPLES
@given(data=st.data())
def test_a_damaged_file_is_answered_or_refused(
    clients: dict[str, FlaskClient], name: str, data: st.DataObject
) -> None:
    """Some bytes changed, then cut short."""
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    model = data.draw(st.sampled_from(sorted(CARDS)))
    for body, content_type in bodies(data.draw(st.sampled_from([bytes(content), cut]))):
        check(clients[model].post("/invocations", data=body, content_type=content_type))


@EXAMPLES
@given(
    head=st.sampled_from([b"", *(content[:40] for content in FILES.values())]),
    tail=st.binary(max_size=200),
    model=st.sampled_from(sorted(CARDS)),
)
def test_random_bytes_behind_any_head_never_cause_a_5xx(
    clients: dict[str, FlaskClient], head: bytes, tail: bytes, model: str
) -> None:
    for body, content_type in bodies(head + tail):
        check(clients[model].post("/invocations", data=body, content_type=content_type))


@EXAMPLES
@given(
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=5).map(tuple),
    dtype=st.sampled_from(["u1", "i8", "f4", "f8", "i2", ">u2"]),
    model=st.sampled_from(sorted(CARDS)),
    data=st.data(),
)
def test_any_array_is_answered_or_refused(
    clients: dict[str, FlaskClient],
    shape: tuple[int, ...],
    dtype: str,
    model: str,
    data: st.DataObject,
) -> None:
    array = np.full(shape, data.draw(st.integers(0, 5)), dtype)
    check(clients[model].post("/invocations", data=npy(array), content_type="application/x-npy"))


PIECES = st.text(max_size=12) | st.sampled_from(["seed=1", "direction=BtoA", "seeds=1,2", "x", "="])


@EXAMPLES
@given(pieces=st.lists(PIECES, max_size=5), model=st.sampled_from(sorted(CARDS)))
def test_any_parameters_never_cause_a_5xx(
    clients: dict[str, FlaskClient], pieces: list[str], model: str
) -> None:
    text = ";".join(pieces).encode("latin-1", "replace").decode("latin-1")
    content_type = "image/png;" + "".join(it for it in text if it.isprintable())
    environ = {"CONTENT_TYPE": content_type}
    check(clients[model].post("/invocations", data=FILES["palette"], environ_overrides=environ))


def test_a_bomb_is_refused_without_the_memory(clients: dict[str, FlaskClient]) -> None:
    """Of a few kilobytes that claim 900 million pixels nothing is decoded."""
    tracemalloc.start()
    for body, content_type in bodies(FILES["30,000 x 30,000"]):
        clients["pix2pix"].post("/invocations", data=body, content_type=content_type)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_what_is_decoded_is_what_was_sent(clients: dict[str, FlaskClient]) -> None:
    """The files above are good ones where they are answered."""
    reply = clients["pix2pix"].post("/invocations", data=FILES["turned"], content_type="image/jpeg")
    whole = Image.open(io.BytesIO(FILES["turned"])).transpose(Image.Transpose.ROTATE_270)
    found = np.asarray(Image.open(io.BytesIO(reply.data)))
    top = (whole.height - whole.width) // 2
    square = whole.crop((0, top, whole.width, top + whole.width))
    expected = 255 - np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    assert np.array_equal(found, expected)
