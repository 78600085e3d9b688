"""The client: what is sent, what comes back, and how refusals become errors."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facegan.client import FaceClient, Reply, StreamedReply
from facegan.errors import InvocationError, RequestError
from facegan.wire import (
    JPEG,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    WEBP,
    GenerateRequest,
    Provenance,
    bare_type,
    decode_images,
    decode_request,
    encode_reply,
    error_line,
    iter_requests,
)

CARD = SimpleNamespace(weights_sha256="ab", family="plain", preset="square")


def render(request: GenerateRequest) -> tuple[np.ndarray, GenerateRequest]:
    """Return plain squares, grey by seed; other images by index."""
    shades = (request.seeds or []) if request.count == request.input_count else []
    shades = shades or list(range(request.count))
    return np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in shades]), request


@dataclass
class FakeEndpoint:
    """A transport to an endpoint whose images are plain grey squares."""

    requests: list[GenerateRequest] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        request = decode_request(body, content_type)
        self.requests.append(request)
        self.content_types.append(content_type)
        accept = bare_type(accept)
        answer = encode_reply(*render(request), accept, Provenance.of_request(request, CARD))
        return Reply(200, f"{accept}; v=1", answer)


@dataclass
class StreamingEndpoint(FakeEndpoint):
    """The same, which sends its answer a few bytes at a time."""

    cut_at: int | None = None  # how many bytes of it come
    sent: int = 0

    def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
        reply = self.send(body, content_type, accept)
        return StreamedReply(reply.status, reply.content_type, self.pieces(reply.body))

    def pieces(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body[: self.cut_at]), 100):
            self.sent += 1
            yield body[: self.cut_at][start : start + 100]


@dataclass
class RefusingEndpoint:
    """A transport to an endpoint that always answers the same."""

    reply: Reply

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        return self.reply


def test_generate_returns_one_image_per_seed() -> None:
    """Seeds in, uint8 (N, H, W, 3) out, in order."""
    faces = FaceClient(FakeEndpoint()).generate(seeds=[3, 1, 2])
    assert faces.shape == (3, 4, 4, 3) and faces.dtype == np.uint8
    assert faces[:, 0, 0, 0].tolist() == [3, 1, 2]


@pytest.mark.parametrize("seeds", [range(3), np.arange(3), (0, 1, 2), [np.int64(0), 1, 2]])
def test_seeds_may_be_ranges_or_numpy_integers(seeds: object) -> None:
    endpoint = FakeEndpoint()
    FaceClient(endpoint).generate(seeds=seeds)  # type: ignore[arg-type]
    assert endpoint.requests[0].seeds == [0, 1, 2]


@pytest.mark.parametrize("seeds", [[1.5], ["1"], [True], [-1], [], 7, [[1, 2]], [1, [2]]])
def test_wrong_seeds_are_refused_before_anything_is_sent(seeds: object) -> None:
    """The client validates requests like the server."""
    endpoint = FakeEndpoint()
    with pytest.raises(RequestError):
        FaceClient(endpoint).generate(seeds=seeds)  # type: ignore[arg-type]
    assert not endpoint.requests


@pytest.mark.parametrize("classes", ["long", 3, [1.5], [None], [-1], [0, 1]])
def test_wrong_classes_are_refused_before_anything_is_sent(classes: object) -> None:
    """A string is one class, not a list of letters."""
    endpoint = FakeEndpoint()
    with pytest.raises(RequestError, match="classes"):
        FaceClient(endpoint).generate(seeds=[1, 2, 3], classes=classes)  # type: ignore[arg-type]
    assert not endpoint.requests


@pytest.mark.parametrize("latents", [[[1, 2], [3]], [["a"]], [[np.nan]], [1.0, 2.0], object()])
def test_wrong_latents_are_refused_before_anything_is_sent(latents: object) -> None:
    """Ragged, text, not finite, one-dimensional."""
    endpoint = FakeEndpoint()
    with pytest.raises(RequestError):
        FaceClient(endpoint).generate(latents=latents)  # type: ignore[arg-type]
    assert not endpoint.requests


def test_latents_alone_are_sent_as_npy_and_others_as_json() -> None:
    """npy takes a fifth of the bytes, but has no other fields."""
    endpoint = FakeEndpoint()
    latents = np.ones((2, 5), np.float32)
    FaceClient(endpoint).generate(latents=latents)
    FaceClient(endpoint).generate(latents=latents, truncation_psi=0.5)
    assert endpoint.content_types == [NPY, JSON]
    for request in endpoint.requests:
        assert np.array_equal(request.latents, latents)  # type: ignore[arg-type]


def test_grid_is_one_png_with_the_requested_columns() -> None:
    """Three images in one row: 4 + 2 + 4 + 2 + 4 pixels."""
    png = FaceClient(FakeEndpoint()).grid(seeds=[1, 2, 3], columns=3)
    assert decode_images(png, PNG).shape == (1, 4, 16, 3)


def test_faces_are_pngs_with_their_seeds() -> None:
    """Each can be saved under its seed."""
    faces = FaceClient(FakeEndpoint()).faces(seeds=[5, 6])
    assert [face.seed for face in faces] == [5, 6]
    assert [decode_images(face.png, PNG)[0, 0, 0, 0] for face in faces] == [5, 6]


def test_a_refusal_has_the_servers_message() -> None:
    """Message and hint of the error JSON reach the caller."""
    told = {"error": "RequestError", "message": "No truncation.", "hint": "Leave it out."}
    refuser = RefusingEndpoint(Reply(400, JSON, json.dumps(told).encode()))
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
def test_a_refusal_by_another_program_is_described_by_its_status(
    status: int, body: bytes, message: str
) -> None:
    """A proxy's page, plain text, nothing at all."""
    with pytest.raises(InvocationError) as caught:
        FaceClient(RefusingEndpoint(Reply(status, "", body))).generate(seeds=[1])
    assert caught.value.message == message


