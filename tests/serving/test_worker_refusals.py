"""Requests that the worker refuses without a thread have ids in replies and logs, as all have."""

import itertools
import json
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import flask
import gunicorn
import pytest
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from facegan.serving.http.buffered_socket import BufferedSocket
from facegan.serving.http.gunicorn_settings import gunicorn_settings
from facegan.serving.http.head import headers_of, parse_head
from facegan.serving.http.refusals import (
    BAD_REQUEST,
    DRAINING,
    OVERLOADED,
    TOO_SLOW,
    Refusal,
    Refused,
    encode_refusal,
)
from facegan.serving.http.worker import BufferedWorker
from facegan.serving.telemetry.logs import REQUEST_ID, REQUESTS, JsonFormatter
from facegan.serving.telemetry.requests import install_telemetry

TESTED = (27, 0)  # gunicorn's version, its first two numbers
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
HEAD = "POST /invocations HTTP/1.1\r\nHost: x\r\n{}\r\nContent-Length: 0\r\n\r\n"


@dataclass(eq=False)
class Connection:
    """A connection, as the worker has it."""

    sock: BufferedSocket


class Caught(logging.Handler):
    """Collects request lines as the container writes them."""

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


def settings() -> Config:
    """Return gunicorn's settings as the server has them."""
    config = Config()
    for name, value in gunicorn_settings("127.0.0.1", 8080, 8).items():
        config.set(name, value)
    return config


SETTINGS = settings()


def head_of(data: bytes) -> Any:
    return parse_head(data, SETTINGS, ("127.0.0.1", 1))


def worker_of_an_app() -> BufferedWorker:
    """A worker that has loaded an app, without gunicorn around it."""
    worker = BufferedWorker.__new__(BufferedWorker)
    worker.telemetry = install_telemetry(flask.Flask("x"))
    worker.reading, worker.alive, worker.cfg = {}, True, SETTINGS
    worker.log = logging.getLogger("test")
    worker.keep = worker.linger = lambda conn: None
    return worker


def reply_to(head: bytes, refusal: Refusal) -> str:
    """Return the reply to a refused request with this head."""
    ours, theirs = socket.socketpair()
    with theirs, BufferedSocket(ours, 1.0, head_of) as sock:
        sock.setblocking(False)
        theirs.sendall(head)
        sock.read_available(1000)
        worker_of_an_app().refuse(Connection(sock), refusal)
        return theirs.recv(65536).decode("latin-1")


@pytest.mark.parametrize("refusal", [OVERLOADED, TOO_SLOW, DRAINING])
def test_refusal_has_the_clients_id_in_reply_and_log(caught: Caught, refusal: Refusal) -> None:
    head = HEAD.format(f"x-request-ID:  mine-1 \r\n{CUSTOM}: a=1").encode()
    before = REQUEST_ID.get()
    reply = reply_to(head, refusal)
    assert "X-Request-Id: mine-1\r\n" in reply and f"{CUSTOM}: a=1\r\n" in reply
    assert reply.startswith(f"HTTP/1.1 {refusal.code} ")
    assert set(json.loads(reply.partition("\r\n\r\n")[2])) == {"error", "message", "hint"}
    (line,) = caught.lines
    assert (line["request_id"], line["status"]) == ("mine-1", refusal.code)
    assert REQUEST_ID.get() == before, "the next line is another request's"


@pytest.mark.parametrize("head", [b"GET /ping HT", b"", HEAD.format("A: b").encode()])
def test_missing_id_is_generated_and_logged(caught: Caught, head: bytes) -> None:
    """Also if the head is incomplete."""
    matches = [re.search(r"X-Request-Id: (\w{32})\r\n", reply_to(head, TOO_SLOW)) for _ in range(2)]
    assert [match[1] for match in matches if match] == [line["request_id"] for line in caught.lines]
    assert len({line["request_id"] for line in caught.lines}) == 2


