"""Source images and label maps: every file a caller may send is decoded as data sets are, or told
what is wrong with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from source_files import (
    CLASSES,
    COLOURS,
    PAINTS,
    PALETTE,
    TRANSLATES,
    Array,
    colour_map,
    palette_map,
    photo,
    png_of,
    saved,
)

from facegan.data.prepare.modalities import LabelMapModality, Modality
from facegan.data.prepare.pixels import open_source_image
from facegan.errors import RequestError, RequestTooLarge
from facegan.square_images import centre_square
from facegan.wire import GenerateRequest, ModelSignature, decode_sources, open_sources

SIDE = TRANSLATES.side
NUMBERS = np.random.default_rng(0).integers(0, len(CLASSES), (SIDE, SIDE), np.uint8)


def decoded(field: str, source: object, signature: ModelSignature | None = None) -> Array:
    """Return the one source of a request as the model gets it."""
    signature = signature or (PAINTS if field == "label_maps" else TRANSLATES)
    request = GenerateRequest.model_validate({field: [source]})
    return decode_sources(open_sources(request), signature)[field][0]


def refused(field: str, source: object, signature: ModelSignature | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decoded(field, source, signature)
    assert caught.value.hint
    return caught.value


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", [(40, 24), (24, 40), (16, 16), (7, 5), (300, 200)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_the_model_s_as_preparing_data_makes_it(
    mode: str, size: tuple[int, int], kind: str
) -> None:
    image = photo(*size, mode=mode)
    if (kind == "JPEG" and mode in ("RGBA", "LA", "P")) or (kind != "JPEG" and mode == "CMYK"):
        image = image.convert("RGB")
    content = saved(image, kind)
    opened = open_source_image(content)
    whole = Modality().open(opened, 2 * SIDE)
    expected = Modality().cut(whole, centre_square(whole.size), SIDE)
    assert np.array_equal(decoded("images", content), expected)


def test_a_cmyk_jpeg_is_converted() -> None:
    """Prepared data has the same colours of it."""
    found = decoded("images", saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert found.shape == (SIDE, SIDE, 3)
    assert (found[..., 0] > 200).all() and (found[..., 1:] < 60).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_that_exif_turns_is_turned(orientation: int, kind: str) -> None:
    """A phone's portrait arrives upright, as prepared data is."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(photo(), kind, exif=exif)
    opened = open_source_image(content)
    whole = Modality().open(opened, 2 * SIDE)
    expected = Modality().cut(whole, centre_square(whole.size), SIDE)
    found = decoded("images", content)
    assert np.array_equal(found, expected)
    assert np.array_equal(found, decoded("images", saved(photo(), kind))) == (orientation == 1)


def test_broken_exif_is_ignored() -> None:
    content = saved(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(decoded("images", content), decoded("images", saved(photo(), "JPEG")))


def test_a_phone_s_mpo_is_its_first_image() -> None:
    """Many phones write a preview behind the photograph."""
    content = saved(photo(), "MPO", save_all=True, append_images=[photo(8, 8)])
    assert np.array_equal(decoded("images", content), decoded("images", saved(photo(), "JPEG")))


def test_an_array_is_cropped_and_resized_as_its_png() -> None:
    array = np.asarray(photo())
    assert np.array_equal(decoded("images", array), decoded("images", saved(photo())))


FRAMES = [photo(), photo().transpose(Image.Transpose.FLIP_TOP_BOTTOM)]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    content = saved(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:])
    assert refused("images", content).message == "The image is animated."


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
@pytest.mark.parametrize("field", ["images", "label_maps", "styles"])
def test_sixteen_bits_are_refused(colour_type: int, field: str) -> None:
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    content = png_of(4, 4, 16, colour_type, (b"\0" + bytes(4 * 2 * samples)) * 4)
    with pytest.raises(RequestError, match="has 16 bits per channel"):
        request = {"label_maps": [NUMBERS]} | {field: [content]}
        open_sources(GenerateRequest.model_validate(request))


