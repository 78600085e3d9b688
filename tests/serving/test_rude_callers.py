"""Clients that stall, lie, flood or never close, against a real gunicorn: it keeps answering."""

import io
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from real_server import ONE, PING, Reply, Server, read_reply, refused, request, running

from facegan.serving.http.worker import BufferedWorker

MANY = 100  # callers at once; the server has 8 threads


@pytest.fixture(scope="module")
def server(model_dir: Path) -> Iterator[Server]:
    with running(model_dir) as started:
        yield started


STALLS = {
    "silent": b"",
    "a letter": b"P",
    "half a head": b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Ty",
    "half a body": request()[:-3],
    "no body": request(b"", Content_Length=100),
    "no body, expects 100": request(b"", Content_Length=100, Expect="100-continue"),
    "half a chunk": request(b"ff\r\n{", Content_Length="", Transfer_Encoding="chunked"),
    "no last chunk": request(b"2\r\n{}\r\n", Transfer_Encoding="chunked").replace(
        b"Content-Length: 7\r\n", b""
    ),
    "no body of 25 digits": request(b"", Content_Length="1" * 25),
    "a chunk of 25 digits": request(b"1" * 25 + b"\r\n", Transfer_Encoding="chunked").replace(
        b"Content-Length: 27\r\n", b""
    ),
    "an endless chunk extension": request(b"1;" + b"x" * 8000, Transfer_Encoding="chunked").replace(
        b"Content-Length: 8002\r\n", b""
    ),
    "an endless trailer": request(b"0\r\nX: " + b"x" * 8000, Transfer_Encoding="chunked").replace(
        b"Content-Length: 8006\r\n", b""
    ),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/0.9": b"GET /ping\r\n",
    "lines that end in LF": PING.replace(b"\r\n", b"\n"),
    "an endless header": b"GET /ping HTTP/1.1\r\nHost: " + b"x" * 3000,
    "a body far over the limit": request(b"", Content_Length=100_000_000),
    "answered, but does not hang up": PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "answered, and stays": PING,
}


@pytest.mark.parametrize("data", STALLS.values(), ids=STALLS)
def test_stalling_clients_block_nobody(server: Server, data: bytes) -> None:
    """With twelve times as many as there are threads, the next client is answered as if alone.

    gunicorn's own gthread answers neither /ping nor anyone else while they stay.
    """
    with ExitStack() as stack:
        callers = [stack.enter_context(server.connect()) for _ in range(MANY)]
        for caller in callers:
            caller.sendall(data)
        time.sleep(0.2)
        assert max(server.ping() for _ in range(5)) < 1
        assert server.send(request()).status == 200


def test_stalling_clients_get_408_and_are_closed(server: Server) -> None:
    """All at the same time, as each takes 2 s; a silent client gets no reply."""
    names = ["half a head", "half a body", "half a chunk", "no last chunk", "HTTP/0.9"]
    names += ["an endless chunk extension", "an endless trailer"]
    with server.connect() as silent, ThreadPoolExecutor(len(names)) as callers:
        for reply in callers.map(server.send, [STALLS[name] for name in names]):
            assert refused(reply, 400, 408)["error"] in ("RequestTimeout", "BadRequest")
            assert re.search("^X-Request-Id: [0-9a-f]{32}\r$", reply.head, re.M)
            assert "Connection: close" in reply.head
        assert silent.recv(1) == b""


def test_trickling_client_is_cut_off(server: Server) -> None:
    """It sends a byte every 0.1 s, which does not extend its time."""
    started = time.monotonic()
    with server.connect() as connection, pytest.raises(OSError):
        for byte in request(b" " * 1000):
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
            assert time.monotonic() - started < 15
    assert time.monotonic() - started < 10


def test_hundred_trickling_clients_are_cut_off_together(server: Server) -> None:
    """A byte every 0.2 s does not extend their time; meanwhile the next client is answered."""
    head = request(b"", Content_Length=1_000_000)
    started = time.monotonic()
    with ExitStack() as stack:
        callers = [stack.enter_context(server.connect()) for _ in range(MANY)]
        for caller in callers:
            caller.sendall(head)
        while time.monotonic() - started < 3.5:
            assert server.ping() < 1
            for caller in callers:
                with suppress(OSError):
                    caller.send(b" ")
            time.sleep(0.2)
        assert server.send(request()).status == 200
        for caller in callers:
            with suppress(ConnectionResetError):  # some bytes came after its end
                assert read_reply(caller).status == 408


