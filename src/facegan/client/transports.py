"""Transports that send bytes to an endpoint: over HTTP, or to a WSGI app in this process."""

import http.client
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

from facegan.errors import InvocationError

START_HINT = "Is the server up? `facegan serve MODEL` starts one on http://localhost:8080."

CHUNK_BYTES = 2**16


class ResponseHead(NamedTuple):
    """An HTTP response without its body."""

    status: int
    content_type: str


@dataclass(frozen=True)
class Reply:
    """An endpoint's answer, which may be an error."""

    status: int
    content_type: str
    body: bytes


class Transport(Protocol):
    """A way to reach an endpoint."""

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """POST `body` as `content_type` and ask for `accept`.

        Raises:
            InvocationError: the endpoint cannot be reached. An error it answers is a Reply.
        """
        ...


@dataclass(frozen=True)
class StreamedReply:
    """An endpoint's answer in chunks."""

    status: int
    content_type: str
    chunks: Iterator[bytes]  # may raise InvocationError; the connection ends with it

    def whole(self) -> Reply:
        """Wait for the whole answer."""
        return Reply(self.status, self.content_type, b"".join(self.chunks))


@runtime_checkable
class StreamingTransport(Transport, Protocol):
    """A transport that returns an answer while it is still being written."""

    def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
        """Send as :meth:`Transport.send` does, but return as soon as the answer begins."""
        ...


@runtime_checkable
class FrontPageTransport(Transport, Protocol):
    """A transport that can also read the endpoint's front page; SageMaker's cannot."""

    def front_page(self) -> Reply:
        """GET / of the endpoint, which describes the model as JSON (docs/serving-reference.md)."""
        ...


class HttpTransport:
    """POSTs to ``<url>/invocations``; no proxy, no redirects, one connection per request.

    Args:
        url: As ``http://localhost:8080``; a path in front of ``/invocations`` is kept.
        timeout_seconds: For connecting and for each read; SageMaker's own limit is 60.

    Raises:
        InvocationError: it is not an HTTP URL.
    """

    def __init__(self, url: str, timeout_seconds: float = 60) -> None:
        self.url = url
        self.parts = split_url(url)
        self.timeout_seconds = timeout_seconds

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`Transport`."""
        return self.stream(body, content_type, accept).whole()

    def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
        """See :class:`StreamingTransport`."""
        headers = {"Content-Type": content_type, "Accept": accept}
        return self.request("POST", "/invocations", body, headers)

    def front_page(self) -> Reply:
        """See :class:`FrontPageTransport`."""
        return self.request("GET", "/", None, {}).whole()

    def request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> StreamedReply:
        """Send a request; return as soon as the answer begins."""
        chunks = self.exchange(method, self.parts.path.rstrip("/") + path, body, headers)
        head = next(chunks)
        assert isinstance(head, ResponseHead)
        return StreamedReply(*head, (chunk for chunk in chunks if isinstance(chunk, bytes)))

    def exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[ResponseHead | bytes]:
        """Yield the response's head, then chunks of its body as they come."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            yield ResponseHead(answer.status, answer.headers.get("Content-Type", ""))
            while chunk := answer.read1(CHUNK_BYTES):
                yield chunk
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
        except TimeoutError as cause:
            raise InvocationError(
                f"{self.url} did not answer within {self.timeout_seconds:g} seconds.",
                "Ask for fewer images at once, or wait longer.",
            ) from cause
        except (OSError, http.client.HTTPException, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            raise InvocationError(f"{self.url} cannot be reached: {reason}.", START_HINT) from cause
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""
        is_secure = self.parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        host = self.parts.hostname or ""
        return kind(host, self.parts.port, timeout=self.timeout_seconds)


def split_url(url: str) -> SplitResult:
    """Split an HTTP URL; raise InvocationError if it is not one."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is not a number, an unclosed bracket
        usable = False
    if not usable:
        raise InvocationError(f"{url!a} is not an HTTP URL.", "Give one as http://localhost:8080.")
    return parts


class WSGITransport:
    """Calls a WSGI app, such as a Flask app, without a socket."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`Transport`."""
        return self.stream(body, content_type, accept).whole()

    def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
        """See :class:`StreamingTransport`."""
        return self.request(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/invocations",
                "CONTENT_TYPE": content_type,
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_ACCEPT": accept,
                "wsgi.input": io.BytesIO(body),
            }
        )

    def front_page(self) -> Reply:
        """See :class:`FrontPageTransport`."""
        return self.request({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}).whole()

    def request(self, environ: dict[str, Any]) -> StreamedReply:
        """Call the app; return as soon as the answer begins."""
        setup_testing_defaults(environ)
        started: list[tuple[int, str]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: object = None
        ) -> Any:
            named = {name.lower(): value for name, value in headers}
            started.append((int(status.split()[0]), named.get("content-type", "")))
            return lambda _: None

        chunks = read_and_close(self.app(environ, start_response))
        first = next(chunks, b"")  # WSGI (PEP 3333) may start the response only now
        return StreamedReply(*started[-1], chain([first], chunks))


def read_and_close(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body's chunks, then close it, as WSGI requires."""
    try:
        yield from chunks
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
