"""Content types of requests and replies, and how to read one out of a header."""

import re
from functools import lru_cache

JSON = "application/json"
JSON_LINES = "application/jsonlines"
NPY = "application/x-npy"
ZIP = "application/zip"
CSV = "text/csv"
PNG = "image/png"
JPEG = "image/jpeg"
WEBP = "image/webp"
MULTIPART = "multipart/form-data"
FORMATS = {PNG: "PNG", JPEG: "JPEG", WEBP: "WEBP"}  # types of one image, and Pillow's names

# In an Accept header: the caller reads a stream, so the limit of a whole reply does not apply.
STREAMED_LINES = f"{JSON_LINES};stream=true"
ALIASES = {  # other names in use; none of these types is registered
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/x-jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "image/jpg": JPEG,
}

# RFC 9110, section 5.6.6; also commas without quotation marks, as in seeds=1,2,3.
PARAMETER = re.compile(r"""\s*([^\s=;"]+)=("(?:[^"\\]|\\.)*"|[^;"]*?)\s*(?:;|$)""")


@lru_cache(maxsize=128)  # callers send the same few headers
def bare_type(content_type: str | None) -> str:
    """Return a content type in lower case, without parameters and aliases; "" if there is none."""
    name = (content_type or "").partition(";")[0].strip().lower()
    return ALIASES.get(name, name)


def get_parameter(content_type: str | None, name: str) -> str:
    """Return a parameter of a content type, without quotes; "" if it is not there."""
    for part in (content_type or "").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip(' \t"')
    return ""


def parse_parameters(content_type: str | None) -> list[tuple[str, str]]:
    """Return all parameters of a content type in order: names in lower case, values unquoted.

    Raises:
        ValueError: A piece of it is not a parameter; the error's text is that piece.
    """
    text = (content_type or "").partition(";")[2]
    found = []
    position = 0
    while text[position:].strip(" \t;"):
        match = PARAMETER.match(text, position)
        if match is None:
            raise ValueError(text[position:].strip())
        found.append((match[1].lower(), unquote(match[2])))
        position = match.end()
    return found


def unquote(text: str) -> str:
    """Return a parameter's value without its quotation marks and escapes."""
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def quote(text: str) -> str:
    """Return a parameter's value as it is written: in quotation marks if it must be."""
    if re.fullmatch(r"[\w.,!#$%&'*+^`|~-]+", text, re.ASCII):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
