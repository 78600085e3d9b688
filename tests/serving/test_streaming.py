"""Replies in JSON Lines: streamed images, many requests in one body, and errors in mid-stream."""

import json
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import botocore.eventstream
import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.errors import InvocationError, Overloaded, RequestError
from facegan.serving import create_app
from facegan.serving.http.event_stream import payload_parts
from facegan.serving.http.negotiation import accepts_stream
from facegan.serving.limits import ServingLimits
from facegan.serving.many_requests import Line, answer_lines, generate_together, windows
from facegan.serving.model.served_model import ServedModel
from facegan.serving.plan import NEVER, Plan
from facegan.serving.streaming import bounded, stream_lines
from facegan.serving.telemetry.logs import REQUEST_ID
from facegan.synthesis import InputBatch, Synthesizer
from facegan.wire import (
    JSON,
    JSON_LINES,
    STREAMED_LINES,
    GenerateRequest,
    Images,
    Provenance,
    decode_images,
    encode_lines,
    iter_images,
    iter_replies,
    parse_images,
)

Post = Callable[..., TestResponse]
ORIGIN = Provenance("ab", "dcgan", "tiny", tuple(range(5)))


Draw = Callable[[InputBatch], Images]


def served_by(synthesizer: Any, draw: Draw) -> ServedModel:
    """A model that generates with `draw` instead of a batcher."""
    batcher: Any = SimpleNamespace(draw=lambda batch, deadline: draw(batch))
    return ServedModel(synthesizer, batcher)


def plan_five(model: Synthesizer, draw: Draw, **fields: Any) -> Plan:
    """The plan of five images, generated two at once, for a client that reads a stream."""
    two: Any = SimpleNamespace(batch_sizes=SimpleNamespace(largest=2))
    batch, limits = model.prepare_batch(seeds=range(5)), ServingLimits()
    plan = Plan(served_by(two, draw), limits, NEVER, JSON_LINES, None, 5, batch, ORIGIN, True)
    return replace(plan, **fields)


def stream(plan: Plan, own_id: str = "") -> Generator[bytes, None, None]:
    """The lines that a client reads."""
    REQUEST_ID.set(own_id)
    lines = stream_lines(plan)
    assert isinstance(lines, Generator)
    return lines


@pytest.fixture(scope="module")
def model(artifact: Artifact) -> Synthesizer:
    return Synthesizer(artifact)


# --- the images of one request ------------------------------------------------------------------


def test_each_slice_is_sent_before_the_next_is_drawn(model: Synthesizer) -> None:
    """Of five images, two at a time, the first is sent when two are generated."""
    drawn: list[int] = []

    def draw(batch: InputBatch) -> Images:
        drawn.append(len(batch))
        return model.generate_batch(batch)

    lines = stream(plan_five(model, draw))
    assert drawn == [2], "drawn before the reply begins, so that a failure has a status"
    faces = iter_images(lines)
    assert [next(faces).seed, next(faces).seed] == [0, 1] and drawn == [2]
    assert next(faces).seed == 2 and drawn == [2, 2]
    assert [face.seed for face in faces] == [3, 4] and drawn == [2, 2, 1]


def test_a_stream_shows_the_same_faces(model: Synthesizer) -> None:
    lines = stream(plan_five(model, model.generate_batch))
    images = decode_images(b"".join(lines), JSON_LINES)
    assert np.array_equal(images, model.generate(range(5)))


def failing(model: Synthesizer, at: int, error: Exception) -> Callable[[InputBatch], Images]:
    """Generates images, and fails at the given call."""
    calls = iter(range(100))

    def draw(batch: InputBatch) -> Images:
        if next(calls) == at:
            raise error
        return model.generate_batch(batch)

    return draw


@pytest.mark.parametrize("error", [Overloaded("Busy.", "Later."), ZeroDivisionError("secret")])
def test_failure_before_the_stream_begins_is_raised(model: Synthesizer, error: Exception) -> None:
    """It decides the reply's status."""
    with pytest.raises(type(error)):
        stream(plan_five(model, failing(model, 0, error)))


def test_later_failure_is_the_last_line(model: Synthesizer) -> None:
    """It has an error reply's fields, and follows the images that were sent."""
    draw = failing(model, 1, Overloaded("Busy.", "Later."))
    *lines, last = stream(plan_five(model, draw))
    assert len(lines) == 2
    assert json.loads(last) == {"error": "Overloaded", "message": "Busy.", "hint": "Later."}
    with pytest.raises(InvocationError, match=r"Busy\."):
        list(iter_images([*lines, last]))


