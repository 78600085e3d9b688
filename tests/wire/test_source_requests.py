"""Requests that hold images or label maps, in every content type, and what is refused of them."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_files import (
    PAINTS,
    PAINTS_WITHOUT_SEEDS,
    TRANSLATES,
    TRANSLATES_ONE_WAY,
    form,
    npy,
    palette_map,
    photo,
    saved,
)

from facegan.errors import RequestError, RequestTooLarge, UnsupportedContentType
from facegan.wire import (
    CSV,
    JPEG,
    JSON,
    NPY,
    PNG,
    WEBP,
    GenerateRequest,
    ModelSignature,
    asks_about,
    decode_request,
    encode_request,
    image_content_type,
)
from facegan.wire.content_types import parse_parameters, quote
from facegan.wire.multipart import MAX_PARTS
from facegan.wire.text_fields import fields_from_text, to_text

NUMBERS = np.random.default_rng(0).integers(0, 4, (16, 16), np.uint8)
PHOTO, MAP = saved(photo()), saved(palette_map(NUMBERS))
TRANSLATE = GenerateRequest(images=(PHOTO,))
PAINT = GenerateRequest(label_maps=(MAP,))


def refused(body: bytes, content_type: str, signature: ModelSignature = TRANSLATES) -> RequestError:
    with pytest.raises(RequestError) as caught:
        signature.complete(decode_request(body, content_type, signature))
    assert caught.value.hint
    return caught.value


def in_json(**fields: Any) -> bytes:
    """Return a JSON body; bytes become base64."""
    return json.dumps(fields, default=lambda value: base64.b64encode(value).decode()).encode()


# --- every content type ---------------------------------------------------------------------------


def test_a_bare_image_is_what_the_model_takes() -> None:
    assert decode_request(PHOTO, PNG, TRANSLATES) == TRANSLATE
    assert decode_request(MAP, PNG, PAINTS) == PAINT


@pytest.mark.parametrize(("content_type", "kind"), [(PNG, "PNG"), (JPEG, "JPEG"), (WEBP, "WEBP")])
def test_each_type_of_image_is_read(content_type: str, kind: str) -> None:
    body = saved(photo(), kind)
    assert decode_request(body, content_type, TRANSLATES).images == (body,)
    assert decode_request(body, content_type.upper(), TRANSLATES).images == (body,)


BODIES = {
    "image": (PHOTO, PNG),
    "JSON": (in_json(images=[PHOTO]), JSON),
    "a data URL": (in_json(images=["data:image/png;base64," + base64.b64encode(PHOTO).decode()]),
                   JSON),
    "base64 in lines": (in_json(images=[base64.encodebytes(PHOTO).decode()]), JSON),
    "form": form(("image", PHOTO)),
    "form of several": form(("images", PHOTO)),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_every_form_of_an_image_is_one_request(name: str) -> None:
    assert decode_request(*BODIES[name], TRANSLATES) == TRANSLATE


def test_every_form_of_a_map_is_one_request() -> None:
    rows = GenerateRequest.model_validate({"label_maps": [NUMBERS], "seeds": [7]})
    assert decode_request(in_json(label_maps=[NUMBERS.tolist()], seeds=[7]), JSON, PAINTS) == rows
    for array in (NUMBERS, NUMBERS[None], NUMBERS.astype(np.int64)):
        assert decode_request(npy(array), NPY, PAINTS).label_maps is not None
        assert np.array_equal(decode_request(npy(array), NPY, PAINTS).label_maps, [NUMBERS])  # type: ignore[arg-type]
    files = GenerateRequest(label_maps=(MAP,), seeds=[7])
    assert decode_request(MAP, f"{PNG};seed=7", PAINTS) == files
    assert decode_request(*form(("label_map", MAP), ("seeds", "7")), PAINTS) == files
    assert decode_request(in_json(label_maps=[MAP], seeds=[7]), JSON, PAINTS) == files


def test_arrays_are_decided_by_what_the_model_takes() -> None:
    """The same bytes: images of one model, maps of another, nothing of a third."""
    body = npy(np.zeros((4, 5, 3), np.uint8))
    images = decode_request(body, NPY, TRANSLATES).images
    assert images is not None and [it.shape for it in images] == [(4, 5, 3)]
    maps = decode_request(body, NPY, PAINTS).label_maps
    assert maps is not None and [it.shape for it in maps] == [(5, 3)] * 4
    assert "latents are floats" in refused(body, NPY, ModelSignature()).message


@pytest.mark.parametrize(
    ("array", "signature"),
    [
        (np.zeros((4, 4, 3), np.float32), TRANSLATES),
        (np.zeros((2, 4, 4), np.uint8), TRANSLATES),
        (np.zeros((1, 4, 4, 4), np.uint8), TRANSLATES),
        (np.zeros((1, 4, 4, 3), np.int32), TRANSLATES),
        (np.zeros((1, 4, 4, 3), np.uint8), PAINTS),
        (np.zeros((1, 1, 4, 4), np.uint8), PAINTS),
        (np.zeros(4, np.uint8), PAINTS),
        (np.zeros((4, 4)), PAINTS_WITHOUT_SEEDS),
    ],
)
def test_an_array_of_another_shape_is_refused(array: Any, signature: ModelSignature) -> None:
    error = refused(npy(array), NPY, signature)
    assert str(array.dtype) in error.message and str(array.shape) in error.message
    assert "uint8 array of shape (N, H, W" in error.hint


def test_images_of_several_sizes_are_not_one_array() -> None:
    """NumPy saves them as objects, which are never unpickled."""
    array = np.empty(2, object)
    array[:] = [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 5, 3), np.uint8)]
    error = refused(npy(array), NPY)
    assert "not plain real numbers" in error.message and "several sizes" in error.hint


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (1, 0, 4, 3), (0, 4, 3)])
def test_an_array_of_nothing_is_refused(shape: tuple[int, ...]) -> None:
    assert "empty" in refused(npy(np.zeros(shape, np.uint8)), NPY).message


def test_what_a_request_writes_it_reads() -> None:
    """Both directions of every type that a client may send."""
    request = GenerateRequest(label_maps=(MAP,), seeds=[1, 2], truncation_psi=0.5, layout="row")
    assert decode_request(encode_request(request), JSON, PAINTS) == request
    content_type = image_content_type(request, PNG)
    assert decode_request(encode_request(request, PNG), content_type, PAINTS) == request
    arrays = GenerateRequest.model_validate({"label_maps": [NUMBERS, NUMBERS]})
    assert decode_request(encode_request(arrays, NPY), NPY, PAINTS) == arrays
    assert decode_request(encode_request(arrays), JSON, PAINTS) == arrays


def test_an_array_of_pixels_goes_as_png_in_json() -> None:
    request = GenerateRequest.model_validate({"images": [np.asarray(photo())]})
    assert decode_request(encode_request(request), JSON, TRANSLATES) == TRANSLATE


@pytest.mark.parametrize(
    "request_",
    [
        GenerateRequest(images=(PHOTO, PHOTO)),
        GenerateRequest(label_maps=(MAP,), styles=(PHOTO,)),
        GenerateRequest(seeds=[1]),
        GenerateRequest.model_validate({"images": [np.asarray(photo())]}),
        GenerateRequest.model_validate({"label_maps": [MAP], "latents": [[0.5]]}),
    ],
)
def test_a_type_of_one_image_refuses_what_it_cannot_hold(request_: GenerateRequest) -> None:
    with pytest.raises(RequestError):
        image_content_type(request_, PNG) and encode_request(request_, PNG)


# --- parameters -----------------------------------------------------------------------------------

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5),
        "direction": st.sampled_from(["AtoB", "BtoA"]),
        "truncation_psi": st.floats(0, 2),
        "quality": st.integers(1, 100),
        "classes": st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=1),
    },
)


@given(fields=FIELDS)
def test_every_field_survives_the_parameters_of_a_content_type(fields: dict[str, Any]) -> None:
    request = GenerateRequest.model_validate({"images": [PHOTO], **fields})
    content_type = image_content_type(request, PNG)
    assert content_type.isprintable() or "classes" in fields
    again = decode_request(PHOTO, content_type, TRANSLATES)
    assert again.model_dump(exclude={"classes"}) == request.model_dump(exclude={"classes"})
    assert list(map(str, again.classes or [])) == list(map(str, request.classes or []))


@given(pairs=st.lists(st.tuples(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text())))
def test_parameters_survive_quoting(pairs: list[tuple[str, str]]) -> None:
    content_type = ";".join(["image/png", *(f"{name}={quote(text)}" for name, text in pairs)])
    assert parse_parameters(content_type) == pairs


@given(st.text(max_size=60))
def test_any_content_type_is_parsed_or_refused(text: str) -> None:
    try:
        decode_request(PHOTO, "image/png;" + text, TRANSLATES)
    except RequestError as error:
        assert error.hint and len(str(error)) < 400


@pytest.mark.parametrize(
    ("content_type", "seeds"),
    [
        ("image/png;seed=7", [7]),
        ("image/png;seeds=1,2,3", [1, 2, 3]),
        ('image/png; seeds="1, 2, 3"', [1, 2, 3]),
        ("IMAGE/PNG ; Seeds=1,2 ;charset=utf-8", [1, 2]),
        ("image/png;", None),
    ],
)
def test_parameters_as_callers_write_them(content_type: str, seeds: list[int] | None) -> None:
    assert decode_request(MAP, content_type, PAINTS).seeds == seeds


def test_every_option_is_a_parameter() -> None:
    request = decode_request(PHOTO, "image/png;direction=BtoA;layout=single;quality=80", TRANSLATES)
    assert (request.direction, request.layout, request.quality) == ("BtoA", "single", 80)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("sed=7", "Unknown parameter 'sed'"),
        ("images=x", "Unknown parameter 'images'"),
        ("seeds=x", "seeds[0]: must be a whole number, not the text 'x'"),
        ("seeds=1_000", "not the text '1_000'"),
        ("seeds=", "seeds: is empty"),
        ("seed=1;seeds=2", "The parameter 'seeds' is there twice"),
        ("direction=there", "direction: must be 'AtoB' or 'BtoA'"),
        ("quality=high", "quality: must be a whole number"),
        ("seed", "has 'seed', which is not a parameter"),
        ('layout="row', "is not a parameter"),
        ("=1", "is not a parameter"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: str, message: str) -> None:
    assert message in refused(MAP, f"image/png;{parameters}", PAINTS).message


def test_text_of_fields_is_read_as_it_is_written() -> None:
    request = GenerateRequest(images=(PHOTO,), direction="BtoA", layout="column", quality=7)
    fields = fields_from_text(to_text(request), "parameter")
    assert GenerateRequest.model_validate({"images": [PHOTO], **fields}) == request


# --- bodies that are refused ----------------------------------------------------------------------


def test_an_empty_body_is_called_so() -> None:
    assert refused(b"", PNG).message == "The body is empty."


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (saved(photo(), "JPEG"), PNG, "The body is not image/png, but image/jpeg."),
        (PHOTO, JPEG, "The body is not image/jpeg, but image/png."),
        (PHOTO, WEBP, "The body is not image/webp, but image/png."),
        (b"<svg/>", PNG, "The body is not image/png."),
        (b'{"images": []}', PNG, "The body is not image/png."),
    ],
)
def test_a_body_of_another_type_is_told_by_its_head(
    body: bytes, content_type: str, message: str
) -> None:
    assert refused(body, content_type).message == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": []}, "images: is empty; give at least one."),
        ({"images": "iVBO"}, "images: must be a list, not the text 'iVBO'."),
        ({"images": 4}, "images: must be a list, not the number 4."),
        ({"images": [7]}, "images[0]: must be a file in base64, not the number 7."),
        ({"images": ["a b!"]}, "images[0]: is not base64"),
        ({"images": [[[0]]]}, "images[0]: must be a file in base64, not a list of 1."),
        ({"label_maps": [[[0, 1], [2]]]}, "label_maps[0]: row 1 has 1 class numbers, row 0 has 2."),
        ({"label_maps": [[0, 1]]}, "label_maps[0]: row 0 must be a list, not the number 0."),
        ({"label_maps": [[[0.5]]]}, "label_maps[0]: row 0, column 0 must be a whole number"),
        ({"label_maps": [[[True]]]}, "label_maps[0]: row 0, column 0 must be a whole number"),
        ({"label_maps": [[]]}, "label_maps[0]: is empty"),
        ({"label_maps": [[[]]]}, "label_maps[0]: is empty"),
        ({"label_maps": [[[2**40]]]}, "label_maps[0]: row 0, column 0"),
        ({"styles": ["aa=="]}, "styles: go with label_maps, which are not there."),
        ({"images": ["aa=="], "direction": "up"}, "direction: must be 'AtoB' or 'BtoA'."),
        ({"images": ["aa=="], "seeds": []}, "seeds: is empty"),
        ({"images": ["aa=="], "mix": [1], "seeds": [1]}, "mix: does not go with images."),
        (
            {"label_maps": ["aa=="] * 3, "seeds": [1, 2]},
            "3 label_maps and 2 seeds cannot be paired.",
        ),
        (
            {"label_maps": ["aa=="] * 3, "seeds": [1, 2], "interpolate": 4},
            "3 label_maps and 5 frames cannot be paired.",
        ),
        (
            {"label_maps": ["aa=="], "seeds": [1], "styles": ["aa=="]},
            "Give one of seeds and styles: each would take the other's place.",
        ),
    ],
)
def test_what_is_wrong_with_a_field_is_named(fields: dict[str, Any], message: str) -> None:
    assert message in refused(in_json(**fields), JSON).message


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"images": [PHOTO] * 3}, 3),
        ({"label_maps": [MAP], "seeds": [1, 2, 3]}, 3),
        ({"label_maps": [MAP] * 3, "seeds": [1]}, 3),
        ({"label_maps": [MAP] * 3, "seeds": [1, 2, 3]}, 3),
        ({"label_maps": [MAP], "styles": [PHOTO] * 2}, 2),
        ({"label_maps": [MAP] * 2, "styles": [PHOTO]}, 2),
        ({"label_maps": [MAP], "seeds": [1, 5], "interpolate": 4}, 5),
        ({"label_maps": [MAP], "latents": [[0.5], [1.0]]}, 2),
        ({"label_maps": [MAP] * 2}, 2),
    ],
)
def test_inputs_are_paired(fields: dict[str, Any], count: int) -> None:
    assert GenerateRequest.model_validate(fields).count == count


# --- against what the model takes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("signature", "fields", "message"),
    [
        (PAINTS, {"images": [PHOTO]}, "images: this model paints label maps."),
        (PAINTS, {"seeds": [1]}, "This model paints label maps; the request has no label_maps."),
        (TRANSLATES, {"label_maps": [MAP]}, "label_maps: this model translates images."),
        (TRANSLATES, {"seeds": [1]}, "This model translates images; the request has no images."),
        (TRANSLATES, {"images": [PHOTO], "seeds": [1]}, "seeds: this model has no latents."),
        (TRANSLATES, {"images": [PHOTO], "latents": [[1.0]]}, "latents: this model has no latents"),
        (
            TRANSLATES,
            {"images": [PHOTO], "truncation_psi": 0.5},
            "truncation_psi: this model has no latents.",
        ),
        (
            TRANSLATES_ONE_WAY,
            {"images": [PHOTO], "direction": "BtoA"},
            "direction: this model does not translate both ways.",
        ),
        (
            PAINTS_WITHOUT_SEEDS,
            {"label_maps": [MAP], "styles": [PHOTO]},
            "styles: this model has no style encoder.",
        ),
        (
            ModelSignature(),
            {"images": [PHOTO]},
            "images: this model generates images from seeds or latents.",
        ),
        (ModelSignature(), {"seeds": [1], "direction": "AtoB"}, "direction: this model does not"),
    ],
)
def test_a_request_of_another_kind_is_told_what_the_model_takes(
    signature: ModelSignature, fields: dict[str, Any], message: str
) -> None:
    assert refused(in_json(**fields), JSON, signature).message.startswith(message)


@pytest.mark.parametrize("fields", [{}, {"seeds": [1]}, {"layout": "row"}, {"seeds": []}])
def test_a_request_without_a_source_is_told_so_first(fields: dict[str, Any]) -> None:
    message = "This model paints label maps; the request has no label_maps."
    assert refused(in_json(**fields), JSON, PAINTS).message == message
    texts = [(name, "row") for name in fields if name == "layout"]
    if texts:
        assert refused(*form(*texts), PAINTS).message == message


@pytest.mark.parametrize("body", [b"", b"[1, 2]", b"7", b"{", b"[" * 100_000])
def test_what_is_not_an_object_gets_an_example_for_the_model(body: bytes) -> None:
    assert '"label_maps"' in refused(body, JSON, PAINTS).hint


@pytest.mark.parametrize(
    ("field", "written"),
    [("image", '{"images"'), ("map", '{"label_maps"'), ("style_image", '{"styles"')],
)
def test_a_field_of_another_name_is_recognized(field: str, written: str) -> None:
    error = refused(in_json(**{field: "aa=="}), JSON, PAINTS)
    assert field in error.message and written in error.hint


def test_the_hint_says_what_to_send() -> None:
    hint = refused(in_json(seeds=[1]), JSON, PAINTS).hint
    assert "image/png" in hint and '"label_maps"' in hint and "jpeg" not in hint


def test_defaults_are_added_where_they_count() -> None:
    assert PAINTS.complete(PAINT).seeds == [0]
    assert PAINTS_WITHOUT_SEEDS.complete(PAINT).seeds is None
    assert TRANSLATES.complete(TRANSLATE).direction == "AtoB"
    assert TRANSLATES_ONE_WAY.complete(TRANSLATE).direction is None
    styled = GenerateRequest(label_maps=(MAP,), styles=(PHOTO,))
    assert PAINTS.complete(styled).seeds is None
    seeded = GenerateRequest(seeds=[3])
    assert ModelSignature().complete(seeded) is seeded


@pytest.mark.parametrize(
    ("signature", "content_type", "known"),
    [
        (ModelSignature(), PNG, "text/csv"),
        (ModelSignature(), "multipart/form-data; boundary=x", "application/json"),
        (TRANSLATES, CSV, "image/jpeg"),
        (PAINTS, CSV, "multipart/form-data"),
        (PAINTS, "image/gif", "image/webp"),
    ],
)
def test_a_type_that_the_model_does_not_read_is_415_with_those_it_does(
    signature: ModelSignature, content_type: str, known: str
) -> None:
    error = refused(b"x", content_type, signature)
    assert isinstance(error, UnsupportedContentType)
    assert known in error.hint
    assert ("image/jpeg" in error.hint) == (signature is TRANSLATES)


@pytest.mark.parametrize(
    ("body", "is_about"),
    [
        (b'{"about": true}', True),
        (b' {"about":true}\n', True),
        (b'{"about": 1}', False),
        (b'{"about": false}', False),
        (b'{"about": true, "seeds": [1]}', False),
        (b'{"about": tru', False),
        (b'["about"]', False),
    ],
)
def test_what_asks_about_the_model(body: bytes, is_about: bool) -> None:
    assert asks_about(body, JSON) == is_about
    assert not asks_about(body, CSV)


# --- forms ----------------------------------------------------------------------------------------


def test_a_form_as_a_browser_sends_it() -> None:
    """Several files under one name, and fields of text between them."""
    body, content_type = form(
        ("label_maps", MAP), ("seeds", "1,2"), ("label_maps", MAP), ("layout", "row")
    )
    request = decode_request(body, content_type, PAINTS)
    assert request == GenerateRequest(label_maps=(MAP, MAP), seeds=[1, 2], layout="row")


def test_a_form_with_a_style() -> None:
    body, content_type = form(("label_map", MAP), ("style", PHOTO))
    request = decode_request(body, content_type, PAINTS)
    assert request == GenerateRequest(label_maps=(MAP,), styles=(PHOTO,))


def test_a_preamble_and_quoted_boundary_are_read() -> None:
    body, _ = form(("image", PHOTO), boundary="a b")
    content_type = 'multipart/form-data; charset=utf-8; boundary="a b"'
    whole = b"preamble\r\n" + body + b"epilogue"
    assert decode_request(whole, content_type, TRANSLATES).images == (PHOTO,)


@given(content=st.binary(max_size=200))
def test_any_content_of_a_part_survives(content: bytes) -> None:
    """Also line feeds and dashes, which boundaries are made of."""
    body, content_type = form(("image", content), ("image", b"\r\n--xX" + content))
    request = decode_request(body, content_type, TRANSLATES)
    assert request.images == (content, b"\r\n--xX" + content)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (*form(("picture", "x")), "Unknown form field 'picture'"),
        (*form(("seeds", "1"), ("seeds", "2")), "The form field 'seeds' is there twice"),
        (*form(), "The form is empty"),
        (form(("image", PHOTO))[0], "multipart/form-data", "has no boundary"),
        (form(("image", PHOTO))[0], "multipart/form-data; boundary=other", "does not end with"),
        (form(("image", PHOTO))[0][:-30], "multipart/form-data; boundary=xYz", "does not end with"),
        (b"", "multipart/form-data; boundary=x", "does not end with"),
        (b"--x\r\n\r\nbody\r\n--x--", "multipart/form-data; boundary=x", "Part 1"),
        (
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\naa==\r\n--x--",
            "multipart/form-data; boundary=x",
            "is encoded as 'base64'",
        ),
    ],
)
def test_a_wrong_form_is_refused(body: bytes, content_type: str, message: str) -> None:
    assert message in refused(body, content_type).message


def test_a_form_of_too_many_parts_is_refused() -> None:
    body, content_type = form(*[("image", b"")] * (MAX_PARTS + 1))
    assert isinstance(refused(body, content_type), RequestTooLarge)


def test_a_form_field_of_megabytes_is_refused() -> None:
    body, content_type = form(("seeds", "1," * 100_000))
    assert isinstance(refused(body, content_type), RequestTooLarge)


@given(body=st.binary(max_size=200), cut=st.integers(0, 400))
def test_random_forms_are_read_or_refused(body: bytes, cut: int) -> None:
    whole, content_type = form(("image", body), ("seeds", "1"))
    for damaged in (whole[:cut] + body, body):
        try:
            decode_request(damaged, content_type, TRANSLATES)
        except RequestError as error:
            assert error.hint
