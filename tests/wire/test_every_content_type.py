"""Both tables, row by row: what one end writes the other reads, and rubbish has a typed error."""

import base64
import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facegan.errors import (
    InvocationError,
    NotAcceptable,
    RequestError,
    UnsupportedContentType,
)
from facegan.wire import (
    CSV,
    IMAGE_CODECS,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    REQUEST_CODECS,
    ZIP,
    GenerateRequest,
    Provenance,
    decode_images,
    decode_request,
    encode_images,
    encode_request,
    parse_images,
)

ORIGIN = Provenance("ab" * 32, "dcgan", "tiny", None)

latents = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements={"allow_nan": False, "allow_infinity": False},
)
images = hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.just(3)))
seeds = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9)
psi = st.floats(0, 2)
kinds = st.integers(0, 2**32 - 1) | st.text(min_size=1, max_size=9)


@pytest.mark.parametrize("content_type", REQUEST_CODECS)
@given(numbers=latents)
def test_every_request_type_carries_latents_unchanged(
    content_type: str, numbers: npt.NDArray[np.floating]
) -> None:
    """Latents survive to the last bit, minus zero and subnormal numbers too."""
    request = GenerateRequest(latents=numbers)
    again = decode_request(encode_request(request, content_type), content_type)
    assert again == request
    assert again.latents is not None
    assert np.array_equal(np.signbit(again.latents), np.signbit(numbers))


@given(
    seeds=seeds,
    truncation_psi=psi,
    layout=st.sampled_from(["grid", "row", "column"]),
    data=st.data(),
)
def test_json_carries_every_field(
    seeds: list[int], truncation_psi: float, layout: str, data: st.DataObject
) -> None:
    """What JSON carries comes back equal, numbers as numbers and names as names."""
    count = data.draw(st.sampled_from([1, len(seeds)]))
    classes = data.draw(st.none() | st.lists(kinds, min_size=count, max_size=count))
    request = GenerateRequest(
        seeds=seeds,
        truncation_psi=truncation_psi,
        layout=layout,  # type: ignore[arg-type]
        classes=classes,
    )
    again = decode_request(encode_request(request), JSON)
    assert again == request
    assert list(map(type, again.classes or [])) == list(map(type, classes or []))


@pytest.mark.parametrize(
    "fields",
    [
        {"seeds": [1, 2, 3], "columns": 3},
        {"seeds": [1, 2], "interpolate": 5, "layout": "animation", "frame_ms": 40, "quality": 7},
        {"seeds": [1, 2], "mix": [7, 8, 9], "mix_layers": [0, 3]},
        {"latents": [[0.5], [1.0]], "interpolate": 2},
    ],
)
def test_json_carries_the_arrangement_the_way_and_the_mixing(fields: dict[str, object]) -> None:
    """They come back as they were given."""
    request = GenerateRequest.model_validate(fields)
    assert decode_request(encode_request(request), JSON) == request
    assert json.loads(encode_request(request)) == fields


@pytest.mark.parametrize("content_type", [NPY, CSV])
@pytest.mark.parametrize(
    "fields",
    [
        {"seeds": [1]},
        {"latents": [[0.5]], "truncation_psi": 0.5},
        {"latents": [[1.0]], "columns": 1},
        {"latents": [[1.0]], "classes": [0]},
    ],
)
def test_a_type_that_cannot_say_a_field_refuses_it(
    content_type: str, fields: dict[str, object]
) -> None:
    """No field is dropped silently."""
    request = GenerateRequest.model_validate(fields)
    with pytest.raises(RequestError, match="latents only"):
        encode_request(request, content_type)


@pytest.mark.parametrize("content_type", REQUEST_CODECS)
@given(body=st.binary(max_size=300))
def test_rubbish_in_a_request_is_a_request_error(content_type: str, body: bytes) -> None:
    """Random bytes are either a request or a RequestError, never another exception."""
    try:
        assert decode_request(body, content_type).count > 0
    except RequestError as error:
        assert error.message and error.hint


@pytest.mark.parametrize("content_type", REQUEST_CODECS)
@given(data=st.data())
def test_a_damaged_request_is_a_request_error(content_type: str, data: st.DataObject) -> None:
    """A valid body with one byte changed, or cut short, never raises anything else."""
    body = bytearray(encode_request(GenerateRequest(latents=[[0.5, -1.0]]), content_type))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    for damaged in (bytes(body), cut):
        try:
            decode_request(damaged, content_type)
        except RequestError as error:
            assert error.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
fields = st.sampled_from([*GenerateRequest.model_fields, "other"])


