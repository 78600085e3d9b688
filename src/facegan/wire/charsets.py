"""Decodes the text of a request's body: the charset in Content-Type, and byte order marks."""

import json

from facegan.errors import UnsupportedContentType
from facegan.wire.content_types import CSV, JSON, JSON_LINES, bare_type, get_parameter

TEXT_TYPES = (JSON, JSON_LINES, CSV)
UNICODE = ("", "utf-8", "utf8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "utf-32",
           "utf-32le", "utf-32be", "us-ascii", "ascii", "unicode")  # fmt: skip
# As browsers read them (encoding.spec.whatwg.org).
LATIN = dict.fromkeys(
    ("iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"
)


def as_utf8(body: bytes, content_type: str | None) -> bytes:
    """Return a text body in UTF-8; a body of another type, or broken text, is left as it is.

    UTF-16 and UTF-32 are recognized by the byte order mark or by the zeros among the first bytes
    (RFC 4627, section 3), whatever the header says. A charset matters only beyond ASCII.

    Raises:
        UnsupportedContentType: The charset is neither a Unicode encoding nor Latin-1.
    """
    if bare_type(content_type) not in TEXT_TYPES:
        return body
    encoding: str = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        if body.isascii() or encoding == "utf-8-sig":  # the mark overrides the header
            return body
        charset = get_parameter(content_type, "charset").lower()
        if charset in UNICODE:
            return body
        if charset not in LATIN:
            message = f"The charset {charset[:40]!a} in Content-Type is not supported."
            raise UnsupportedContentType(message, "Send the body in UTF-8.")
        encoding = LATIN[charset]
    try:
        return body.decode(encoding).encode()
    except UnicodeError:  # the decoder of the type reports what is wrong
        return body