def test_bug_in_mid_stream_is_reported_without_its_traceback(
    model: Synthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback, at the request id."""
    draw = failing(model, 2, ZeroDivisionError("secret"))
    with caplog.at_level(logging.ERROR):
        *_, last = stream(plan_five(model, draw), "id7")
    error = json.loads(last)
    assert error["error"] == "InternalError" and "id7" in error["hint"]
    assert "secret" not in last.decode()
    assert "id7" in caplog.text and "ZeroDivisionError: secret" in caplog.text


def test_json_lines_are_streamed(post: Post, model: Synthesizer) -> None:
    """There is no Content-Length, as it is unknown; the images are the same."""
    reply = post(b'{"seeds": [1, 2, 3]}', Accept=JSON_LINES)
    assert (reply.status_code, reply.content_type) == (200, JSON_LINES)
    assert "Content-Length" not in reply.headers
    assert np.array_equal(decode_images(reply.data, JSON_LINES), model.generate([1, 2, 3]))
    assert [face.seed for face in iter_images([reply.data])] == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"seeds": [1], "quality": 3}', 400),
        (b'{"seeds": [1], "truncation_psi": 0.5}', 400),
        (b'{"seeds": [1, 2], "interpolate": 64}', 413),
    ],
)
def test_a_stream_that_cannot_begin_is_an_ordinary_refusal(
    post: Post, body: bytes, status: int
) -> None:
    reply = post(body, Accept=JSON_LINES)
    assert reply.status_code == status and reply.content_type == JSON


@pytest.fixture
def small(artifact: Artifact) -> Iterator[Callable[..., TestResponse]]:
    """Send requests to a server whose replies are at most 30,000 bytes, a dozen images."""
    limits = ServingLimits(max_body_bytes=30_000)
    client = create_app(Synthesizer(artifact), limits=limits).test_client()

    def ask(count: int, accept: str, path: str = "/invocations") -> TestResponse:
        headers = {"Accept": accept, "X-Amzn-SageMaker-Accept": accept}
        return client.post(path, json={"seeds": list(range(count))}, headers=headers)

    yield ask


def test_lines_that_outgrow_a_reply_are_413(small: Callable[..., TestResponse]) -> None:
    """As in every other type; the hint says how many fit, and mentions streams."""
    fits = next(n for n in range(1, 40) if small(n + 1, JSON_LINES).status_code != 200)
    whole = small(fits, JSON_LINES)
    assert len(whole.data) <= 30_000 and whole.data.count(b"\n") == fits
    refused = small(fits + 1, JSON_LINES)
    assert refused.status_code == 413 and refused.get_json()["error"] == "RequestTooLarge"
    hint = refused.get_json()["hint"]
    assert f"about {fits} images" in hint and STREAMED_LINES in hint


def test_stream_may_exceed_the_limit_of_a_reply(
    small: Callable[..., TestResponse],
) -> None:
    """By the Accept header, which SageMaker passes on; or by boto3's streaming route."""
    reply = small(40, STREAMED_LINES)
    assert reply.status_code == 200 and len(reply.data) > 30_000
    assert [face.seed for face in iter_images([reply.data])] == list(range(40))
    path = "/endpoints/x/invocations-response-stream"
    assert len(small(40, JSON_LINES, path).data) > 30_000


def test_lines_that_cannot_fit_are_413_before_generation(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = ServingLimits(max_body_bytes=2000)
    client = create_app(Synthesizer(artifact), limits=limits).test_client()
    monkeypatch.delattr(Synthesizer, "prepare_batch")  # preparing a batch now fails with 500
    body, headers = {"seeds": [1] * 60}, {"Accept": JSON_LINES}
    assert client.post("/invocations", json=body, headers=headers).status_code == 413


def test_failure_in_a_reply_that_is_not_streamed_is_raised(model: Synthesizer) -> None:
    """The stream has not begun, so the reply can still have a status."""
    size = sum(map(len, stream(plan_five(model, model.generate_batch))))
    limits, draw = ServingLimits(max_body_bytes=size), failing(model, 1, Overloaded("Busy."))
    with pytest.raises(Overloaded):
        stream(plan_five(model, draw, is_stream=False, limits=limits))


def test_a_stream_that_outgrows_its_estimate_breaks_off_within_the_limit() -> None:
    """The first line predicted too little; the last line is an error, which clients detect."""
    lines = [b"x" * 10 + b"\n", *[b"y" * 5000 + b"\n"] * 9]
    reply = bounded(iter(lines), 10, ServingLimits(max_body_bytes=30_000))
    assert isinstance(reply, Iterator)
    *sent, last = reply
    assert sum(map(len, sent)) <= 30_000
    assert json.loads(last)["error"] == "RequestTooLarge"


@pytest.mark.parametrize(("accept", "is_stream"), [
    (None, False), (JSON_LINES, False), (STREAMED_LINES, True), ("*/*;stream=true", False),
    ("application/x-ndjson; Stream=TRUE;q=0.5, */*", True), ("image/png;stream=true", False),
])  # fmt: skip
def test_a_caller_says_that_it_accepts_stream(accept: str | None, is_stream: bool) -> None:
    assert accepts_stream(accept) is is_stream


# --- many requests ------------------------------------------------------------------------------


def answer_all(body: bytes, model: ServedModel, limits: ServingLimits) -> bytes:
    return answer_lines(body, JSON_LINES, None, model, limits, NEVER)


def test_every_line_has_its_reply_in_order(post: Post, model: Synthesizer) -> None:
    """Images, or an error, which does not affect the other lines."""
    body = b'{"seeds": [1, 2]}\n{"seeds": "x"}\n\n'
    body += b'{"seeds": [3], "truncation_psi": 0.5}\n{"seeds": [4]}\n'
    reply = post(body, JSON_LINES)
    assert (reply.status_code, reply.content_type) == (200, JSON_LINES)
    lines = [json.loads(line) for line in reply.data.splitlines()]
    assert [line.get("line") for line in lines] == [None, 2, 3, 4, None]
    answers = list(iter_replies([reply.data]))
    replies = [a.message if isinstance(a, InvocationError) else len(a) for a in answers]
    assert replies[0] == 2 and replies[4] == 1
    assert replies[2] == "The line is empty." and "no truncation" in str(replies[3])
    alone = post(b'{"seeds": [4]}', Accept=JSON)
    assert answers[4] == parse_images(alone.data)


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=12), data=st.data())
def test_lines_of_any_kinds_get_their_own_images(
    model: Synthesizer, counts: list[int], data: st.DataObject
) -> None:
    """However they are batched; an empty list of seeds is an error."""
    asked, body = [], b""
    for count in counts:
        seeds = data.draw(st.lists(st.integers(0, 99), min_size=count, max_size=count))
        asked.append(seeds)
        body += json.dumps({"seeds": seeds}).encode() + b"\n"
    whole = answer_all(body, served_by(model, model.generate_batch), ServingLimits(max_images=6))
    for seeds, answer in zip(asked, iter_replies([whole]), strict=True):
        if seeds:
            assert isinstance(answer, list) and [face.seed for face in answer] == seeds
        else:
            assert isinstance(answer, InvocationError)


