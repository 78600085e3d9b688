"""Error replies to requests that never reach the app, as the JSON that the app also sends."""

import functools
import json
import math
from collections.abc import Mapping
from typing import NamedTuple

from facegan.errors import Draining


class Refusal(NamedTuple):
    """An error reply that needs no thread."""

    status: str
    error: str
    message: str
    hint: str
    retry_seconds: int = 1

    @property
    def code(self) -> int:
        """The HTTP status as a number."""
        return int(self.status[:3])


class Refused(Exception):
    """A request is refused, and its connection closed afterwards."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal


BAD_REQUEST = Refusal(
    "400 Bad Request",
    "BadRequest",
    "The request is not valid HTTP/1.1.",
    "See RFC 9110 and 9112; GET / describes this server's requests.",
)
CUT_SHORT = BAD_REQUEST._replace(
    error="RequestError",
    message="The body could not be read to its end.",
    hint="Send it again.",
)
BAD_CHUNKS = BAD_REQUEST._replace(
    message="The body's chunks are not framed as RFC 9112 says, or are very small.",
    hint="Send the body with a Content-Length.",
)
TOO_SLOW = Refusal(
    "408 Request Timeout",
    "RequestTimeout",
    "The request did not arrive in time.",
    "Send it again, in one go.",
)
BODY_TOO_LARGE = Refusal(
    "413 Request Entity Too Large",
    "RequestTooLarge",
    "The body is larger than {limit:,} bytes.",
    "Split it into several requests.",
)
LINE_TOO_LONG = Refusal(
    "414 URI Too Long", "RequestURITooLong", "The request line is too long.", "See GET /."
)
EXPECTATION = Refusal(
    "417 Expectation Failed",
    "ExpectationFailed",
    "The header Expect asks for something other than 100-continue.",
    "Leave Expect out.",
)
HEADERS_TOO_LONG = Refusal(
    "431 Request Header Fields Too Large",
    "RequestHeaderFieldsTooLarge",
    "The request's headers are too long, or too many.",
    "Send fewer or shorter ones.",
)
OVERLOADED = Refusal(
    "429 Too Many Requests",
    "Overloaded",
    "More requests are waiting than can be answered in time.",
    "Retry in a second.",
)
DRAINING = Refusal("503 Service Unavailable", "Draining", Draining().message, Draining().hint)
FAILED = Refusal(
    "500 Internal Server Error",
    "InternalError",
    "The server failed while it answered.",
    "See the server's log.",
)


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body over the limit."""
    return BODY_TOO_LARGE._replace(message=BODY_TOO_LARGE.message.format(limit=limit))


def busy(seconds: float) -> Refusal:
    """Return the refusal of a model that is busy for so long."""
    retry = math.ceil(seconds)
    return OVERLOADED._replace(hint=f"Retry in {retry} s.", retry_seconds=retry)


def encode_refusal(
    refusal: Refusal, closes: bool, headers: Mapping[str, str], has_body: bool = True
) -> bytes:
    """Return the whole reply, head and JSON, with headers of this request (checked before)."""
    head, body = encode_fixed_part(refusal, closes)
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"".join([head, own.encode("latin-1"), b"\r\n", body if has_body else b""])


@functools.lru_cache(maxsize=256)  # an overloaded server has no time to do it each time
def encode_fixed_part(refusal: Refusal, closes: bool) -> tuple[bytes, bytes]:
    """Return the head without the request's headers, and the JSON."""
    fields = {"error": refusal.error, "message": refusal.message, "hint": refusal.hint}
    body = json.dumps(fields).encode()
    lines = [
        f"HTTP/1.1 {refusal.status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        *([f"Retry-After: {refusal.retry_seconds}"] if refusal.code in (429, 503) else []),
    ]
    return "\r\n".join([*lines, ""]).encode(), body