@pytest.mark.parametrize("size", [(30_000, 30_000), (5_657, 5_657), (2**31 - 1, 1)])
def test_too_many_pixels_are_told_by_the_head(size: tuple[int, int]) -> None:
    """Nothing of it is decoded: it has no pixels."""
    content = png_of(*size, 8, 2, b"")
    with pytest.raises(RequestTooLarge, match="pixels; the limit is 32,000,000"):
        open_sources(GenerateRequest.model_validate({"images": [content]}))


def test_many_images_have_one_limit_together() -> None:
    request = GenerateRequest.model_validate({"images": [saved(photo(10, 10))] * 3})
    assert len(open_sources(request, 300)) == 3
    with pytest.raises(RequestTooLarge, match="over 299 pixels together"):
        open_sources(request, 299)


@pytest.mark.parametrize(
    "content",
    [b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", bytes(99)],
)
def test_what_is_not_an_image_is_refused(content: bytes) -> None:
    assert "is not a readable PNG, JPEG or WebP" in refused("images", content).message


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF", "PPM", "AVIF"])
def test_formats_that_are_not_offered_are_refused(kind: str) -> None:
    assert "not a readable PNG" in refused("images", saved(photo(), kind)).message


def test_an_empty_file_is_called_so() -> None:
    assert refused("images", b"").message == "The image is empty (0 bytes)."
    assert refused("label_maps", b"").message == "The label map is empty (0 bytes)."


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("field", ["images", "label_maps"])
@given(data=st.data())
def test_a_cut_or_changed_file_is_decoded_or_refused(
    kind: str, field: str, data: st.DataObject
) -> None:
    """Nothing but a RequestError leaves the decoder."""
    content = bytearray(saved(photo() if field == "images" else colour_map(NUMBERS), kind))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    for damaged in (bytes(content), bytes(content[:place])):
        try:
            assert decoded(field, damaged).dtype == np.uint8
        except RequestError as error:
            assert error.hint and "Traceback" not in str(error)


# --- label maps -----------------------------------------------------------------------------------


def maps(numbers: Array) -> dict[str, object]:
    """Return class numbers in every form in which they may be sent."""
    return {
        "palette": saved(palette_map(numbers)),
        "palette of few bits": saved(palette_map(numbers), bits=2),
        "grey": saved(Image.fromarray(numbers)),
        "colours": saved(colour_map(numbers)),
        "colours, RGBA": saved(colour_map(numbers, "RGBA")),
        "colours, lossless WebP": saved(colour_map(numbers), "WEBP", lossless=True),
        "grey, lossless WebP": saved(
            Image.fromarray(numbers).convert("RGB"), "WEBP", lossless=True
        ),
        "array": numbers,
        "array of int64": numbers.astype(np.int64),
        "rows": numbers.tolist(),
    }


SQUARES = hnp.arrays(np.uint8, (SIDE, SIDE), elements=st.integers(0, len(CLASSES) - 1))


@given(numbers=SQUARES)
def test_every_form_of_a_map_is_the_same_map(numbers: Array) -> None:
    numbers[0, :4] = range(4)  # all classes occur
    for form, source in maps(numbers).items():
        assert np.array_equal(decoded("label_maps", source), numbers), form


@given(numbers=hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)),
                          elements=st.integers(0, len(CLASSES) - 1)))  # fmt: skip
