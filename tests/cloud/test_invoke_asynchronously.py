"""An asynchronous endpoint, played by a table: request and answer lie in S3."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_aws import FakeAws

from facegan.cli.__main__ import facegan, run_safely
from facegan.client import FaceClient
from facegan.cloud import aws as aws_room
from facegan.cloud.calls import Call
from facegan.cloud.invoke_asynchronously import AsynchronousTransport
from facegan.errors import CloudError, ConfigError, InvocationError
from facegan.wire import NPY, Provenance, decode_request, encode_reply

OUTPUT, FAILURE = "s3://bucket/out/1.out", "s3://bucket/out/failures/1.out"


class Queue(FakeAws):
    """S3 in memory, and an endpoint that draws when it was looked for three times."""

    def __init__(self, failure: bytes = b"", never: bool = False, after: int = 3) -> None:
        super().__init__()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.failure, self.never, self.after, self.looks = failure, never, after, 0
        self.answers = {
            "PutObject": self.put, "GetObject": self.get, "DeleteObject": self.delete,
            "InvokeEndpointAsync": {"OutputLocation": OUTPUT, "FailureLocation": FAILURE},
        }  # fmt: skip

    def put(self, call: Call) -> Any:
        self.objects[call.on] = (call.request["Body"], call.request["ContentType"])
        return {}

    def get(self, call: Call) -> Any:
        self.looks += 1
        if self.looks == self.after + 1 and not self.never:
            self.draw()
        if call.on not in self.objects:
            return CloudError("not there.", "", "NoSuchKey")
        body, kind = self.objects[call.on]
        return {"Body": io.BytesIO(body), "ContentType": kind}

    def draw(self) -> None:
        if self.failure:
            self.objects[FAILURE] = (self.failure, "text/plain")
            return
        (asked,) = [it.request for it in self.calls if it.action == "InvokeEndpointAsync"]
        body, kind = self.objects[asked["InputLocation"]]
        request = decode_request(body, kind)
        images = np.stack([np.full((4, 4, 3), seed, np.uint8) for seed in request.seeds or []])
        origin = Provenance.of_request(request, CARD)
        answer = encode_reply(images, request, asked["Accept"], origin)
        self.objects[OUTPUT] = (answer, "binary/octet-stream")

    def delete(self, call: Call) -> Any:
        self.objects.pop(call.on, None)
        return {}


class CARD:
    weights_sha256, family, preset = "ab", "plain", "square"


def transport(queue: Queue, **more: Any) -> AsynchronousTransport:
    slept: list[float] = more.setdefault("slept", [])
    del more["slept"]
    return AsynchronousTransport(
        queue,  # type: ignore[arg-type]
        "slow",
        "s3://bucket/in/",
        sleep=slept.append,
        clock=lambda: sum(slept),
        **more,
    )


def test_faces_come_through_s3_and_nothing_stays_there() -> None:
    queue = Queue()
    faces = FaceClient(transport(queue)).generate([7, 9])
    assert faces[:, 0, 0, 0].tolist() == [7, 9]
    assert queue.objects == {}
    (asked,) = [call.request for call in queue.calls if call.action == "InvokeEndpointAsync"]
    assert asked["EndpointName"] == "slow" and asked["Accept"] == NPY
    assert asked["InputLocation"].startswith("s3://bucket/in/")


def test_the_containers_own_refusal_is_told_as_any_other() -> None:
    body = json.dumps({"error": "RequestError", "message": "No such seed.", "hint": "Take 7."})
    said = f'Received client error (400) from model with message "{body}". See https://x for more.'
    queue = Queue(said.encode())
    with pytest.raises(InvocationError, match=r"400 Bad Request: No such seed\. Take 7"):
        FaceClient(transport(queue)).generate([7])
    assert queue.objects == {}


def test_a_failure_without_a_status_is_told_as_it_is() -> None:
    queue = Queue(b"The request expired in the queue.")
    with pytest.raises(InvocationError, match=r"500 .*The request expired in the queue"):
        FaceClient(transport(queue)).generate([7])


def test_an_answer_that_does_not_come_names_where_it_would() -> None:
    slept: list[float] = []
    with pytest.raises(InvocationError, match=rf"no answer in 60 seconds.*{OUTPUT}.*--timeout"):
        FaceClient(transport(Queue(never=True), timeout_seconds=60, slept=slept)).generate([7])
    assert slept[0] == 0.5 and max(slept) == 10.0


def test_a_request_that_is_not_taken_is_taken_out_of_s3_again() -> None:
    queue = Queue()
    queue.answers["InvokeEndpointAsync"] = CloudError("no such endpoint.")
    with pytest.raises(CloudError, match="no such endpoint"):
        FaceClient(transport(queue)).generate([7])
    assert queue.objects == {}


def test_an_interrupt_says_where_the_answer_will_be() -> None:
    told: list[str] = []
    queue = Queue()
    queue.answers["GetObject"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        FaceClient(transport(queue, say=told.append)).generate([7])
    assert told[-1] == f"The request goes on; its answer will be {OUTPUT}."


def test_an_answer_that_may_not_be_looked_for_says_what_that_takes() -> None:
    queue = Queue()
    queue.answers["GetObject"] = CloudError("denied.", "Ask.", "AccessDenied")
    with pytest.raises(CloudError, match="s3:ListBucket"):
        FaceClient(transport(queue)).generate([7])


def test_what_may_not_be_deleted_is_named() -> None:
    told: list[str] = []
    queue = Queue()
    queue.answers["DeleteObject"] = CloudError("denied.")
    FaceClient(transport(queue, say=told.append)).generate([7])
    assert [line.partition(" ")[2] for line in told[1:]] == ["stays: denied."] * 2


def test_a_place_that_is_not_in_s3_is_refused() -> None:
    with pytest.raises(ConfigError, match="input is '/tmp'"):
        AsynchronousTransport(Queue(), "slow", "/tmp")  # type: ignore[arg-type]


def invoke(*words: object) -> int:
    return run_safely(facegan, ["invoke", "--endpoint", "slow", *map(str, words)])


def test_the_command_takes_the_bucket_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(after=0)
    monkeypatch.setattr(aws_room, "Aws", lambda *_: queue)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facegan.toml").write_text('[cloud]\nbucket = "b"\nproject = "p"\n')
    assert invoke("--asynchronous", "--seeds", "3", "--out", "faces.npy") == 0
    assert (tmp_path / "faces.npy").exists()
    (put,) = [call for call in queue.calls if call.action == "PutObject"]
    assert put.on.startswith("s3://b/p/requests/")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--asynchronous"], "Pass an S3 prefix for the request: --input"),
        (["--asynchronous", "--endpoint-url", "http://localhost:1"], "cannot be combined with"),
        (["--asynchronous", "--target-model", "a.tar.gz"], "cannot be combined with"),
        (["--timeout", 5], "--input and --timeout go with --asynchronous"),
        (["--stream"], "--stream writes one file per image"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[object],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(*words, "--seeds", "3", "--out", "faces.npy") == 2
    assert told in capsys.readouterr().err
