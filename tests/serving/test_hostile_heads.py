"""Ambiguous request heads: an idle and an overloaded server treat them the same.

What follows each head looks like a request to /ping, which is answered by any server: were it taken
for one, there would be a second reply.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_server import PING, Reply, Server, receive, running

from facegan.serving.http.head import MAX_HEAD_BYTES, check_beginning
from facegan.serving.http.refusals import Refused

SMUGGLED = PING
LAST_PING = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
N = str(len(SMUGGLED)).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)


class Row(NamedTuple):
    """A head's lines, the bytes after it, and the messages that are allowed in the reply."""

    lines: list[bytes]
    follows: bytes = SMUGGLED
    statuses: tuple[int, ...] = (400,)
    first_line: bytes = b"POST /invocations HTTP/1.1"

    @property
    def data(self) -> bytes:
        lines = [self.first_line, b"Host: x", b"Content-Type: application/json", *self.lines]
        return b"\r\n".join([*lines, b"", self.follows])


LENGTH = b"Content-Length: " + N
SERVED = {  # whole requests: answered (their body is no JSON) or 429, and the connection is kept
    "plain": Row([LENGTH]),
    "upper case": Row([b"CONTENT-LENGTH: " + N]),
    "no blank": Row([b"Content-Length:" + N]),
    "blanks around the number": Row([b"Content-Length: \t " + N + b" \t"]),
    "leading zeros": Row([b"Content-Length: " + N.zfill(19)]),
    "thirty leading zeros": Row([b"Content-Length: " + N.zfill(30)]),
    "chunked": Row([b"Transfer-Encoding: chunked"], CHUNKED),
    "Chunked": Row([b"Transfer-Encoding:\tChunked "], CHUNKED),
    "chunked, extensions and a trailer": Row(
        [b"Transfer-Encoding: chunked", b"Trailer: X-Sum"],
        b'4 ;a=b;c="d;\\"e"\r\nGET \r\n0;last\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n',
    ),
    "an empty line before it": Row([LENGTH], first_line=b"\r\nPOST /invocations HTTP/1.1"),
    "an underscore beside the true name": Row([LENGTH, b"Content_Length: 0"]),
    "another header that has it in its name": Row([LENGTH, b"X-Content-Length: 0"]),
    "another header that has it in its value": Row([LENGTH, b"X: Content-Length: 0"]),
}
TWICE = {  # no body, whatever another header is like: what follows is the next request
    "none": Row([], statuses=(400, 415)),
    "an underscore": Row([b"Content_Length: " + N]),
    "an underscore in Transfer-Encoding": Row([b"Transfer_Encoding: chunked"]),
    "nothing": Row([b"Content-Length: 0"]),
}
CLOSED = {
    "a blank before the colon": Row([b"Content-Length : " + N]),
    "a tab before the colon": Row([b"Content-Length\t: " + N]),
    "a blank before the name": Row([b" Content-Length: " + N]),
    "a vertical tab before the colon": Row([b"Content-Length\x0b: " + N]),
    "plus": Row([b"Content-Length: +" + N]),
    "minus": Row([b"Content-Length: -" + N]),
    "minus nothing": Row([b"Content-Length: -0"]),
    "hexadecimal": Row([b"Content-Length: 0x%x" % len(SMUGGLED)]),
    "a point": Row([b"Content-Length: " + N + b".0"]),
    "an exponent": Row([b"Content-Length: 1e1"]),
    "underscores in the number": Row([b"Content-Length: " + b"_".join([N[:1], N[1:]])]),
    "a blank in the number": Row([b"Content-Length: " + b" ".join([N[:1], N[1:]])]),
    "superscript digits": Row(["Content-Length: ²".encode("latin-1")]),
    "digits of another script": Row(["Content-Length: ٣".encode()]),
    "no number": Row([b"Content-Length:"]),
    "a list": Row([b"Content-Length: " + N + b", " + N]),
    "a list with a gap": Row([b"Content-Length: " + N + b","]),
    "a number and more": Row([LENGTH + b";x"]),
    "quoted": Row([b'Content-Length: "' + N + b'"']),
    "20 digits": Row([b"Content-Length: 1" + b"0" * 19], statuses=(400, 413)),
    "25 digits": Row([b"Content-Length: " + b"9" * 25], statuses=(400, 413)),
    "5,000 digits": Row([b"Content-Length: " + b"9" * 5000], statuses=(400, 413)),
    "9,000 digits": Row([b"Content-Length: " + b"9" * 9000], statuses=(400, 413, 431)),
    "beyond 64 bits": Row([b"Content-Length: 18446744073709551617"], statuses=(400, 413)),
    "over the limit": Row([b"Content-Length: 7000000"], statuses=(413,)),
    "bare LF": Row([b"X: a\n" + LENGTH]),
    "bare CR": Row([b"X: a\r" + LENGTH]),
    "bare LF at the end of the line": Row([b"X: a\n", LENGTH]),
    "CR CR LF": Row([b"X: a\r", LENGTH]),
    "LF alone": Row([LENGTH], first_line=b"POST /invocations HTTP/1.1\nX: a"),
    "a head of LFs": Row([], first_line=b"POST /invocations HTTP/1.1\n" + LENGTH + b"\n\n"),
    "folded": Row([b"X: a\r\n " + LENGTH]),
    "folded by a tab": Row([b"X: a\r\n\t" + LENGTH]),
    "a folded value": Row([b"Content-Length:\r\n " + N]),
    "a fold in the first header": Row([LENGTH], first_line=b"POST /invocations HTTP/1.1\r\n X: a"),
    "twice, 0 first": Row([b"Content-Length: 0", LENGTH]),
    "twice, 0 last": Row([LENGTH, b"Content-Length: 0"]),
    "twice, equal": Row([LENGTH, LENGTH]),
    "twice, in two cases": Row([LENGTH, LENGTH.lower()]),
    "chunked with a blank": Row([b"Transfer-Encoding : chunked"], CHUNKED),
    "chunked behind a bare LF": Row([b"X: a\nTransfer-Encoding: chunked"], CHUNKED),
    "chunked behind a fold": Row([b"X: a\r\n Transfer-Encoding: chunked"], CHUNKED),
    "chunked and a length": Row([b"Transfer-Encoding: chunked", LENGTH], CHUNKED),
    "a length and chunked": Row([LENGTH, b"Transfer-Encoding: chunked"], CHUNKED),
    "chunked and 0": Row([b"Transfer-Encoding: chunked", b"Content-Length: 0"], CHUNKED),
    "identity": Row([b"Transfer-Encoding: identity", LENGTH]),
    "identity alone": Row([b"Transfer-Encoding: identity"]),
    "identity, chunked": Row([b"Transfer-Encoding: identity, chunked"], CHUNKED),
    "gzip, chunked": Row([b"Transfer-Encoding: gzip, chunked"], CHUNKED),
    "gzip and chunked in two lines": Row(
        [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], CHUNKED
    ),
    "gzip": Row([b"Transfer-Encoding: gzip"]),
    "xchunked": Row([b"Transfer-Encoding: xchunked"], CHUNKED),
    "chunked;x": Row([b"Transfer-Encoding: chunked;x=y"], CHUNKED),
    "quoted chunked": Row([b'Transfer-Encoding: "chunked"'], CHUNKED),
    "chunked with a vertical tab": Row([b"Transfer-Encoding: \x0bchunked"], CHUNKED),
    "chunked twice": Row([b"Transfer-Encoding: chunked, chunked"], CHUNKED),
    "chunked in two lines": Row([b"Transfer-Encoding: chunked"] * 2, CHUNKED),
    "chunked, and nothing": Row([b"Transfer-Encoding: chunked,"], CHUNKED),
    "an empty Transfer-Encoding": Row([b"Transfer-Encoding:", LENGTH]),
    "chunked in HTTP/1.0": Row(
        [b"Transfer-Encoding: chunked"], CHUNKED, first_line=b"POST /invocations HTTP/1.0"
    ),
    "NUL in a value": Row([b"X: a\0b", LENGTH]),
    "NUL in a name": Row([b"X\0: a", LENGTH]),
    "NUL in the length": Row([LENGTH + b"\0"]),
    "another control byte": Row([b"X: \x08", LENGTH]),
    "DEL in a value": Row([b"X: \x7f", LENGTH]),
    "a name of blanks": Row([b"  : a", LENGTH]),
    "no name": Row([b": a", LENGTH]),
    "no colon": Row([b"Content-Length " + N]),
    "a name in UTF-8": Row(["Contént-Length: 1".encode(), LENGTH]),
    "a name in brackets": Row([b"(X): a", LENGTH]),
    "two Hosts": Row([b"Host: y", LENGTH]),
    "two content types": Row([b"Content-Type: text/csv", LENGTH]),
    "another expectation": Row([LENGTH, b"Expect: 200-ok"], statuses=(417,)),
    "a chunk's size with a sign": Row([b"Transfer-Encoding: chunked"], b"+4\r\nGET \r\n" + CHUNKED),
    "a chunk's size with a blank": Row([b"Transfer-Encoding: chunked"], b" 4\r\nGET \r\n"),
    "a chunk's size with 0x": Row([b"Transfer-Encoding: chunked"], b"0x4\r\nGET \r\n" + CHUNKED),
    "a chunk's size with _": Row([b"Transfer-Encoding: chunked"], b"0_4\r\nGET \r\n" + CHUNKED),
    "a chunk of no size": Row([b"Transfer-Encoding: chunked"], b"\r\n" + CHUNKED),
    "a chunk of an endless size": Row(
        [b"Transfer-Encoding: chunked"], b"f" * 25 + b"\r\n" + SMUGGLED, (400, 413)
    ),
    "a chunk too large": Row([b"Transfer-Encoding: chunked"], b"ffffff\r\n" + SMUGGLED, (413,)),
    "a chunk longer than it says": Row([b"Transfer-Encoding: chunked"], b"2\r\nGET \r\n" + CHUNKED),
    "a chunk that ends in LF": Row([b"Transfer-Encoding: chunked"], b"4\r\nGET \n0\r\n\r\n"),
    "a chunk's size that ends in LF": Row([b"Transfer-Encoding: chunked"], b"4\nGET \r\n"),
    "chunks framed by LFs alone": Row([b"Transfer-Encoding: chunked"], b"e\n{}\n0\n\n"),
    "a size, a CR and more": Row([b"Transfer-Encoding: chunked"], b"e\rx"),
    "a size with a NUL": Row([b"Transfer-Encoding: chunked"], b"e;a=\0"),
    "a trailer with a coding": Row(
        [b"Transfer-Encoding: chunked"], b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + PING
    ),
    "a chunk extension with a CR": Row([b"Transfer-Encoding: chunked"], b"4;a\rb\r\nGET \r\n"),
    "a chunk extension with an LF": Row(
        [b"Transfer-Encoding: chunked"], b"4;a\n\r\nGET \r\n" + CHUNKED
    ),
    "a trailer that is none": Row([b"Transfer-Encoding: chunked"], b"0\r\nno colon\r\n\r\n" + PING),
    "a trailer with a length": Row(
        [b"Transfer-Encoding: chunked"], b"0\r\nContent-Length: 5\r\n\r\n" + PING
    ),
    "a trailer with a bare LF": Row([b"Transfer-Encoding: chunked"], b"0\r\nX: a\nY: b\r\n\r\n"),
    "a version of another time": Row([LENGTH], first_line=b"POST /invocations HTTP/2.0"),
    "HTTP/1.10": Row([LENGTH], first_line=b"POST /invocations HTTP/1.10"),
    "http/1.1": Row([LENGTH], first_line=b"POST /invocations http/1.1"),
    "no version": Row([LENGTH], first_line=b"POST /invocations"),
    "two blanks in the line": Row([LENGTH], first_line=b"POST  /invocations HTTP/1.1"),
    "a tab in the line": Row([LENGTH], first_line=b"POST\t/invocations HTTP/1.1"),
    "a blank in the target": Row([LENGTH], first_line=b"POST /invo cations HTTP/1.1"),
    "a blank behind the line": Row([LENGTH], first_line=b"POST /invocations HTTP/1.1 "),
    "a blank before the line": Row([LENGTH], first_line=b" POST /invocations HTTP/1.1"),
    "two empty lines before it": Row([LENGTH], first_line=b"\r\n\r\nPOST /invocations HTTP/1.1"),
    "the preface of HTTP/2": Row(
        [], b"SM\r\n\r\n" + SMUGGLED, first_line=b"PRI * HTTP/2.0\r\n\r\nSM"
    ),
    "a target in UTF-8": Row([LENGTH], first_line="POST /invocatiöns HTTP/1.1".encode()),
    "a target of nothing": Row([LENGTH], first_line=b"POST  HTTP/1.1"),
    "an asterisk": Row([LENGTH], first_line=b"POST * HTTP/1.1"),
    "a long target": Row(
        [LENGTH], first_line=b"POST /" + b"a" * 9000 + b" HTTP/1.1", statuses=(414,)
    ),
    "a long header": Row([b"X: " + b"a" * 9000, LENGTH], statuses=(431,)),
    "many headers": Row([b"X: a"] * 200 + [LENGTH], statuses=(431,)),
    "a head of 100 KB": Row([b"X: " + b"a" * 8000] * 13 + [LENGTH], statuses=(431,)),
}  # fmt: skip


