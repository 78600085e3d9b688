"""A caller's view of an endpoint: what is sent, what comes back, and how refusals are told."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from facegan.client import FaceClient, Reply
from facegan.errors import InvocationError, RequestError
from facegan.wire import (
    JSON,
    NPY,
    PNG,
    GenerateRequest,
    Provenance,
    decode_images,
    decode_request,
    encode_images,
)


@dataclass
class Painter:
    """A transport to a painter whose faces are plain squares of the seed's shade."""

    asked: list[GenerateRequest] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        request = decode_request(body, content_type)
        self.asked.append(request)
        self.content_types.append(content_type)
        shades = request.seeds or [0] * request.count
        images = np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in shades])
        origin = Provenance("ab", "plain", "square", request.seeds and tuple(request.seeds))
        answer = encode_images(images, accept, provenance=origin, columns=request.columns)
        return Reply(200, f"{accept}; v=1", answer)


@dataclass
class Refuser:
    """A transport to an endpoint that always answers the same."""

    reply: Reply

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        return self.reply


def test_generate_returns_one_array_a_seed() -> None:
    """Seeds in, uint8 (N, H, W, 3) out, in order."""
    faces = FaceClient(Painter()).generate(seeds=[3, 1, 2])
    assert faces.shape == (3, 4, 4, 3) and faces.dtype == np.uint8
    assert faces[:, 0, 0, 0].tolist() == [3, 1, 2]


@pytest.mark.parametrize("seeds", [range(3), np.arange(3), (0, 1, 2), [np.int64(0), 1, 2]])
def test_seeds_may_be_any_whole_numbers(seeds: object) -> None:
    """Ranges and NumPy's integers are what people have at hand."""
    painter = Painter()
    FaceClient(painter).generate(seeds=seeds)  # type: ignore[arg-type]
    assert painter.asked[0].seeds == [0, 1, 2]


@pytest.mark.parametrize("seeds", [[1.5], ["1"], [True], [-1], [], 7, [[1, 2]], [1, [2]]])
def test_wrong_seeds_are_told_before_anything_is_sent(seeds: object) -> None:
    """The client knows the rules of the wire."""
    painter = Painter()
    with pytest.raises(RequestError):
        FaceClient(painter).generate(seeds=seeds)  # type: ignore[arg-type]
    assert not painter.asked


@pytest.mark.parametrize("classes", ["long", 3, [1.5], [None], [-1], [0, 1]])
def test_wrong_classes_are_told_before_anything_is_sent(classes: object) -> None:
    """A text is one class, not a list of letters."""
    painter = Painter()
    with pytest.raises(RequestError, match="classes"):
        FaceClient(painter).generate(seeds=[1, 2, 3], classes=classes)  # type: ignore[arg-type]
    assert not painter.asked


@pytest.mark.parametrize("latents", [[[1, 2], [3]], [["a"]], [[np.nan]], [1.0, 2.0], object()])
def test_wrong_latents_are_told_before_anything_is_sent(latents: object) -> None:
    """Ragged, text, not finite, one-dimensional: all are told as RequestError."""
    painter = Painter()
    with pytest.raises(RequestError):
        FaceClient(painter).generate(latents=latents)  # type: ignore[arg-type]
    assert not painter.asked


def test_bare_latents_travel_as_npy_and_others_as_json() -> None:
    """A fifth of the bytes, where npy can say all there is to say."""
    painter = Painter()
    latents = np.ones((2, 5), np.float32)
    FaceClient(painter).generate(latents=latents)
    FaceClient(painter).generate(latents=latents, truncation_psi=0.5)
    assert painter.content_types == [NPY, JSON]
    for request in painter.asked:
        assert np.array_equal(request.latents, latents)  # type: ignore[arg-type]


def test_grid_is_one_png_of_the_columns_asked_for() -> None:
    """Three images in one row: 4 + 2 + 4 + 2 + 4 pixels."""
    png = FaceClient(Painter()).grid(seeds=[1, 2, 3], columns=3)
    assert decode_images(png, PNG).shape == (1, 4, 16, 3)


def test_faces_are_pngs_beside_their_seeds() -> None:
    """Each can be saved under its seed."""
    faces = FaceClient(Painter()).faces(seeds=[5, 6])
    assert [face.seed for face in faces] == [5, 6]
    assert [decode_images(face.png, PNG)[0, 0, 0, 0] for face in faces] == [5, 6]


def test_a_refusal_is_told_in_the_servers_words() -> None:
    """Message and hint of the error JSON reach the caller."""
    told = {"error": "RequestError", "message": "No truncation.", "hint": "Leave it out."}
    refuser = Refuser(Reply(400, JSON, json.dumps(told).encode()))
    with pytest.raises(InvocationError) as caught:
        FaceClient(refuser).generate(seeds=[1])
    assert caught.value.message == "The endpoint answered 400 Bad Request: No truncation."
    assert caught.value.hint == "Leave it out."


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (502, b"<html>nginx</html>", "The endpoint answered 502 Bad Gateway."),
        (500, b"out of memory\n", "The endpoint answered 500 Internal Server Error: out of memory"),
        (499, b"", "The endpoint answered 499."),
        (500, b"[]", "The endpoint answered 500 Internal Server Error: []"),
        (500, b"\xff", "The endpoint answered 500 Internal Server Error: \ufffd"),
    ],
)
def test_a_refusal_of_another_program_is_told_by_its_status(
    status: int, body: bytes, message: str
) -> None:
    """A proxy's page, plain text, nothing at all."""
    with pytest.raises(InvocationError) as caught:
        FaceClient(Refuser(Reply(status, "", body))).generate(seeds=[1])
    assert caught.value.message == message


@pytest.mark.parametrize("status", [404, 413, 503])
def test_common_statuses_come_with_a_hint(status: int) -> None:
    """Even where the endpoint gives none."""
    with pytest.raises(InvocationError) as caught:
        FaceClient(Refuser(Reply(status, "", b""))).grid(seeds=[1])
    assert caught.value.hint


def test_an_answer_of_another_type_is_refused() -> None:
    """A login page with status 200 is no face."""
    with pytest.raises(InvocationError, match=r"text/html.*image/png"):
        FaceClient(Refuser(Reply(200, "text/html", b"<html>"))).grid(seeds=[1])
