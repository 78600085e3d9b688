"""What is refused before it reaches the app, in the shape that the app's refusals have."""

import functools
import json
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from facegan.serving.telemetry.ids import CUSTOM, is_echoed, name_request

ASKED_ID = re.compile(rb"\r\nX-Request-Id:([^\r\n]*)\r\n", re.IGNORECASE)
ASKED_ATTRIBUTES = re.compile(
    rb"\r\nX-Amzn-SageMaker-Custom-Attributes:([^\r\n]*)\r\n", re.IGNORECASE
)


class Refusal(NamedTuple):
    """A reply that needs no thread."""

    status: str
    error: str
    message: str
    hint: str
    retry_seconds: int = 1

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])


TOO_SLOW = Refusal(
    "408 Request Timeout",
    "RequestTimeout",
    "The request did not arrive in time.",
    "Send it again, in one go.",
)
TOO_LONG = Refusal(
    "431 Request Header Fields Too Large",
    "RequestHeaderFieldsTooLarge",
    "The request's headers are too long.",
    "Send fewer or shorter ones.",
)
OVERLOADED = Refusal(
    "429 Too Many Requests",
    "Overloaded",
    "More requests are waiting than can be answered in time.",
    "Ask again in a second.",
)


def busy(seconds: float) -> Refusal:
    """The refusal of a model that has so much to do."""
    told = math.ceil(seconds)
    return OVERLOADED._replace(hint=f"Ask again in {told} s.", retry_seconds=told)


ENDING = Refusal(
    "503 Service Unavailable",
    "Draining",
    "The server is about to end.",
    "Ask again in a few seconds.",
)
NOT_HTTP = Refusal(
    "400 Bad Request",
    "BadRequest",
    "The request is not valid HTTP, or its line or headers are too long.",
    "See RFC 9110 and 9112; GET / tells what is asked how.",
)


def encode_refusal(refusal: Refusal, closes: bool, headers: Mapping[str, str]) -> bytes:
    """The whole reply, head and JSON, with headers of this request; their values are sane."""
    head, body = spell_out(refusal, closes)
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"".join([head, own.encode("latin-1"), b"\r\n", body])


@functools.lru_cache(maxsize=256)  # an overloaded server has no time to do it each time
def spell_out(refusal: Refusal, closes: bool) -> tuple[bytes, bytes]:
    """The head up to its last line, and the JSON."""
    told = {"error": refusal.error, "message": refusal.message, "hint": refusal.hint}
    body = json.dumps(told).encode()
    lines = [
        f"HTTP/1.1 {refusal.status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        *([f"Retry-After: {refusal.retry_seconds}"] if refusal.code in (429, 503) else []),
    ]
    return "\r\n".join([*lines, ""]).encode(), body


def headers_of(head: bytes) -> dict[str, str]:
    """What every reply tells of its request: its id, and the custom attributes that came with it.

    Args:
        head: The request's, or as much of it as came.
    """
    headers = {"X-Request-Id": name_request(header_in(head, ASKED_ID))}
    if (attributes := header_in(head, ASKED_ATTRIBUTES)) is not None and is_echoed(attributes):
        headers[CUSTOM] = attributes
    return headers


def header_in(head: bytes, pattern: re.Pattern[bytes]) -> str | None:
    """A header's value, where there is one."""
    found = pattern.search(head)
    return found[1].decode("latin-1").strip(" \t") if found else None


class ReplyCatcher:
    """Stands in for a connection, and remembers with which status gunicorn would have refused."""

    def __init__(self) -> None:
        self.status = "400 Bad Request"

    def gettimeout(self) -> float:
        """As a socket that does not block."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Read the status line. What is not implemented (501) is the caller's mistake, too."""
        status = data.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")[2]
        self.status = "400 Bad Request" if status.startswith("501") else status
