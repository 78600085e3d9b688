"""JSON Lines, both ways round: many requests in one body, and many images as a stream."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.errors import InvocationError, RequestError, RequestTooLarge
from facegan.wire import (
    JSON,
    JSON_LINES,
    GenerateRequest,
    Provenance,
    decode_images,
    decode_request,
    encode_images,
    encode_lines,
    error_line,
    image_lines,
    iter_images,
    iter_replies,
    iter_requests,
    json_lines,
)
from facegan.wire.json_lines import MAX_LINES

ORIGIN = Provenance("ab", "dcgan", "tiny", (3, 8, 9))
IMAGES = np.random.default_rng(0).integers(0, 255, (3, 4, 4, 3), dtype=np.uint8)

requests = st.lists(
    st.builds(GenerateRequest, seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3)),
    min_size=1,
    max_size=5,
)


def pieces(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    """A body cut into pieces, as a network does."""
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
    yield body[start:]


# --- requests -----------------------------------------------------------------------------------


@given(asked=requests)
def test_requests_come_back_in_their_order(asked: list[GenerateRequest]) -> None:
    """Numbered from 1, as editors count lines."""
    lines = list(iter_requests(encode_lines(asked)))
    assert [line.request for line in lines] == asked
    assert [line.number for line in lines] == list(range(1, len(asked) + 1))


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_last_line_may_end_or_not(end: str) -> None:
    """A final line feed makes no further line."""
    body = b'{"seeds": [1]}\n{"seeds": [2]}' + end.encode()
    assert [line.request.seeds for line in iter_requests(body)] == [[1], [2]]  # type: ignore[union-attr]


def test_a_bad_line_is_told_in_its_place_and_the_others_are_read() -> None:
    """No answer may stand beside another's input."""
    body = b'{"seeds": [1]}\n{"seeds": ["x"]}\n\n   \nnonsense\n[1]\n{"seeds": [2]}\n'
    lines = list(iter_requests(body))
    told = [
        line.request.message if isinstance(line.request, RequestError) else "" for line in lines
    ]
    assert [bool(message) for message in told] == [False, True, True, True, True, True, False]
    assert told[1].startswith("seeds[0]") and told[2] == told[3] == "The line is empty."
    assert [line.number for line in lines] == [1, 2, 3, 4, 5, 6, 7]


def test_lines_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is not looked at before it is asked for: memory holds one request."""
    read = []

    def note(line: bytes) -> GenerateRequest:
        read.append(line)
        return GenerateRequest(seeds=[1])

    monkeypatch.setattr(json_lines, "decode_json", note)
    lines = iter_requests(b"first\nsecond\nthird")
    assert next(lines).number == 1 and read == [b"first"]
    assert next(lines).number == 2 and read == [b"first", b"second"]


@pytest.mark.parametrize(
    ("body", "error"), [(b"", RequestError), (b"\n" * (MAX_LINES + 1), RequestTooLarge)]
)
def test_no_line_and_far_too_many_are_refused_as_a_whole(
    body: bytes, error: type[RequestError]
) -> None:
    """Before any is read."""
    with pytest.raises(error):
        iter_requests(body)


@given(body=st.binary(min_size=1, max_size=300))
def test_rubbish_is_bad_lines(body: bytes) -> None:
    """Random bytes are lines, each a request or an error; as many as editors count."""
    lines = list(iter_requests(body))
    assert len(lines) == body.count(b"\n") + (not body.endswith(b"\n"))
    for line in lines:
        if isinstance(line.request, RequestError):
            assert json.loads(error_line(line.request, line.number))["line"] == line.number


@pytest.mark.parametrize(
    "name", [JSON_LINES, "application/jsonl", "application/x-jsonlines", "application/x-ndjson"]
)
def test_lines_are_not_one_request(name: str) -> None:
    """Whoever reads single requests says so, whatever the type is called."""
    with pytest.raises(RequestError, match="application/jsonlines"):
        decode_request(b'{"seeds": [1]}', name)


# --- answers to them ----------------------------------------------------------------------------


def test_answers_are_faces_or_errors_in_order() -> None:
    """One line each, as application/json would answer."""
    good = encode_images(IMAGES, JSON, provenance=ORIGIN) + b"\n"
    bad = error_line(RequestError("The line is empty.", "Fill it."), 2)
    answers = list(iter_replies(pieces(good + bad + good, [5, 700])))
    first, second, third = answers
    assert isinstance(second, InvocationError) and second.message == "The line is empty."
    assert second.hint == "Fill it."
    assert isinstance(first, list) and [face.seed for face in first] == [3, 8, 9]
    assert third == first
    assert json.loads(bad) == {
        "error": "RequestError", "message": "The line is empty.", "hint": "Fill it.", "line": 2,
    }  # fmt: skip


@given(body=st.binary(min_size=1, max_size=200))
def test_rubbish_in_answers_is_an_invocation_error(body: bytes) -> None:
    with pytest.raises(InvocationError):
        list(iter_replies([body]))


# --- one image a line ---------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 900), max_size=12))
def test_faces_are_read_whatever_the_pieces(sizes: list[int]) -> None:
    """Networks cut where they like."""
    body = encode_images(IMAGES, JSON_LINES, provenance=ORIGIN)
    assert [face.seed for face in iter_images(pieces(body, sizes))] == [3, 8, 9]


def test_a_face_is_there_as_soon_as_its_line_is() -> None:
    """A caller shows the first while the second is drawn."""
    drawn = []

    def draw() -> Iterator[np.ndarray]:
        for index, image in enumerate(IMAGES):
            drawn.append(index)
            yield image

    faces = iter_images(image_lines(draw(), ORIGIN, 3))
    assert next(faces).seed == 3 and drawn == [0]
    assert next(faces).seed == 8 and drawn == [0, 1]


def test_a_stream_may_go_on_where_another_ended() -> None:
    """Slices of a request, drawn one after the other, are one answer."""
    parts = [
        *image_lines(IMAGES[:2], ORIGIN, 3),
        *image_lines(IMAGES[2:], ORIGIN, 3, start=2),
    ]
    assert b"".join(parts) == encode_images(IMAGES, JSON_LINES, provenance=ORIGIN)


def test_a_stream_that_ends_early_is_told_after_what_came() -> None:
    """Whole lines are missing, which no line's own form can tell."""
    lines = encode_images(IMAGES, JSON_LINES, provenance=ORIGIN).splitlines(keepends=True)
    faces = iter_images(lines[:2])
    assert [next(faces).seed, next(faces).seed] == [3, 8]
    with pytest.raises(InvocationError, match="after 2 of 3 images"):
        next(faces)
    with pytest.raises(InvocationError, match="out of order"):
        decode_images(lines[0] + lines[2], JSON_LINES)
    with pytest.raises(InvocationError, match="after 0 of"):
        list(iter_images([]))


def test_a_stream_that_breaks_off_tells_the_servers_reason() -> None:
    """The last line is an error, as a refusal is."""
    (line, *_) = image_lines(IMAGES, ORIGIN, 3)
    faces = iter_images([line, error_line(RequestError("The model broke.", "Ask again."))])
    assert next(faces).seed == 3
    with pytest.raises(InvocationError, match=r"broke off: The model broke\.") as caught:
        next(faces)
    assert caught.value.hint == "Ask again."
