"""Bytes to an endpoint and back: real sockets on loopback, and a WSGI app in process."""

import http.server
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from facegan.client import HttpTransport, Reply, StreamingTransport, WSGITransport
from facegan.errors import InvocationError


class Echo(http.server.BaseHTTPRequestHandler):
    """Echoes requests."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = f"{self.path} {self.headers['Content-Type']} {self.headers['Accept']} ".encode()
        self.send_response(418 if body == b"tea" else 200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(asked + body)

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def silent_socket() -> socket.socket:
    """Accepts connections and never answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@pytest.mark.parametrize("path", ["", "/", "/models/faces/"])
def test_http_posts_to_invocations_under_the_url(url: str, path: str) -> None:
    """Path, types and body arrive; the answer comes back."""
    reply = HttpTransport(url + path).send(b"hello", "a/b", "c/d")
    expected = f"{path.rstrip('/')}/invocations a/b c/d hello".encode()
    assert reply == Reply(200, "text/plain", expected)


def test_an_http_error_is_a_reply(url: str) -> None:
    """The client, not the transport, knows what a status means."""
    assert HttpTransport(url).send(b"tea", "a/b", "c/d").status == 418


def test_a_refused_connection_says_how_to_start_a_server() -> None:
    """The most common first mistake."""
    with silent_socket() as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InvocationError, match="refused") as caught:
        HttpTransport(f"http://127.0.0.1:{port}").send(b"", "a/b", "c/d")
    assert "facegan serve" in caught.value.hint


def test_a_silent_server_times_out() -> None:
    """The message names the seconds."""
    with silent_socket() as listener:
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.2)
        with pytest.raises(InvocationError, match=r"0\.2 seconds"):
            transport.send(b"", "a/b", "c/d")


def test_a_server_that_hangs_up_is_an_invocation_error() -> None:
    """A connection closed without an answer."""

    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1024)
        connection.close()

    with silent_socket() as listener:
        threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
        with pytest.raises(InvocationError):
            HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}").send(b"", "a/b", "c/d")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://localhost",
        "",
        "http://",
        "http://[::1",
        "http://a:port",
        "http://a:0",
    ],
)
def test_an_invalid_url_is_refused_with_an_example(url: str) -> None:
    """Before any connection is tried."""
    with pytest.raises(InvocationError) as caught:
        HttpTransport(url)
    assert "http://localhost:8080" in caught.value.hint


class Body:
    """A WSGI answer that records whether it was closed."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def close(self) -> None:
        self.is_closed = True


def test_wsgi_calls_the_app_without_a_socket() -> None:
    """Path, types and body arrive, the answer comes back whole, and its body is closed."""
    answer = Body([b"one ", b"two"])
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("418 I'm a teapot", [("content-TYPE", "text/plain")])
        return answer

    reply = WSGITransport(app).send(b"hello", "a/b", "c/d")
    assert reply == Reply(418, "text/plain", b"one two")
    assert answer.is_closed
    told = {
        key: seen[key] for key in ("REQUEST_METHOD", "PATH_INFO", "CONTENT_TYPE", "HTTP_ACCEPT")
    }
    assert list(told.values()) == ["POST", "/invocations", "a/b", "c/d"]
    assert seen["CONTENT_LENGTH"] == "5" and seen["body"] == b"hello"


# --- streams ------------------------------------------------------------------------------------


def chunked_server(pieces: list[bytes], go_on: threading.Event) -> str:
    """Answers one request in chunks, and waits for an event after the first."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for piece in pieces:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                go_on.wait(10)

    listener = silent_socket()
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_http_yields_chunks_while_the_rest_is_written() -> None:
    """An empty chunk ends the answer."""
    go_on = threading.Event()
    url = chunked_server([b"one ", b"two", b""], go_on)
    reply = HttpTransport(url, 10).stream(b"", "a/b", "c/d")
    assert (reply.status, reply.content_type) == (200, "a/b")
    assert next(reply.chunks) == b"one "
    go_on.set()
    assert b"".join(reply.chunks) == b"two"


def test_an_http_stream_that_breaks_off_is_an_invocation_error() -> None:
    """No last chunk came."""
    go_on = threading.Event()
    go_on.set()
    reply = HttpTransport(chunked_server([b"one "], go_on), 10).stream(b"", "a/b", "c/d")
    assert next(reply.chunks) == b"one "
    with pytest.raises(InvocationError):
        list(reply.chunks)


def test_wsgi_yields_chunks_as_they_come() -> None:
    """The second chunk is not computed before it is read, and the body is closed at its end."""
    made: list[str] = []

    class Slow(Body):
        def __iter__(self) -> Iterator[bytes]:
            for chunk in self.chunks:
                made.append(chunk.decode())
                yield chunk

    answer = Slow([b"one ", b"two"])

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "a/b")])
        return answer

    reply = WSGITransport(app).stream(b"", "a/b", "c/d")
    assert next(reply.chunks) == b"one " and made == ["one "]
    assert list(reply.chunks) == [b"two"] and answer.is_closed


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b"x"]])
def test_a_wsgi_app_may_start_its_response_late_and_send_nothing(chunks: list[bytes]) -> None:
    """As a generator does, which runs when it is first read."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "a/b")])
        yield from chunks

    assert WSGITransport(app).send(b"", "a/b", "c/d") == Reply(200, "a/b", b"".join(chunks))


def test_both_can_stream() -> None:
    """The client checks the protocol."""
    assert isinstance(WSGITransport(lambda *_: []), StreamingTransport)
    assert isinstance(HttpTransport("http://localhost:1"), StreamingTransport)