def test_gunicorn_version_was_tested() -> None:
    """The worker builds on what gunicorn does not promise to keep: its parser's ``Request`` and
    ``set_body_reader``, ``_expected_100_continue``, ``CHUNK_EXT_RE``; gthread's ``handle_request``,
    ``keepalived_conns``, ``poller``, ``method_queue``, ``nr_conns``, ``_accepting`` and
    ``_cap_keepalive``. Where this fails, read what has changed in gunicorn/http/message.py and
    gunicorn/workers/gthread.py, run tests/serving and `make fuzz`, and raise the number.
    """
    assert gunicorn.version_info[:2] == TESTED


def test_request_that_fails_outside_the_app_is_500_with_an_id(caught: Caught) -> None:
    """For example if the middleware fails; the reply is never an HTML page."""
    ours, theirs = socket.socketpair()
    worker = worker_of_an_app()
    worker.wsgi = lambda environ, start_response: 1 / 0
    worker.nr, worker.max_requests, worker.keepalived_conns, worker.max_keepalived = 0, 9, [], 9
    with theirs, BufferedSocket(ours, 1.0, head_of) as sock:
        sock.setblocking(False)
        theirs.sendall(HEAD.format("X-Request-Id: a7").encode())
        assert sock.read_available(1000)
        conn = SimpleNamespace(sock=sock, client=("x", 1), server=("x", 1), cfg=SETTINGS)
        assert not worker.handle(conn)
        reply = theirs.recv(65536)
    assert reply.startswith(b"HTTP/1.1 500 ") and b"X-Request-Id: a7\r\n" in reply
    assert b"ZeroDivision" not in reply and caught.lines[0]["request_id"] == "a7"


@given(value=st.binary(max_size=40))
def test_head_cannot_inject_a_header(value: bytes) -> None:
    """Any head gives at most two headers, each on one line of visible ASCII."""
    asked = b"X-Request-Id:" + value + b"\r\n" + CUSTOM.encode() + b":" + value
    try:
        head = head_of(b"GET / HTTP/1.1\r\n" + asked + b"\r\n\r\n")
    except Refused:
        return
    headers = headers_of(head)
    assert set(headers) <= {"X-Request-Id", CUSTOM}
    plain = encode_refusal(BAD_REQUEST, True, {})
    named = encode_refusal(BAD_REQUEST, True, headers)
    assert named.count(b"\r\n") == plain.count(b"\r\n") + len(headers)
    assert named.isascii() and all(x >= 32 or x in b"\r\n" for x in named)


@given(data=st.binary(max_size=200))
def test_parser_accepts_a_head_or_refuses_it(data: bytes) -> None:
    """No other exception reaches the main loop."""
    try:
        head = head_of(data + b"\r\n\r\n")
    except Refused as refused:
        assert 400 <= refused.refusal.code < 500
    else:
        assert head.length >= 0 and head.path


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    ends=st.lists(st.sampled_from([b"", b";a", b' ; a = "b"', b";a;b=c"]), min_size=9, max_size=9),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_chunks_are_decoded_to_their_body(
    pieces: list[bytes], ends: list[bytes], cuts: list[int]
) -> None:
    """However they are split in transit; what follows is left for the next request."""
    chunks = [b"%x%b\r\n%b\r\n" % (len(x), end, x) for x, end in zip(pieces, ends, strict=False)]
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = b"".join([head, *chunks, b"0", ends[-1], b"\r\nX: y\r\n\r\n"])
    ours, theirs = socket.socketpair()
    with theirs, BufferedSocket(ours, 1.0, head_of) as sock:
        sock.setblocking(False)
        sent = is_whole = 0
        for cut in itertools.cycle(cuts):
            assert not is_whole and sent < len(data)
            theirs.sendall(data[sent : sent + cut])
            sent += cut
            is_whole = sock.read_available(10_000)
            if sent >= len(data):
                break
        assert is_whole and sock.request is not None
        assert sock.request.body.read() == b"".join(pieces) and not sock.buffer
        assert sock.request.header("CONTENT-LENGTH") == str(len(b"".join(pieces)))