@pytest.mark.parametrize("kind", ["application/json", "text/csv", "application/jsonlines"])
def test_pings_are_answered_while_megabytes_are_posted(server: Server, kind: str) -> None:
    """Sixteen at a time, for a second; benchmarks/bench_bodies.py measures it apart."""
    data = request(b'{"latents": [[0.1]]}' + b" " * 6_000_000, kind)
    until = time.monotonic() + 1

    def post() -> set[int]:
        statuses = set()
        while time.monotonic() < until:
            statuses.add(server.send(data).status)
        return statuses

    with ThreadPoolExecutor(16) as callers:
        posts = [callers.submit(post) for _ in range(16)]
        while time.monotonic() < until:
            assert server.ping() < 1
        assert set().union(*(x.result() for x in posts)) <= {400, 413, 429}


def test_a_body_that_ends_half_way_is_400(server: Server) -> None:
    refused(server.send(STALLS["half a body"], half_close=True), 400)


def test_body_longer_than_its_length_is_followed_by_an_invalid_request(
    server: Server,
) -> None:
    data = request(ONE + b"garbage\r\n\r\n", Content_Length=len(ONE))
    with server.connect() as connection:
        connection.sendall(data)
        stream = connection.makefile("rb")
        answer = b"".join(iter(lambda: stream.read(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 400" in answer


def test_two_requests_at_once_get_two_replies_in_order(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(PING + request(Accept="application/x-npy") + request(b"{"))
        replies = [Reply(*read_exactly(connection)) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 400]
    assert replies[1].body.startswith(b"\x93NUMPY")


def read_exactly(connection: socket.socket) -> tuple[int, str, bytes]:
    """One reply and not a byte more, so that the next can be read from the same connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = re.search(rb"Content-Length: (\d+)", head, re.I)
    body = b""
    while length and len(body) < int(length[1]):
        body += connection.recv(int(length[1]) - len(body))
    return int(head.split()[1]), head.decode("latin-1"), body


def test_expect_100_continue_is_answered(server: Server) -> None:
    """curl holds a large body back until then."""
    head, _, body = request(Expect="100-continue").partition(b"\r\n\r\n")
    with server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        status, *_ = read_exactly(connection)
        while status == 100:  # gunicorn says it once more
            status, *_ = read_exactly(connection)
        assert status == 200


def test_a_body_of_100_mb_is_refused_by_its_length(server: Server) -> None:
    """The server neither waits for it nor stores any of it."""
    before = server.memory_mb()
    error = refused(server.send(request(b" " * 1000, Content_Length=100_000_000)), 413)
    assert "6,291,456" in error["message"]
    assert server.memory_mb() - before < 20


def test_100_mb_in_chunks_are_refused_and_not_kept(server: Server) -> None:
    before = server.memory_mb()
    head = request(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
    block = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with server.connect() as connection:
        connection.sendall(head)
        try:
            for _ in range(100):
                connection.sendall(block)
        except OSError:
            return  # closed, after 32 MB that were read and dropped
        refused(read_reply(connection), 413)
    assert server.memory_mb() - before < 40


def test_clients_that_do_not_read_do_not_delay_pings(server: Server) -> None:
    """Each requests 190 KB again and again, and reads none of it."""
    seeds = json.dumps({"seeds": [1] * 64}).encode()
    asks = request(seeds, Accept="application/x-npy") * 60
    with ExitStack() as stack:
        for _ in range(20):
            caller = stack.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", server.port))
            caller.settimeout(0.05)
            with suppress(TimeoutError):
                caller.sendall(asks)
        time.sleep(1)
        assert max(server.ping() for _ in range(5)) < 1


def test_more_connections_than_files_may_be_open(model_dir: Path) -> None:
    """With 300 idle clients and 200 file descriptors, idle connections are closed for new ones."""
    with running(model_dir, open_files=200) as server, ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(server.connect())
        assert max(server.ping() for _ in range(5)) < 2
        assert server.send(request()).status == 200


def npy(array: np.ndarray) -> bytes:
    """Encode an array as a .npy body; objects are pickled."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


NPY = "application/x-npy"
LIE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (%s,16), }"
WRONG = {
    "deep": (b'{"seeds": ' + b"[" * 500_000, "application/json"),
    "deep objects": (b'{"a":' * 500_000, "application/json"),
    "NaN": (b'{"seeds": [NaN]}', "application/json"),
    "infinite": (b'{"latents": [[1e999]]}', "application/json"),
    "huge number": (b'{"seeds": [' + b"9" * 100_000 + b"]}", "application/json"),
    "huge n": (json.dumps({"seeds": [1] * 500_000}).encode(), "application/json"),
    "huge csv": (b"1\n" * 2_000_000, "text/csv"),
    "surrogates": (b'{"\\ud800": 1}', "application/json"),
    "objects": (npy(np.array([{}, []], dtype=object)), NPY),
    "a lying header": (LIE % b"99999999999" + b"\0" * 64, NPY),
    "a negative shape": (LIE % b"-1" + b"\0" * 64, NPY),
    "a calling header": (LIE % b"__import__('os')" + b"\0" * 64, NPY),
    "a deep header": (b"\x93NUMPY\x02\x00\x00\x00\x01\x00" + b"(" * 65536, NPY),
}


@pytest.mark.parametrize(("body", "content_type"), WRONG.values(), ids=WRONG)
def test_hostile_bodies_are_refused_soon(server: Server, body: bytes, content_type: str) -> None:
    started = time.monotonic()
    refused(server.send(request(body, content_type)), 400, 413)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("line", [
    b"X-Request-Id: a\rSet-Cookie: b", b"X-Request-Id: a\n\tSet-Cookie: b", b"X-Request-Id: a\0b",
    b"X-Amzn-SageMaker-Custom-Attributes: a\r\n Set-Cookie: b", b"Set-Cookie\r\n: b", b": b",
    b"X-Request-Id: \x1b[31m", b"Content-Length: 5\r\nContent-Length: 6", b"Host: y",
    b"X-Amzn-SageMaker-Custom-Attributes: \xff\xfe",
])  # fmt: skip
def test_a_header_cannot_make_another_header(server: Server, line: bytes) -> None:
    """The request is refused, or answered without the injected header."""
    head, _, body = request().partition(b"\r\n\r\n")
    reply = server.send(head + b"\r\n" + line + b"\r\n\r\n" + body)
    assert reply.status in (200, 400)
    assert not re.search("set-cookie|[^ -~\r\n]", reply.head, re.I), reply.head


METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"PRI", b"get", b"\xff"])
PATHS = st.sampled_from([
    b"/ping", b"/invocations", b"/", b"/endpoints/a%2fb/invocations", b"/metrics", b"/%00", b"*",
    b"http://x/ping", b"//ping", b"/../ping", b"/models/..%2f..%2fetc", b"/openapi.json?a=%zz", b"",
]) | st.binary(max_size=20)  # fmt: skip
HEADERS = st.sampled_from([
    b"Host: x", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 1e3",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Expect: 100-continue",
    b"Expect: x", b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Accept: ,;q=",
    b"Content-Type: application/json", b"Content-Type: application/x-npy", b"Range: bytes=0-1",
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", b"X-Forwarded-Proto: https", b"Cookie: \xff=;=",
]) | st.binary(max_size=30)  # fmt: skip
BODIES = st.sampled_from([b"", ONE, b"5\r\n{}   \r\n0\r\n\r\n", b"0\r\na: b\r\n\r\n"]) | st.binary(
    max_size=60
)


@settings(max_examples=int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "50")))
@given(
    method=METHODS, path=PATHS, version=st.sampled_from([b"1.1", b"1.0", b"2", b"9.9", b""]),
    headers=st.lists(HEADERS, max_size=5), body=BODIES,
)  # fmt: skip
@example(method=b"POST", path=b"/", version=b"1.1", headers=[b"Transfer-Encoding: gzip"], body=b"")
def test_mangled_bytes_never_cause_a_5xx(
    server: Server, method: bytes, path: bytes, version: bytes, headers: list[bytes], body: bytes
) -> None:
    """A mangled request soon gets a status below 500, or its connection is closed."""
    lines = [method + b" " + path + b" HTTP/" + version, *headers, b"", body]
    started = time.monotonic()
    try:
        reply = server.send(b"\r\n".join(lines), half_close=True)
    except ConnectionError:
        reply = Reply(0, "", b"")
    assert reply.status < 500
    assert time.monotonic() - started < 5


def test_signal_while_a_request_is_dispatched_ends_the_worker() -> None:
    """The interrupted code holds the pool's lock, for which gthread waits for ever."""
    worker = BufferedWorker.__new__(BufferedWorker)
    worker.tpool = ThreadPoolExecutor(1)
    worker.cfg = SimpleNamespace(worker_int=lambda _: None)
    ended = threading.Event()

    def quit_worker() -> None:
        with pytest.raises(SystemExit):
            worker.handle_quit(signal.SIGQUIT, None)
        ended.set()

    with worker.tpool._shutdown_lock:
        threading.Thread(target=quit_worker, daemon=True).start()
        assert ended.wait(10)


def test_attacks_leak_no_memory(server: Server) -> None:
    """Ten rounds of every quick attack, after one that may fill caches."""

    def be_rude() -> None:
        for data in STALLS.values():
            with server.connect() as connection:
                connection.sendall(data)
        for body, content_type in WRONG.values():
            server.send(request(body, content_type))

    be_rude()
    before = server.memory_mb()
    for _ in range(10):
        be_rude()
    server.ping()
    assert server.memory_mb() - before < 60
