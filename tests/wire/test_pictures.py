"""One picture of all images, in every format: what it shows, what it says, and what it refuses."""

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegan import image_encoding
from facegan.errors import InvocationError, RequestError
from facegan.image_encoding import COMMON_TEXTS, SOURCE_TYPE, encode_jpeg, encode_webp, xmp_packet
from facegan.wire import (
    IMAGE_CODECS,
    JPEG,
    JSON,
    NPY,
    PNG,
    WEBP,
    GenerateRequest,
    Provenance,
    check_reply_type,
    decode_images,
    encode_images,
    encode_reply,
    read_provenance,
)

ORIGIN = Provenance("ab" * 32, "dcgan", "tiny", (3, 8, 9), 0.5)
NUMBERS = np.random.default_rng(0)


def faces(count: int, side: int = 32) -> npt.NDArray[np.uint8]:
    """Smooth pictures of colours, all different."""
    coarse = NUMBERS.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8)
    large = (Image.fromarray(c).resize((side, side), Image.Resampling.BICUBIC) for c in coarse)
    return np.stack([np.asarray(picture) for picture in large])


@pytest.mark.parametrize("content_type", [JPEG, WEBP])
@pytest.mark.parametrize("layout", ["grid", "row", "column"])
def test_lossy_pictures_are_arranged_as_png_is_and_look_alike(
    content_type: str, layout: str
) -> None:
    """The same places, nearly the same colours."""
    images = faces(5)
    lossy, exact = (
        decode_images(encode_images(images, kind, provenance=ORIGIN, layout=layout), kind)
        for kind in (content_type, PNG)
    )
    assert lossy.shape == exact.shape
    assert np.abs(lossy.astype(int) - exact).mean() < 6


@pytest.mark.parametrize("content_type", [JPEG, WEBP])
def test_a_quality_is_paid_for_in_bytes(content_type: str) -> None:
    """And 90 is the default."""
    sizes = {
        quality: len(encode_images(faces(1), content_type, provenance=ORIGIN, quality=quality))
        for quality in (5, 99)
    }
    assert sizes[5] < sizes[99]
    images = faces(2)
    told = [
        encode_images(images, content_type, provenance=ORIGIN, quality=q) for q in (None, 90, 89)
    ]
    assert told[0] == told[1] != told[2]


def test_an_animation_shows_every_image_in_turn_without_loss() -> None:
    """Its frames are the images, each for as long as asked, for ever anew."""
    images = faces(4)
    body = encode_images(images, WEBP, provenance=ORIGIN, layout="animation", frame_ms=40)
    assert np.array_equal(decode_images(body, WEBP), images)
    with Image.open(io.BytesIO(body)) as film:
        assert film.n_frames == 4 and film.info["loop"] == 0  # type: ignore[attr-defined]
        for frame in range(4):
            film.seek(frame)
            film.load()
            assert film.info["duration"] == 40


def test_an_animation_of_a_quality_is_smaller() -> None:
    """And nearly the same."""
    images = faces(4, 64)
    exact, lossy = (
        encode_images(images, WEBP, provenance=ORIGIN, layout="animation", quality=quality)
        for quality in (None, 50)
    )
    assert len(lossy) < len(exact)
    assert np.abs(decode_images(lossy, WEBP).astype(int) - images).mean() < 12


@given(cut=st.floats(0, 1, exclude_max=True), change=st.integers(0, 255), place=st.floats(0, 1))
def test_a_damaged_animation_is_an_invocation_error(cut: float, change: int, place: float) -> None:
    """Cut short it is refused; with a byte changed it never raises anything else."""
    whole = encode_images(faces(3, 8), WEBP, provenance=ORIGIN, layout="animation")
    with pytest.raises(InvocationError):
        decode_images(whole[: int(cut * len(whole))], WEBP)
    body = bytearray(whole)
    body[int(place * (len(body) - 1))] = change
    try:
        decode_images(bytes(body), WEBP)
    except InvocationError as error:
        assert error.message


# --- what they say ------------------------------------------------------------------------------