def test_requests_of_one_kind_are_drawn_in_one_call() -> None:
    """Two kinds take two calls, whatever their order."""
    calls: list[int] = []

    def draw(batch: Any) -> Images:
        calls.append(len(batch))
        images: Images = batch.arrays["latents"].astype(np.uint8)
        return images

    parts = [
        InputBatch({"latents": np.full((count, 1), value, np.float32)}, truncation_psi=psi)
        for count, value, psi in ((2, 1.0, 1.0), (1, 2.0, 0.5), (3, 3.0, 1.0), (1, 4.0, 0.5))
    ]
    served = served_by(None, draw)
    plans = [Plan(served, ServingLimits(), NEVER, JSON, None, len(it), it) for it in parts]
    images = generate_together(plans)
    assert calls == [5, 2]
    assert [images[id(plan)].ravel().tolist() for plan in plans] == [[1, 1], [2], [3, 3, 3], [4]]


def test_a_window_holds_about_so_many_images_and_all_lines_come() -> None:
    """Memory is bounded by the window, not by the body."""
    lines = [Line(n, GenerateRequest(seeds=[1] * 3)) for n in range(1, 8)]
    lines.insert(2, Line(99, RequestError("no")))
    found = list(windows(iter(lines), 6))
    assert [len(window) for window in found] == [2, 3, 2, 1]
    assert [line for window in found for line in window] == lines