@pytest.mark.parametrize("status", [404, 413, 503])
def test_common_statuses_come_with_a_hint(status: int) -> None:
    """Even if the endpoint sends none."""
    with pytest.raises(InvocationError) as caught:
        FaceClient(RefusingEndpoint(Reply(status, "", b""))).grid(seeds=[1])
    assert caught.value.hint


def test_an_answer_of_another_type_is_refused() -> None:
    """A login page with status 200 is not an image."""
    with pytest.raises(InvocationError, match=r"text/html.*image/png"):
        FaceClient(RefusingEndpoint(Reply(200, "text/html", b"<html>"))).grid(seeds=[1])


# --- ways, mixtures, formats --------------------------------------------------------------------


def test_interpolate_requests_the_frames_between() -> None:
    """Two seeds, three frames from one to the other: four images."""
    endpoint = FakeEndpoint()
    assert len(FaceClient(endpoint).interpolate([3, 8], 3)) == 4
    assert endpoint.requests[0].interpolate == 3 and endpoint.requests[0].seeds == [3, 8]


def test_mix_returns_a_table() -> None:
    """Seeds down, the others across."""
    endpoint = FakeEndpoint()
    faces = FaceClient(endpoint).mix([1, 2], range(7, 10), layers=np.array([2, 3]))
    assert faces.shape == (2, 3, 4, 4, 3)
    assert faces[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (endpoint.requests[0].mix, endpoint.requests[0].mix_layers) == ([7, 8, 9], [2, 3])


@pytest.mark.parametrize(("name", "content_type"), [("jpeg", JPEG), ("webp", WEBP), ("grid", PNG)])
def test_one_grid_of_all_images_in_every_format(name: str, content_type: str) -> None:
    """Three images in a row."""
    body = getattr(FaceClient(FakeEndpoint()), name)(seeds=[1, 2, 3], columns=3)
    assert decode_images(body, content_type).shape == (1, 4, 16, 3)


def test_a_quality_is_sent() -> None:
    endpoint = FakeEndpoint()
    FaceClient(endpoint).jpeg([1], quality=30)
    FaceClient(endpoint).webp([1], quality=40)
    assert [request.quality for request in endpoint.requests] == [30, 40]


def test_an_animation_is_requested_with_its_frames() -> None:
    """The images, and those between them."""
    endpoint = FakeEndpoint()
    body = FaceClient(endpoint).animation([3, 8], interpolate=4, frame_ms=100)
    assert len(decode_images(body, WEBP)) == 5
    assert (endpoint.requests[0].layout, endpoint.requests[0].frame_ms) == ("animation", 100)


def test_a_zip_has_one_file_per_image() -> None:
    body = FaceClient(FakeEndpoint()).zip([5, 6])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["seed0005.png", "seed0006.png", "provenance.json"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.interpolate([1], 3),
        lambda client: client.mix([1], []),
        lambda client: client.mix([1], 7),
        lambda client: client.animation([1]),
        lambda client: client.jpeg([1], quality=0),
        lambda client: client.invoke(GenerateRequest(seeds=[1], quality=9), PNG),
        lambda client: client.stream([1], interpolate=2),
        lambda client: client.chunks(GenerateRequest(seeds=[1], quality=9)),
    ],
)
def test_contradicting_arguments_are_refused_before_anything_is_sent(
    ask: Callable[[FaceClient], Any],
) -> None:
    endpoint = StreamingEndpoint()
    with pytest.raises(RequestError):
        ask(FaceClient(endpoint))
    assert not endpoint.requests


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_yields_an_image_before_the_next_one_arrives() -> None:
    streamer = StreamingEndpoint()
    faces = FaceClient(streamer).stream([5, 6, 7])
    assert len(streamer.requests) == 1, "sent at once"
    assert next(faces).seed == 5
    early = streamer.sent
    assert [face.seed for face in faces] == [6, 7]
    assert 0 < early < streamer.sent


