"""Many requests in one body, one per line, and one line of reply for each, in order: JSON Lines.

SageMaker's batch transform splits files into lines, sends as many at once as its MaxPayloadInMB
holds (MULTI_RECORD), and expects one line of reply for each. So a wrong line has a reply of its
own, and an empty line is a wrong one: if it were skipped, every later reply would stand beside the
wrong input. What follows the last line feed is a line only if it is not empty.

https://jsonlines.org
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from facegan.errors import FaceGANError, InvocationError, RequestError, RequestTooLarge
from facegan.wire.content_types import JSON_LINES
from facegan.wire.error_text import EXAMPLE
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.image_reply import DAMAGED_HINT
from facegan.wire.json_codecs import (
    PARSE_ERRORS,
    GeneratedImage,
    images_from_json,
    split_lines,
)
from facegan.wire.request_codecs import decode_json, encode_json

MAX_LINES = 65_536  # far above what a server generates; a body of line feeds would keep it busy


class RequestLine(NamedTuple):
    """One line of a body: a request, or what is wrong with it."""

    number: int  # from 1
    request: GenerateRequest | RequestError


def iter_requests(body: bytes, max_line_bytes: int | None = None) -> Iterator[RequestLine]:
    """Yield the requests of a body, one at a time.

    Args:
        body: The lines.
        max_line_bytes: A longer line is wrong, and is not parsed.

    Raises:
        RequestTooLarge: There are over ``MAX_LINES`` lines.
        RequestError: There is no line. An error within a line is yielded in its place.
    """
    if body.count(b"\n") > MAX_LINES:
        raise RequestTooLarge(f"The body has over {MAX_LINES:,} lines.", "Split it.")
    if not body:
        raise RequestError(f"The {JSON_LINES} body has no line.", EXAMPLE)
    return read_lines(body, max_line_bytes or len(body))


def read_lines(body: bytes, max_line_bytes: int) -> Iterator[RequestLine]:
    """Yield each line of a body that is not empty."""
    start, number = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if end - start > max_line_bytes:
            message = f"The line is longer than {max_line_bytes:,} bytes."
            yield RequestLine(number, RequestTooLarge(message, "Split it into several lines."))
        else:
            yield RequestLine(number, parse_line(body[start:end]))
        start = end + 1


def parse_line(line: bytes) -> GenerateRequest | RequestError:
    """Return the request of one line, or what is wrong with it."""
    if not line.strip():
        return RequestError("The line is empty.", EXAMPLE)
    try:
        return decode_json(line)
    except RequestError as error:
        return error


def encode_lines(requests: Iterable[GenerateRequest]) -> bytes:
    """Encode requests, one per line."""
    return b"".join(encode_json(request) + b"\n" for request in requests)


def error_line(error: FaceGANError, number: int | None = None) -> bytes:
    """Encode the reply to a wrong line, or the last line of a stream that broke off."""
    value = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    return json.dumps(value if number is None else value | {"line": number}).encode() + b"\n"


def iter_replies(chunks: Iterable[bytes]) -> Iterator[list[GeneratedImage] | InvocationError]:
    """Yield the reply to each line of a body, in order: its images, or why there are none.

    Raises:
        InvocationError: The bytes are not such replies.
    """
    for line in split_lines(chunks):
        try:
            value = json.loads(line)
            if "error" in value:
                yield InvocationError(str(value["message"]), str(value["hint"]))
            else:
                yield images_from_json(value)
        except PARSE_ERRORS as error:
            message = f"A line of the {JSON_LINES} reply is not a reply."
            raise InvocationError(message, DAMAGED_HINT) from error