@given(values=st.dictionaries(fields, json_values))
def test_any_json_value_in_any_field_is_a_request_or_a_request_error(
    values: dict[str, object],
) -> None:
    """Every shape of JSON in every field is understood or refused."""
    try:
        assert decode_request(json.dumps(values).encode(), JSON).count > 0
    except RequestError as error:
        assert error.message and error.hint


@pytest.mark.parametrize("content_type", ["Application/JSON; charset=utf-8", " application/json "])
def test_parameters_and_case_of_a_content_type_do_not_matter(content_type: str) -> None:
    """`; charset=utf-8`, which many clients add, changes nothing."""
    assert decode_request(b'{"seeds": [7]}', content_type).seeds == [7]


@pytest.mark.parametrize("content_type", [None, "", "text/html", "application/octet-stream"])
def test_an_unknown_content_type_lists_those_that_are_read(content_type: str | None) -> None:
    """The mend is in the hint, from the table."""
    with pytest.raises(UnsupportedContentType) as caught:
        decode_request(b"{}", content_type)
    assert all(known in caught.value.hint for known in REQUEST_CODECS)


@pytest.mark.parametrize("content_type", [JSON, NPY, JSON_LINES, ZIP])
@given(pixels=images)
def test_types_of_single_images_carry_them_unchanged(
    content_type: str, pixels: npt.NDArray[np.uint8]
) -> None:
    """Every pixel of every image comes back."""
    body = encode_images(pixels, content_type, provenance=ORIGIN)
    assert np.array_equal(decode_images(body, content_type), pixels)


@given(pixels=images, columns=st.none() | st.integers(1, 7))
def test_a_montage_holds_every_image_on_white(
    pixels: npt.NDArray[np.uint8], columns: int | None
) -> None:
    """Each image stands in its cell, in reading order; all else is white."""
    body = encode_images(pixels, PNG, provenance=ORIGIN, columns=columns)
    (sheet,) = decode_images(body, PNG).copy()
    count, height, width, _ = pixels.shape
    wide = min(count, columns or int(np.ceil(np.sqrt(count))))
    assert sheet.shape[1] == wide * (width + 2) - 2
    for index, image in enumerate(pixels):
        top, left = index // wide * (height + 2), index % wide * (width + 2)
        cell = sheet[top : top + height, left : left + width]
        assert np.array_equal(cell, image)
        cell[:] = 255
    assert (sheet == 255).all()


@pytest.mark.parametrize(
    ("layout", "columns", "height", "width"),
    [
        ("row", None, 4, 33),
        ("column", None, 40, 3),
        ("grid", None, 16, 13),
        ("grid", 2, 22, 8),
        ("grid", 99, 4, 33),
    ],
)
def test_layouts_of_seven_images(layout: str, columns: int | None, height: int, width: int) -> None:
    """Seven images of 4 x 3 pixels with gaps of two, in every arrangement."""
    pixels = np.zeros((7, 4, 3, 3), np.uint8)
    body = encode_images(pixels, PNG, provenance=ORIGIN, layout=layout, columns=columns)
    assert decode_images(body, PNG).shape == (1, height, width, 3)


@pytest.mark.parametrize("content_type", IMAGE_CODECS)
@given(pixels=images)
def test_no_type_takes_less_than_its_bound(
    content_type: str, pixels: npt.NDArray[np.uint8]
) -> None:
    """A reply refused before it is drawn would not have fitted; of raw pixels the size is exact."""
    count, height, width, _ = pixels.shape
    size = len(encode_images(pixels, content_type, provenance=ORIGIN))
    least = IMAGE_CODECS[content_type].min_encoded_size(count, (3, height, width))
    assert least == size if content_type == NPY else 0 < least <= size


@pytest.mark.parametrize("content_type", IMAGE_CODECS)
def test_the_bound_holds_where_pixels_take_no_room(content_type: str) -> None:
    """Large, black and alike: as little as there can be."""
    pixels = np.zeros((3, 512, 512, 3), np.uint8)
    size = len(encode_images(pixels, content_type, provenance=ORIGIN))
    assert IMAGE_CODECS[content_type].min_encoded_size(3, (3, 512, 512)) <= size