def test_the_images_of_all_lines_are_counted_before_any_is_drawn(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is 16 times that of one request; wrong lines do not count."""
    limits = ServingLimits(max_images=2)
    client = create_app(Synthesizer(artifact), limits=limits).test_client()
    monkeypatch.delattr(Synthesizer, "prepare_batch")  # preparing a batch now fails with 500
    body = encode_lines([GenerateRequest(seeds=[1, 2])] * 16) + b'{"seeds": [1]}\n'
    reply = client.post("/invocations", data=body, content_type=JSON_LINES)
    assert reply.status_code == 413
    assert (
        "33 images" in reply.get_json()["message"] and "MaxPayloadInMB" in reply.get_json()["hint"]
    )


def test_a_line_over_the_limit_of_one_request_is_a_bad_line(post: Post) -> None:
    body = encode_lines([GenerateRequest(seeds=[1] * 65), GenerateRequest(seeds=[1])])
    first, second = iter_replies([post(body, JSON_LINES).data])
    assert isinstance(first, InvocationError) and "65 images" in first.message
    assert isinstance(second, list)


@pytest.mark.parametrize("fields", [{"quality": 3}, {"layout": "animation"}])
def test_line_that_json_cannot_answer_is_a_bad_line(post: Post, fields: dict[str, object]) -> None:
    body = json.dumps({"seeds": [1, 2], **fields}).encode()
    (answer,) = iter_replies([post(body, JSON_LINES).data])
    assert isinstance(answer, InvocationError)


def test_replies_that_grow_over_the_limit_are_413(artifact: Artifact) -> None:
    """The reply is refused as soon as it is too large."""
    limits = ServingLimits(max_body_bytes=30_000)
    client = create_app(Synthesizer(artifact), limits=limits).test_client()
    body = encode_lines([GenerateRequest(seeds=[seed]) for seed in range(24)])
    reply = client.post("/invocations", data=body, content_type=JSON_LINES)
    assert reply.status_code == 413 and "lines at a time" in reply.get_json()["hint"]


def test_busy_model_refuses_all_lines(model: Synthesizer) -> None:
    """A transform job would store an error line as a result."""
    body = encode_lines([GenerateRequest(seeds=[1]), GenerateRequest(seeds=[2])])
    with pytest.raises(Overloaded):
        answer_all(body, served_by(model, failing(model, 0, Overloaded("Busy."))), ServingLimits())


@pytest.mark.parametrize(("accept", "status"), [
    (None, 200), ("*/*", 200), ("application/jsonl", 200), (JSON_LINES, 200), ("image/png", 406),
    (JSON, 406),
])  # fmt: skip
def test_lines_are_answered_in_lines_only(post: Post, accept: str | None, status: int) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert post(b'{"seeds": [1]}', "application/x-jsonlines", **headers).status_code == status


@given(body=st.binary(max_size=200))
def test_random_lines_never_cause_a_5xx(post: Post, body: bytes) -> None:
    assert post(body, JSON_LINES).status_code < 500


# --- boto3's streaming route --------------------------------------------------------------------


@given(piece=st.binary(max_size=300))
def test_botocore_reads_our_messages(piece: bytes) -> None:
    """botocore accepts the lengths, headers and checksums."""
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(b"".join(payload_parts([piece, piece])))
    messages = list(buffer)
    assert len(messages) == 2
    for message in messages:
        assert message.payload == piece
        assert message.headers[":event-type"] == "PayloadPart"


def test_boto3s_streaming_route_answers_in_messages(client: FlaskClient, post: Post) -> None:
    """One message per image; a header has the container's content type."""
    reply = client.post(
        "/endpoints/faces/invocations-response-stream",
        data=b'{"seeds": [1, 2, 3]}',
        content_type=JSON,
        headers={"X-Amzn-SageMaker-Accept": JSON_LINES},
    )
    assert reply.content_type == "application/vnd.amazon.eventstream"
    assert reply.headers["X-Amzn-SageMaker-Content-Type"] == JSON_LINES
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(reply.data)
    parts = [message.payload for message in buffer]
    assert len(parts) == 3
    assert b"".join(parts) == post(b'{"seeds": [1, 2, 3]}', Accept=JSON_LINES).data


def test_refusal_at_boto3s_streaming_route_has_its_status(client: FlaskClient) -> None:
    reply = client.post(
        "/endpoints/faces/invocations-response-stream", data=b"{}", content_type=JSON
    )
    assert reply.status_code == 400 and reply.get_json()["error"] == "RequestError"


def test_disconnect_ends_the_generation(model: Synthesizer) -> None:
    """The web server closes the stream; nothing more is generated, and no error is logged."""
    calls = SimpleNamespace(count=0)

    def draw(batch: InputBatch) -> Images:
        calls.count += 1
        return model.generate_batch(batch)

    lines = stream(plan_five(model, draw))
    next(lines)
    lines.close()
    assert calls.count == 1 and list(lines) == []
