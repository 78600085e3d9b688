"""Parses a request's head with gunicorn's strict parser, and explains why a head is refused.

The main loop must know where a request ends before it hands it to a thread, or refuses it and goes
on to the next. Two parsers would disagree on that one day, so every head is parsed once, here: what
the app answers and what an overloaded server skips are the same bytes.
"""

import io
import logging
import re
from typing import Any

from gunicorn.http import errors
from gunicorn.http.body import ChunkedReader
from gunicorn.http.message import TOKEN_RE, Request
from gunicorn.http.unreader import IterUnreader

from facegan.serving.http.refusals import (
    BAD_REQUEST,
    EXPECTATION,
    HEADERS_TOO_LONG,
    LINE_TOO_LONG,
    Refusal,
    Refused,
)
from facegan.serving.telemetry.ids import CUSTOM, is_echoed, name_request

log = logging.getLogger(__name__)

HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 64 * 1024
# A control byte, a lone CR or a lone LF: whatever follows, this is not a head.
NEVER_A_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n")
REASONS: dict[type[Exception], str] = {
    errors.InvalidRequestLine: "The request line is not METHOD TARGET HTTP/1.1.",
    errors.InvalidRequestMethod: "The method is not written as HTTP wants it.",
    errors.InvalidHTTPVersion: "The version of HTTP is neither 1.0 nor 1.1.",
    errors.ObsoleteFolding: "A header goes on in a second line.",
    errors.InvalidHeaderName: "A header's name is followed by a blank, or is not a name.",
    errors.UnsupportedTransferCoding: "Transfer-Encoding is read as chunked, and that alone.",
}
BAD_TRAILER = "The trailer holds a header that may not come behind a body, or is not one."
LIMITS: dict[type[Exception], Refusal] = {
    errors.ExpectationFailed: EXPECTATION,
    errors.LimitRequestLine: LINE_TOO_LONG,
    errors.LimitRequestHeaders: HEADERS_TOO_LONG,
}


class Head(Request):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's request, of which only the head was read.

    Attributes:
        length: Bytes of the body; 0 if it comes in chunks.
        is_chunked: Whether it comes in chunks.
    """

    body: Any  # gunicorn's, then the bytes themselves
    headers: list[tuple[str, str]]
    _expected_100_continue: bool

    def set_body_reader(self) -> None:
        """Find where the body ends, and refuse what other servers may read differently.

        gunicorn also accepts ``gzip, chunked``, ``identity, chunked`` and the like. Upgrade is
        dropped: werkzeug would refuse that of a WebSocket.
        """
        super().set_body_reader()
        self.headers = [(name, value) for name, value in self.headers if name != "UPGRADE"]
        codings = [value for name, value in self.headers if name == "TRANSFER-ENCODING"]
        if codings and [coding.lower() for coding in codings] != ["chunked"]:
            raise errors.UnsupportedTransferCoding(codings[0])
        reader = self.body.reader
        self.is_chunked = isinstance(reader, ChunkedReader)
        self.length = 0 if self.is_chunked else reader.length

    def set_body(self, body: bytes) -> None:
        """Set the body, and Content-Length in place of chunked."""
        self.body, self.length = io.BytesIO(body), len(body)
        if self.is_chunked:
            self.headers = [x for x in self.headers if x[0] != "TRANSFER-ENCODING"]
            self.headers.append(("CONTENT-LENGTH", str(self.length)))

    def answer_expectation(self) -> bool:
        """Return whether the client waits for 100 Continue; True only once."""
        is_expected = self._expected_100_continue and (self.length > 0 or self.is_chunked)
        self._expected_100_continue = False  # or gunicorn would say it once more
        return bool(is_expected)

    def header(self, name: str) -> str | None:
        """Return a header's value as the app sees it, by its name in capitals."""
        values = [value for known, value in self.headers if known == name]
        return ",".join(values) if values else None


def parse_head(data: bytes, settings: Any, address: Any) -> Head:
    """Parse a complete head with its empty line."""
    try:
        return Head(settings, IterUnreader([data]), address)
    except Exception as cause:  # whatever a client sends, the main loop goes on
        raise Refused(refusal_of(cause)) from cause


def parse_trailer(head: Head, data: bytes) -> None:
    """Check the headers behind a chunked body, each with its line end; they are not used."""
    try:
        head.parse_headers(data.removesuffix(b"\r\n"), from_trailer=True)
    except errors.InvalidHeaderName as cause:  # also a header that is not allowed there
        raise Refused(BAD_REQUEST._replace(message=BAD_TRAILER)) from cause
    except Exception as cause:
        raise Refused(refusal_of(cause)) from cause


def check_beginning(data: bytes | bytearray) -> None:
    """Refuse bytes that cannot become a head, without waiting for the rest.

    Malformed comes before too long, and all bytes that a head may have are searched: so the answer
    is the same however the bytes arrive.
    """
    if NEVER_A_HEAD.search(data, 0, MAX_HEAD_BYTES):
        raise Refused(BAD_REQUEST)
    if len(data) >= MAX_HEAD_BYTES:
        raise Refused(HEADERS_TOO_LONG)


def refusal_of(cause: Exception) -> Refusal:
    """Return why gunicorn refused a head, with the name of the header if it is known."""
    for kind, refusal in LIMITS.items():
        if isinstance(cause, kind):
            return refusal
    if not isinstance(cause, (errors.ParseException, errors.NoMoreData, StopIteration)):
        log.error("The parser failed at a head.", exc_info=cause)
    name = str(getattr(cause, "hdr", ""))
    if type(cause) is errors.InvalidHeader and len(name) <= 40 and TOKEN_RE.fullmatch(name):
        message = f"The header {name.title()} is malformed, there twice, or at odds with another."
        return BAD_REQUEST._replace(message=message)
    return BAD_REQUEST._replace(message=REASONS.get(type(cause), BAD_REQUEST.message))


def headers_of(head: Head | None) -> dict[str, str]:
    """Return a reply's id and custom attributes, which repeat those of a head if there is one."""
    if head is None:
        return {"X-Request-Id": name_request(None)}
    headers = {"X-Request-Id": name_request(head.header("X-REQUEST-ID"))}
    if (attributes := head.header(CUSTOM.upper())) is not None and is_echoed(attributes):
        headers[CUSTOM] = attributes
    return headers