@pytest.mark.parametrize("content_type", IMAGE_CODECS)
def test_the_same_images_are_the_same_bytes(content_type: str) -> None:
    """No time of day, no names of machines, no random order."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 9, 7, 3), np.uint8)
    first = encode_images(pixels, content_type, provenance=ORIGIN)
    assert encode_images(pixels.copy(), content_type, provenance=ORIGIN) == first


@pytest.mark.parametrize("content_type", IMAGE_CODECS)
@given(body=st.binary(max_size=300))
def test_rubbish_in_an_answer_is_an_invocation_error(content_type: str, body: bytes) -> None:
    """Random bytes are no images, and say so."""
    with pytest.raises(InvocationError):
        decode_images(body, content_type)


@pytest.mark.parametrize("content_type", IMAGE_CODECS)
@given(data=st.data())
def test_a_damaged_answer_is_an_invocation_error(content_type: str, data: st.DataObject) -> None:
    """An answer cut short is refused; one with a byte changed never raises anything else."""
    whole = encode_images(np.zeros((2, 4, 4, 3), np.uint8), content_type, provenance=ORIGIN)
    with pytest.raises(InvocationError):
        decode_images(whole[: data.draw(st.integers(0, len(whole) - 1))], content_type)
    body = bytearray(whole)
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_images(bytes(body), content_type)
    except InvocationError as error:
        assert error.message


@pytest.mark.parametrize(
    "answer",
    [
        {"images": []},
        {"images": None},
        {"images": [{"seed": 1}]},
        {"images": [{"seed": "1", "png": ""}]},
        {"images": [{"seed": 1, "png": "*"}]},
        {"images": [{"seed": 1, "png": "", "class": 3}]},
        {"images": [3]},
        {"images": [{"seed": 1, "png": base64.b64encode(b"GIF89a").decode()}]},
        [],
    ],
)
def test_json_that_is_no_answer_is_an_invocation_error(answer: object) -> None:
    """Valid JSON of another shape is refused."""
    with pytest.raises(InvocationError):
        decode_images(json.dumps(answer).encode(), JSON)


def test_images_of_two_sizes_in_one_json_answer_are_refused() -> None:
    """An (N, H, W, 3) array has one H and one W."""
    answers = [
        json.loads(encode_images(np.zeros((1, side, side, 3), np.uint8), JSON, provenance=ORIGIN))
        for side in (4, 5)
    ]
    mixed = {"images": answers[0]["images"] + answers[1]["images"]}
    with pytest.raises(InvocationError, match="one size"):
        decode_images(json.dumps(mixed).encode(), JSON)


def test_an_npy_answer_that_holds_no_images_is_refused() -> None:
    """Latents sent back are not taken for pictures."""
    body = encode_request(GenerateRequest(latents=[[0.5]]), NPY)
    with pytest.raises(InvocationError, match="not images"):
        decode_images(body, NPY)


@pytest.mark.parametrize("content_type", ["", "text/html", "image/gif"])
def test_an_answer_of_another_type_is_an_invocation_error(content_type: str) -> None:
    """A page of a proxy is not decoded."""
    with pytest.raises(InvocationError):
        decode_images(b"<html>", content_type)


def test_writing_an_unknown_type_is_not_acceptable() -> None:
    """The encoder names what it can write."""
    with pytest.raises(NotAcceptable) as caught:
        encode_images(np.zeros((1, 4, 4, 3), np.uint8), "image/gif", provenance=ORIGIN)
    assert all(known in caught.value.hint for known in IMAGE_CODECS)


def test_a_json_answer_names_the_model_and_every_seed() -> None:
    """Faces come back beside their seeds, and the model beside the faces."""
    origin = Provenance("cd", "dcgan", "tiny", (3, 9), 0.5)
    body = encode_images(np.zeros((2, 4, 4, 3), np.uint8), JSON, provenance=origin)
    assert [face.seed for face in parse_images(body)] == [3, 9]
    assert json.loads(body)["model"] == {
        "sha256": "cd",
        "family": "dcgan",
        "preset": "tiny",
        "truncation_psi": 0.5,
    }


def test_a_json_answer_names_the_class_of_every_face() -> None:
    """By name; null where the model knows none."""
    told = {}
    for classes in (("cat", "dög, or so"), None):
        origin = Provenance("cd", "stylegan2", "tiny", None, classes=classes)
        body = encode_images(np.zeros((2, 4, 4, 3), np.uint8), JSON, provenance=origin)
        told[classes] = [face.class_name for face in parse_images(body)]
        assert [image["class"] for image in json.loads(body)["images"]] == told[classes]
    assert told == {("cat", "dög, or so"): ["cat", "dög, or so"], None: [None, None]}


def test_an_answer_from_before_there_were_classes_is_read() -> None:
    """A client may be newer than the server."""
    body = json.loads(encode_images(np.zeros((1, 4, 4, 3), np.uint8), JSON, provenance=ORIGIN))
    del body["images"][0]["class"]
    assert parse_images(json.dumps(body).encode())[0].class_name is None
