"""Encodes AWS's event stream, so that boto3's streaming call works with a local server too.

On AWS, SageMaker itself puts what a container streams into these messages; the container gets plain
``/invocations``. botocore's ``eventstream`` module decodes the format.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import flask

EVENT_STREAM = "application/vnd.amazon.eventstream"
STRING = 7  # the type of a header's value
HEADERS = {
    ":message-type": "event",
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
}


def install_event_stream(app: flask.Flask, respond: Callable[[], flask.Response]) -> None:
    """Add the route that boto3's ``invoke_endpoint_with_response_stream`` posts to."""

    @app.post("/endpoints/<endpoint_name>/invocations-response-stream")
    def invoke_streaming(endpoint_name: str) -> flask.Response:
        """Draw faces and send them as messages; any endpoint name will do."""
        reply = respond()
        headers = {"X-Amzn-SageMaker-Content-Type": reply.content_type or ""}
        parts = payload_parts(reply.iter_encoded())
        return flask.Response(parts, content_type=EVENT_STREAM, headers=headers)


def payload_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Encode each piece of a body as a message."""
    return (message(piece, HEADERS) for piece in pieces)


def message(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Encode a message: lengths, their checksum, headers, content, and the checksum of it all."""
    head = b"".join(header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", 16 + len(head) + len(content), len(head))
    whole = lengths + checksum(lengths) + head + content
    return whole + checksum(whole)


def header(name: str, value: str) -> bytes:
    """Encode a header whose value is a string."""
    text = value.encode()
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", STRING, len(text)) + text


def checksum(content: bytes) -> bytes:
    """Return the CRC-32."""
    return struct.pack(">I", zlib.crc32(content))
