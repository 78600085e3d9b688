"""What is refused before it reaches the app, in the shape that the app's refusals have."""

import functools
import json
from typing import NamedTuple


class Refusal(NamedTuple):
    """A reply that needs no thread."""

    status: str
    error: str
    message: str
    hint: str

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
NOT_HTTP = Refusal(
    "400 Bad Request",
    "BadRequest",
    "The request is not valid HTTP, or its line or headers are too long.",
    "See RFC 9110 and 9112; GET / tells what is asked how.",
)


@functools.cache  # an overloaded server has no time to spell it out each time
def encode_refusal(refusal: Refusal, closes: bool) -> bytes:
    """The whole reply, head and JSON."""
    told = {"error": refusal.error, "message": refusal.message, "hint": refusal.hint}
    body = json.dumps(told).encode()
    lines = [
        f"HTTP/1.1 {refusal.status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Connection: {'close' if closes else 'keep-alive'}",
        *(["Retry-After: 1"] if refusal.code == 429 else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