KINDS = {
    "png": (PNG, "grid"),
    "jpeg": (JPEG, "grid"),
    "webp": (WEBP, "row"),
    "animation": (WEBP, "animation"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_says_that_it_was_generated_and_by_what(kind: str) -> None:
    """The same words, whatever the format."""
    content_type, layout = KINDS[kind]
    origin = replace(ORIGIN, classes=("long", 'a <b> & "c"', "短い\n"))
    told = read_provenance(encode_images(faces(3), content_type, provenance=origin, layout=layout))
    assert SOURCE_TYPE in told.pop("XML:com.adobe.xmp")
    assert told == {**COMMON_TEXTS, **origin.facts()}


@pytest.mark.parametrize("kind", ["jpeg", "webp", "animation"])
def test_other_programs_find_the_packet(kind: str) -> None:
    """Where Pillow, which knows nothing of this package, looks for XMP."""
    content_type, layout = KINDS[kind]
    body = encode_images(faces(2), content_type, provenance=ORIGIN, layout=layout)
    with Image.open(io.BytesIO(body)) as picture:
        assert b"Iptc4xmpExt:DigitalSourceType" in picture.info["xmp"]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(text=texts)
def test_any_text_is_read_back_from_xmp_but_what_xml_forbids(text: str) -> None:
    """Markup, quotes, line ends; of control characters a mark remains."""
    (image,) = faces(1, 8)
    told = read_provenance(encode_webp(image, {"facegan:classes": text}, 50))["facegan:classes"]
    assert len(told) == len(text)
    assert all(a == b or a == "\ufffd" for a, b in zip(told, text, strict=True))
    if text.isprintable():
        assert told == text


def test_facts_too_long_for_jpeg_are_left_out_and_the_rest_stays() -> None:
    """Its 64 KB hold what matters most: that it is generated, and by what."""
    (image,) = faces(1, 8)
    facts = {"facegan:model_sha256": "ab", "facegan:classes": "x" * 70_000}
    told = read_provenance(encode_jpeg(image, facts, 90))
    assert SOURCE_TYPE in told["XML:com.adobe.xmp"] and told["facegan:model_sha256"] == "ab"
    assert "facegan:classes" not in told
    assert read_provenance(encode_webp(image, facts, 90))["facegan:classes"] == "x" * 70_000


def test_a_packet_that_declares_entities_is_refused() -> None:
    """It would swell to gigabytes in the reader."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "' + b"x" * 99 + b'">]>' + xmp_packet({})
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "WEBP", xmp=bomb)
    with pytest.raises(InvocationError, match="XMP"):
        read_provenance(stream.getvalue())


def test_a_picture_of_others_says_nothing() -> None:
    """No packet, no provenance."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "JPEG")
    assert read_provenance(stream.getvalue()) == {}


# --- PNG, which is written here -----------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 9),
    facts=st.dictionaries(st.just("facegan:classes"), texts.filter(lambda t: "\0" not in t)),
)
def test_pillow_reads_our_png_pixel_by_pixel(
    shape: tuple[int, int], seed: int, facts: dict[str, str]
) -> None:
    """Any size, any text."""
    image = np.random.default_rng(seed).integers(0, 255, (*shape, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(image_encoding.encode_png(image, facts))) as picture:
        picture.verify()  # every checksum
    with Image.open(io.BytesIO(image_encoding.encode_png(image, facts))) as picture:
        assert picture.mode == "RGB" and np.array_equal(np.asarray(picture), image)
        assert facts.items() <= picture.text.items()  # type: ignore[attr-defined]


def test_a_part_of_an_array_is_written_as_it_looks() -> None:
    """Slices and turned arrays lie differently in memory."""
    (image,) = faces(1)
    for part in (image[3:20, 5:9], image[::-1], image.transpose(1, 0, 2), image[::2, ::3]):
        assert np.array_equal(decode_images(image_encoding.encode_png(part, {}), PNG)[0], part)


def test_png_needs_no_fast_packer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ISA-L the same pixels come out."""
    import zlib

    monkeypatch.setattr(image_encoding, "compress", zlib.compress)
    (image,) = faces(1)
    assert np.array_equal(decode_images(image_encoding.encode_png(image, {}), PNG)[0], image)


# --- what does not go ---------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [t for t in IMAGE_CODECS if t not in (JPEG, WEBP)])
def test_a_quality_of_what_loses_nothing_is_refused(content_type: str) -> None:
    """Never ignored."""
    with pytest.raises(RequestError, match=r"quality: goes with image/jpeg and image/webp"):
        check_reply_type(GenerateRequest(seeds=[1], quality=80), content_type)


@pytest.mark.parametrize("content_type", [t for t in IMAGE_CODECS if t != WEBP])
def test_an_animation_is_a_webp(content_type: str) -> None:
    """Nothing else here moves."""
    request = GenerateRequest(seeds=[1, 2], layout="animation")
    with pytest.raises(RequestError, match="an animation is image/webp"):
        check_reply_type(request, content_type)
    check_reply_type(request, WEBP)


@pytest.mark.parametrize(("layout", "count"), [("row", 300), ("column", 300), ("grid", 70_000)])
def test_a_picture_too_long_for_its_format_is_refused_before_it_is_drawn(
    layout: str, count: int
) -> None:
    """WebP has at most 16,383 pixels to a side."""
    request = GenerateRequest(seeds=[1] * count, layout=layout)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="16,383 to a side"):
        check_reply_type(request, WEBP, (3, 64, 64))
    check_reply_type(request, PNG, (3, 64, 64))
    check_reply_type(GenerateRequest(seeds=[1] * 248, layout="row"), WEBP, (3, 64, 64))


def test_a_reply_is_arranged_as_its_request_says() -> None:
    """Every field reaches the picture."""
    images = faces(6)
    table = GenerateRequest(seeds=[3, 8], mix=[4, 5, 6])
    assert decode_images(encode_reply(images, table, PNG, ORIGIN), PNG).shape == (1, 66, 100, 3)
    rough = GenerateRequest(seeds=[1] * 6, quality=5)
    fine = GenerateRequest(seeds=[1] * 6)
    assert len(encode_reply(images, rough, JPEG, ORIGIN)) < len(
        encode_reply(images, fine, JPEG, ORIGIN)
    )
    film = GenerateRequest(seeds=[1] * 6, layout="animation", frame_ms=500)
    with Image.open(io.BytesIO(encode_reply(images, film, WEBP, ORIGIN))) as picture:
        picture.load()
        assert picture.info["duration"] == 500


@pytest.mark.parametrize("content_type", [JSON, NPY])
def test_an_arrangement_does_not_matter_where_images_stay_apart(content_type: str) -> None:
    """A row in JSON is the same list."""
    images = faces(3)
    row, grid = (
        encode_images(images, content_type, provenance=ORIGIN, layout=layout)
        for layout in ("row", "grid")
    )
    assert row == grid
