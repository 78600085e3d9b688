"""A client that only shut down its sending half is answered; one that disconnected is not."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_server import PING, Server, request, running

from facegan.serving.http.buffered_socket import BufferedSocket

MANY = json.dumps({"seeds": list(range(64))}).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def server(model_dir: Path) -> Iterator[Server]:
    with running(model_dir) as started:
        yield started


@pytest.fixture
def pair() -> Iterator[tuple[BufferedSocket, socket.socket]]:
    """A TCP connection: the server's end, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        caller = socket.create_connection(listener.getsockname(), timeout=5)
        accepted, _ = listener.accept()
        ours = BufferedSocket(accepted, 5, lambda _: pytest.fail("no head is parsed"))
        ours.setblocking(True)
        with ours, caller:
            yield ours, caller


@pytest.mark.parametrize("body", [b'{"seeds": [1]}', MANY], ids=["one", "many"])
@pytest.mark.parametrize("accept", ["image/png", "application/jsonlines", "application/json"])
def test_half_closed_client_is_answered(server: Server, body: bytes, accept: str) -> None:
    plain = server.send(request(body, Accept=accept))
    for _ in range(5):
        reply = server.send(request(body, Accept=accept), half_close=True)
        assert (reply.status, reply.body) == (200, plain.body)


def test_pings_and_chunks_of_half_closed_clients_are_answered(server: Server) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunked = head + b'Transfer-Encoding: chunked\r\n\r\ne\r\n{"seeds": [1]}\r\n0\r\n\r\n'
    for data in (PING, chunked):
        assert server.send(data, half_close=True).status == 200


def test_open_connection_is_open_and_nothing_is_sent_ahead(
    pair: tuple[BufferedSocket, socket.socket],
) -> None:
    ours, caller = pair
    assert ours.is_open() and ours.is_open()
    caller.sendall(b"the next request")
    assert ours.is_open()
    ours.sendall(REPLY)
    assert caller.recv(1000) == REPLY


def test_half_closed_connection_is_open_and_its_reply_is_whole(
    pair: tuple[BufferedSocket, socket.socket],
) -> None:
    """Also if the head is held back, and if is_open is called again during the reply."""
    ours, caller = pair
    caller.shutdown(socket.SHUT_WR)
    assert ours.is_open() and ours.is_open()
    ours.hold_head()
    ours.sendall(REPLY[:30])
    ours.sendall(REPLY[30:])
    assert ours.is_open()
    ours.close()
    assert b"".join(iter(lambda: caller.recv(1000), b"")) == REPLY


@pytest.mark.parametrize("is_reset", [False, True])
def test_closed_connection_is_not_open(
    pair: tuple[BufferedSocket, socket.socket], is_reset: bool
) -> None:
    ours, caller = pair
    if is_reset:
        ours.sendall(b"never read")
        ours.start_request()
    caller.close()
    assert not ours.is_open()
    assert not ours.is_open()
