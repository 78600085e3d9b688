"""Decodes the text of a request's body: the charset in Content-Type, and byte order marks."""

import json

from facegan.errors import UnsupportedContentType
from facegan.wire.content_types import CSV, JSON, JSON_LINES
from facegan.wire.negotiation import bare_type, parameter_of

TEXT_TYPES = (JSON, JSON_LINES, CSV)
UNICODE = ("", "utf-8", "utf8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "utf-32",
           "utf-32le", "utf-32be", "us-ascii", "ascii", "unicode")  # fmt: skip
LATIN = {
    "iso-8859-1": "cp1252",  # as browsers read it (encoding.spec.whatwg.org)
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}


def as_utf8(body: bytes, content_type: str | None) -> bytes:
    """Return a text body in UTF-8; one of another type, or broken text, is returned as it is.

    UTF-16 and UTF-32 are recognized by the byte order mark or by the zeros among the first bytes
    (RFC 4627, section 3), whatever the header says. A charset matters only beyond ASCII.

    Raises:
        UnsupportedContentType: the charset is not one of Unicode's, nor Latin-1.
    """
    if bare_type(content_type) not in TEXT_TYPES:
        return body
    found: str = json.detect_encoding(body)
    if found.startswith("utf-8"):
        if body.isascii() or found == "utf-8-sig":  # the mark tells more than the header
            return body
        charset = parameter_of(content_type, "charset").lower()
        if charset in UNICODE:
            return body
        if charset not in LATIN:
            told = f"The charset {charset[:40]!a} in Content-Type is not read here."
            raise UnsupportedContentType(told, "Send the body in UTF-8.")
        found = LATIN[charset]
    try:
        return body.decode(found).encode()
    except UnicodeError:  # the type's own decoder says what is wrong
        return body