@pytest.fixture(scope="module")
def idle(model_dir: Path) -> Iterator[Server]:
    with running(model_dir) as started:
        yield started


@pytest.fixture(scope="module")
def overloaded(model_dir: Path) -> Iterator[Server]:
    with running(model_dir, IS_OVERLOADED="1") as started:
        yield started


@pytest.fixture(params=["idle", "overloaded"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def exchange(server: Server, data: bytes) -> tuple[list[Reply], bool]:
    with server.connect() as connection:
        connection.sendall(data)
        return receive(connection)


def is_ping(reply: Reply) -> bool:
    return reply.status == 200 and "text/plain" in reply.head


@pytest.mark.parametrize("row", SERVED.values(), ids=SERVED)
def test_complete_request_is_answered_and_its_body_is_not_another_request(
    server: Server, idle: Server, row: Row
) -> None:
    """A second request proves it: its reply comes next and closes the connection."""
    with server.connect() as connection:
        connection.sendall(row.data)
        first = connection.recv(65536)
        connection.sendall(LAST_PING)
        replies, is_closed = receive(connection)
    status = int(first.split()[1])
    assert status == (400 if server is idle else 429)
    assert first.endswith(b"}\n" if server is idle else b"}"), "one reply, and no more"
    if server is idle:
        assert json.loads(first.partition(b"\r\n\r\n")[2])["error"] == "RequestError"
    assert b"connection: close" not in first.lower()
    assert [is_ping(x) for x in replies] == [True] and is_closed


@pytest.mark.parametrize("row", TWICE.values(), ids=TWICE)
def test_without_a_length_there_is_no_body(server: Server, idle: Server, row: Row) -> None:
    """What follows is the next request; an overloaded server may close before it."""
    data = row.data.replace(
        SMUGGLED, SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    replies, is_closed = exchange(server, data)
    assert is_closed
    assert replies[0].status in ((400, 415) if server is idle else (429,))
    assert len(replies) == 1 or is_ping(replies[1])
    assert len(replies) == 2 or server is not idle


@pytest.mark.parametrize("row", CLOSED.values(), ids=CLOSED)
def test_ambiguous_request_is_refused_and_the_connection_closed(
    server: Server, idle: Server, row: Row
) -> None:
    replies, is_closed = exchange(server, row.data)
    assert len(replies) == 1, replies
    allowed = row.statuses if server is idle else (*row.statuses, 429)
    assert replies[0].status in allowed, replies[0]
    assert set(json.loads(replies[0].body)) == {"error", "message", "hint"}
    assert "Connection: close" in replies[0].head and is_closed


def test_a_refused_expectation_names_its_header(idle: Server) -> None:
    (reply,), _ = exchange(idle, CLOSED["another expectation"].data)
    assert "Expect" in json.loads(reply.body)["message"]


def test_refused_trailer_is_named(idle: Server) -> None:
    for name in ("a trailer with a length", "a trailer with a coding"):
        (reply,), _ = exchange(idle, CLOSED[name].data)
        assert "trailer" in json.loads(reply.body)["message"]


def test_refused_head_request_gets_no_body(overloaded: Server) -> None:
    """The client would take a body for the next reply."""
    data = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with overloaded.connect() as connection:
        connection.sendall(data)
        first = connection.recv(65536)
        assert first.startswith(b"HTTP/1.1 429") and first.endswith(b"\r\n\r\n")


# --- the same by chance ---------------------------------------------------------------------------

ROWS = [*SERVED.values(), *TWICE.values(), *CLOSED.values()]
STRAY = st.sampled_from([
    b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\r\n", b"\0", b"\x0b", b"\xa0", b"\xb2",
    b":", b",", b";", b"0", b"1", b"+", b"-", b"_", b"chunked", b"HTTP/1.1", b"GET /ping",
    b"Content-Length", b"Transfer-Encoding", b"\r\nContent-Length: 5",
    b"\r\nTransfer-Encoding: chunked",
])  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A row of the tables with bytes inserted, deleted or duplicated."""
    data = draw(st.sampled_from(ROWS)).data
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(data), 400)))
        size = draw(st.integers(0, 3))
        data = data[:at] + draw(STRAY | st.just(data[at : at + size])) + data[at + size :]
    return data


@pytest.mark.parametrize("place", [1, 1000, MAX_HEAD_BYTES - 1])
def test_invalid_long_head_is_refused_the_same_however_it_arrives(place: int) -> None:
    """The head arrives at once, or byte by byte until it is refused."""
    data = b"a" * place + b"\n" + b"a" * MAX_HEAD_BYTES
    statuses = set()
    for arrived in (place + 1, MAX_HEAD_BYTES, len(data)):
        with pytest.raises(Refused) as refused:
            check_beginning(data[:arrived])
        statuses.add(refused.value.refusal.status)
    assert statuses == {"400 Bad Request"}


@settings(max_examples=int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "60")))
@given(data=mangled())
def test_mangled_request_never_causes_a_5xx_or_a_reply_after_close(
    idle: Server, overloaded: Server, data: bytes
) -> None:
    """Idle and overloaded servers see the same requests, refuse the same ones, then close.

    An overloaded server may close early, and says 429 for what an idle one takes to its app.
    """
    seen = []
    for server in (idle, overloaded):
        with server.connect() as connection:
            connection.sendall(data + b"\r\n" * 2)
            connection.shutdown(1)
            replies, is_closed = receive(connection)
        assert is_closed
        assert all(0 < reply.status < 500 for reply in replies), replies
        assert all("Connection: close" not in reply.head for reply in replies[:-1])
        seen.append(replies)
    for one, other in zip(*seen, strict=False):
        assert other.status == 429 or other.status == one.status
    assert len(seen[1]) <= len(seen[0])
    broken = [x.status for x in seen[0] if x.status in (408, 413, 414, 417, 431)]
    assert len(seen[1]) == len(seen[0]) or seen[1][-1].status == 429 or broken