def test_a_map_is_resized_as_preparing_data_does(numbers: Array) -> None:
    """By nearest neighbour: no class is invented."""
    content = saved(palette_map(numbers))
    modality = LabelMapModality()
    whole = modality.open(open_source_image(content), None)
    expected = modality.cut(whole, centre_square(whole.size), SIDE)
    assert np.array_equal(decoded("label_maps", content), expected)
    assert np.array_equal(decoded("label_maps", numbers), expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_holds_class_numbers(bits: int) -> None:
    """Programs that make files smaller write such PNGs; Pillow multiplies their values."""
    numbers = NUMBERS % min(2**bits, len(CLASSES))
    per_byte = 8 // bits
    packed = numbers.reshape(SIDE, -1, per_byte) << np.arange(8 - bits, -1, -bits, np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed.sum(2).astype(np.uint8))
    assert np.array_equal(decoded("label_maps", png_of(SIDE, SIDE, bits, 0, rows)), numbers)


def test_a_reordered_palette_is_read_by_its_colours() -> None:
    """An image program that saves fewer colours sorts the palette anew."""
    order = np.array([2, 0, 3, 1], np.uint8)  # the index of each class
    palette = np.array(PALETTE, np.uint8).reshape(-1, 3)[np.argsort(order)]
    content = saved(palette_map(order[NUMBERS], palette.ravel().tolist()))
    assert np.array_equal(decoded("label_maps", content), NUMBERS)


def test_a_palette_of_other_colours_is_read_by_its_indices() -> None:
    """VOC's palette is on many maps whose model has other colours."""
    content = saved(palette_map(NUMBERS, list(range(12))))
    assert np.array_equal(decoded("label_maps", content), NUMBERS)


def test_two_classes_of_one_colour_are_told_apart_by_indices() -> None:
    classes = tuple((name, "#101010") for name, _ in CLASSES)
    signature = ModelSignature(PAINTS.inputs, SIDE, (), classes)
    content = saved(palette_map(NUMBERS, [16] * 12))
    assert np.array_equal(decoded("label_maps", content, signature), NUMBERS)


def test_a_class_beyond_the_last_is_named_with_its_place() -> None:
    numbers = np.zeros((20, 30), np.uint8)
    numbers[5, 12:15] = 9
    numbers[7, 0] = 255
    palette = palette_map(numbers, PALETTE + [0] * (768 - len(PALETTE)))
    for source in (numbers, saved(palette), numbers.tolist()):
        error = refused("label_maps", source)
        assert error.message == (
            "The label map has the class 9 at row 5, column 12, and 4 pixels outside 0 to 3."
        )
        assert error.hint.startswith("The last class is 3 (eyes).")


def test_a_negative_class_is_refused() -> None:
    assert "the class -1 at row 0, column 1" in refused("label_maps", [[0, -1]]).message


def test_colours_of_no_class_are_named_the_most_frequent_first() -> None:
    pixels = np.asarray(colour_map(NUMBERS)).copy()
    pixels[0, :5], pixels[1, :3], pixels[2, :2], pixels[3, 0] = 1, 2, 3, 4
    error = refused("label_maps", saved(Image.fromarray(pixels)))
    assert error.message == (
        "The label map has 4 colours that no class has: most frequently #010101 (5 pixels), "
        "#020202 (3 pixels), #030303 (2 pixels)."
    )
    assert f"{COLOURS[1]} skin" in error.hint


def test_a_smoothed_map_is_refused() -> None:
    """A brush with soft edges, or a resize with a filter, makes colours of its own."""
    soft = colour_map(NUMBERS).resize((64, 64), Image.Resampling.BILINEAR)
    assert "colours that no class has" in refused("label_maps", saved(soft)).message


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_map_is_refused(kind: str) -> None:
    error = refused("label_maps", saved(colour_map(NUMBERS), kind))
    assert "compression changes class numbers" in error.message and "PNG" in error.hint


def test_transparent_pixels_of_a_map_are_refused() -> None:
    image = colour_map(NUMBERS, "RGBA")
    image.putpixel((3, 4), (0, 0, 0, 0))
    assert refused("label_maps", saved(image)).message == "The label map has 1 transparent pixel."


def test_one_of_several_is_named_by_its_index() -> None:
    maps = [NUMBERS, np.full((4, 4), 7)]
    request = GenerateRequest.model_validate({"label_maps": maps})
    with pytest.raises(RequestError, match=r"label_maps\[1\] has the class 7"):
        decode_sources(open_sources(request), PAINTS)
