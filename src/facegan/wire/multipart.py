"""Splits multipart/form-data (RFC 7578), as curl -F and browsers send it, into its parts."""

from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import NamedTuple

from facegan.errors import RequestError, RequestTooLarge
from facegan.wire.content_types import MULTIPART, parse_parameters

MAX_PARTS = 1000
MAX_HEAD_BYTES = 8192
HINT = "Send what curl -F image=@photo.jpg sends."


class Part(NamedTuple):
    """One field of a form."""

    name: str
    content: bytes


def iter_parts(body: bytes, content_type: str | None) -> Iterator[Part]:
    """Yield the parts of a body, in order.

    Raises:
        RequestTooLarge: There are over ``MAX_PARTS``.
        RequestError: The body is not what its content type says.
    """
    boundary = boundary_of(content_type)
    delimiter = b"\r\n--" + boundary
    if body.count(delimiter) > MAX_PARTS:
        raise RequestTooLarge(f"The {MULTIPART} body has over {MAX_PARTS:,} parts.", "Split it.")
    _, *pieces = (b"\r\n" + body).split(delimiter)
    if not pieces or not pieces[-1].startswith(b"--"):
        raise RequestError(f"The {MULTIPART} body does not end with its boundary.", HINT)
    for number, piece in enumerate(pieces[:-1], 1):
        yield parse_part(piece, number)


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary between the parts."""
    try:
        boundary = dict(parse_parameters(content_type)).get("boundary", "")
    except ValueError:
        boundary = ""
    if not 0 < len(boundary) <= 70 or not boundary.isascii():
        message = f"The Content-Type {MULTIPART} has no boundary of 1 to 70 characters."
        raise RequestError(message, HINT)
    return boundary.encode()


def parse_part(piece: bytes, number: int) -> Part:
    """Return a part, from what lies between two boundaries."""
    head, blank, content = piece.partition(b"\r\n\r\n")
    padding, line_end, head = head.partition(b"\r\n")
    if padding.strip(b" \t") or not line_end or not blank or len(head) > MAX_HEAD_BYTES:
        raise RequestError(f"Part {number} of the {MULTIPART} body has no head.", HINT)
    headers: Message = HeaderParser().parsestr(head.decode("utf-8", "replace"))
    name = headers.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name:
        raise RequestError(f"Part {number} of the {MULTIPART} body has no name.", HINT)
    encoding = str(headers.get("content-transfer-encoding", "binary")).strip().lower()
    if encoding not in ("binary", "7bit", "8bit"):
        message = f"Part {number} of the {MULTIPART} body is encoded as {encoding[:40]!a}."
        raise RequestError(message, "Send the bytes as they are (RFC 7578, section 4.7).")
    return Part(name, content)