def test_a_transport_without_streaming_yields_all_images_at_the_end() -> None:
    assert [face.seed for face in FaceClient(FakeEndpoint()).stream([5, 6])] == [5, 6]


def test_a_stream_that_ends_early_raises_after_what_came() -> None:
    faces = FaceClient(StreamingEndpoint(cut_at=2_000)).stream([5, 6, 7])
    assert next(faces).seed == 5
    with pytest.raises(InvocationError):
        list(faces)


@pytest.mark.parametrize(
    ("reply", "told"),
    [(Reply(503, "", b"busy"), "503"), (Reply(200, "text/html", b"<html>"), "text/html")],
)
def test_a_refused_stream_raises_at_once(reply: Reply, told: str) -> None:
    """Before the first image is read."""

    class Refusing(RefusingEndpoint):
        def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
            return StreamedReply(reply.status, reply.content_type, iter([reply.body]))

    for refuser in (RefusingEndpoint(reply), Refusing(reply)):
        with pytest.raises(InvocationError, match=told):
            FaceClient(refuser).stream([1])


def test_many_requests_get_one_answer_each() -> None:
    """In their order, in one call."""

    class Liner:
        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            assert content_type == accept == JSON_LINES
            lines = []
            for line in iter_requests(body):
                assert isinstance(line.request, GenerateRequest)
                if line.request.seeds == [13]:
                    lines.append(error_line(RequestError("Unlucky.", "Ask for 14."), line.number))
                    continue
                images, request = render(line.request)
                origin = Provenance.of_request(request, CARD)
                lines.append(encode_reply(images, request, JSON, origin) + b"\n")
            return Reply(200, JSON_LINES, b"".join(lines))

    asked = [GenerateRequest(seeds=seeds) for seeds in ([1, 2], [13], [3])]
    first, second, third = FaceClient(Liner()).many(asked)
    assert isinstance(first, list) and [face.seed for face in first] == [1, 2]
    assert isinstance(second, InvocationError) and second.hint == "Ask for 14."
    assert isinstance(third, list) and [face.seed for face in third] == [3]
