"""Speaks AWS's event stream, so that boto3's streaming call reaches a server on this machine too.

On AWS SageMaker itself puts what a container streams into these messages; the container sees plain
``/invocations``. The format is that of botocore's ``eventstream`` module, which reads it.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import flask

EVENT_STREAM = "application/vnd.amazon.eventstream"
TEXT = 7  # the type of a header whose value is a text
HEADERS = {
    ":message-type": "event",
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
}


def install_event_stream(app: flask.Flask, respond: Callable[[str | None], flask.Response]) -> None:
    """Add the route that boto3's ``invoke_endpoint_with_response_stream`` posts to.

    Args:
        app: The server.
        respond: Answers the request under way, given its Accept header.
    """

    @app.post("/endpoints/<endpoint_name>/invocations-response-stream")
    def invoke_streaming(endpoint_name: str) -> flask.Response:
        """The same faces, in messages. A local server is every endpoint's name."""
        reply = respond(flask.request.headers.get("X-Amzn-SageMaker-Accept"))
        headers = {"X-Amzn-SageMaker-Content-Type": reply.content_type or ""}
        pieces = payload_parts(reply.iter_encoded())
        return flask.Response(pieces, content_type=EVENT_STREAM, headers=headers)


def payload_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A body in pieces, each as a message."""
    return (message(piece, HEADERS) for piece in pieces)


def message(content: bytes, headers: Mapping[str, str]) -> bytes:
    """One message: lengths, their checksum, headers, the content, and the checksum of it all."""
    head = b"".join(header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", 16 + len(head) + len(content), len(head))
    whole = lengths + checksum(lengths) + head + content
    return whole + checksum(whole)


def header(name: str, value: str) -> bytes:
    """One header whose value is a text."""
    told = value.encode()
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", TEXT, len(told)) + told


def checksum(content: bytes) -> bytes:
    """CRC-32."""
    return struct.pack(">I", zlib.crc32(content))
