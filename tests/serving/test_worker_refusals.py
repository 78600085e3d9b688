"""What the worker refuses without a thread is named like every other request, in reply and log."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.serving.gathering import GatheringSocket
from facegan.serving.refusals import (
    ENDING,
    NOT_HTTP,
    OVERLOADED,
    TOO_SLOW,
    Refusal,
    encode_refusal,
    headers_of,
)
from facegan.serving.telemetry import install_telemetry
from facegan.serving.telemetry.logs import REQUEST_ID, REQUESTS, JsonFormatter
from facegan.serving.worker import PatientWorker

CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
HEAD = "POST /invocations HTTP/1.1\r\nHost: x\r\n{}\r\nContent-Length: 0\r\n\r\n"


@dataclass(eq=False)
class Connection:
    """What the worker knows of a caller."""

    sock: GatheringSocket


class Caught(logging.Handler):
    """Request lines as the container writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def caught() -> Iterator[Caught]:
    handler, log = Caught(), logging.getLogger(REQUESTS)
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    log.setLevel(before)


def worker_of_an_app() -> PatientWorker:
    """A worker that has loaded an app, without gunicorn around it."""
    worker = PatientWorker.__new__(PatientWorker)
    worker.telemetry = install_telemetry(flask.Flask("x"))
    worker.waiting, worker.alive = {}, True
    worker.log = logging.getLogger("test")
    worker.keep = worker.linger = lambda conn: None
    return worker


def reply_to(head: bytes, refusal: Refusal) -> str:
    """What a caller with a request's head gets when it is refused."""
    ours, theirs = socket.socketpair()
    with theirs, GatheringSocket(ours, 1.0) as sock:
        sock.setblocking(False)
        theirs.sendall(head)
        sock.gather(1000)
        worker_of_an_app().refuse(Connection(sock), refusal)
        return theirs.recv(65536).decode("latin-1")


@pytest.mark.parametrize("refusal", [OVERLOADED, TOO_SLOW, ENDING])
def test_a_refusal_has_the_callers_id_in_reply_and_log(caught: Caught, refusal: Refusal) -> None:
    head = HEAD.format(f"x-request-ID:  mine-1 \r\n{CUSTOM}: a=1").encode()
    before = REQUEST_ID.get()
    reply = reply_to(head, refusal)
    assert "X-Request-Id: mine-1\r\n" in reply and f"{CUSTOM}: a=1\r\n" in reply
    assert reply.startswith(f"HTTP/1.1 {refusal.code} ")
    assert set(json.loads(reply.partition("\r\n\r\n")[2])) == {"error", "message", "hint"}
    (line,) = caught.lines
    assert (line["request_id"], line["status"]) == ("mine-1", refusal.code)
    assert REQUEST_ID.get() == before, "the next line is another request's"


@pytest.mark.parametrize("head", [b"GET /ping HT", b"\0\xff", HEAD.format("A: b").encode()])
def test_who_sent_no_id_gets_a_new_one_that_the_log_has(caught: Caught, head: bytes) -> None:
    """Also where the head is not there to its end."""
    told = [re.search(r"X-Request-Id: (\w{32})\r\n", reply_to(head, TOO_SLOW)) for _ in range(2)]
    assert [match[1] for match in told if match] == [line["request_id"] for line in caught.lines]
    assert len({line["request_id"] for line in caught.lines}) == 2


def test_what_gunicorn_itself_refuses_is_named_too(caught: Caught) -> None:
    """It parses the head that was gathered, in a thread."""
    from gunicorn.http.errors import InvalidHeader

    sent: list[bytes] = []
    client = SimpleNamespace(head=HEAD.format("X-Request-Id: a7").encode(), sendall=sent.append)
    worker = worker_of_an_app()
    worker.handle_error(None, client, ("x", 1), InvalidHeader("x"))
    assert b"X-Request-Id: a7\r\n" in sent[0] and caught.lines[0]["request_id"] == "a7"


@given(head=st.binary(max_size=80), value=st.binary(max_size=40))
def test_no_head_can_make_another_header(head: bytes, value: bytes) -> None:
    """Whatever is in it: two or fewer headers come of it, each on one line, of visible ASCII."""
    asked = head + b"\r\nX-Request-Id:" + value + b"\r\n" + CUSTOM.encode() + b":" + value + b"\r\n"
    headers = headers_of(asked)
    assert set(headers) <= {"X-Request-Id", CUSTOM}
    plain = encode_refusal(NOT_HTTP, True, {})
    named = encode_refusal(NOT_HTTP, True, headers)
    assert named.count(b"\r\n") == plain.count(b"\r\n") + len(headers)
    assert named.isascii() and all(x >= 32 or x in b"\r\n" for x in named)
