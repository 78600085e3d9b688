"""Many requests in one body, one a line, and their answers in the same order: JSON Lines.

SageMaker's batch transform splits files into lines, sends as many at once as its MaxPayloadInMB
holds (MULTI_RECORD), and expects a line of answer for each. So a wrong line has an answer of its
own, and an empty one is a wrong line: were it skipped, every answer after it would stand beside the
wrong input. What follows the last line feed is a line only if there is anything.

https://jsonlines.org
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from facegan.errors import FaceGANError, InvocationError, RequestError, RequestTooLarge
from facegan.wire.content_types import JSON_LINES
from facegan.wire.face_codecs import DAMAGE, Face, answer_object, faces_of, lines_of
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.request_codecs import decode_json, encode_json
from facegan.wire.sheet import BROKEN, Sheet
from facegan.wire.wording import EXAMPLE

MAX_LINES = 65_536  # far above what a server draws; a body of line feeds would keep it busy


class RequestLine(NamedTuple):
    """One line of a body: a request, or why it is none."""

    number: int  # from 1
    request: GenerateRequest | RequestError


def request_lines(body: bytes, max_line_bytes: int | None = None) -> Iterator[RequestLine]:
    """Read requests, one at a time.

    Args:
        body: The lines.
        max_line_bytes: A longer one is wrong, and is not parsed.

    Raises:
        RequestTooLarge: there are over ``MAX_LINES`` lines.
        RequestError: there is none. What is wrong with a line is told in its place.
    """
    if body.count(b"\n") > MAX_LINES:
        raise RequestTooLarge(f"The body has over {MAX_LINES:,} lines.", "Split it.")
    if not body:
        raise RequestError(f"The {JSON_LINES} body has no line.", EXAMPLE)
    return read_lines(body, max_line_bytes or len(body))


def read_lines(body: bytes, max_line_bytes: int) -> Iterator[RequestLine]:
    """Each line of a body that has some."""
    start, number = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if end - start > max_line_bytes:
            told = f"The line is longer than {max_line_bytes:,} bytes."
            yield RequestLine(number, RequestTooLarge(told, "Split it into several lines."))
        else:
            yield RequestLine(number, request_or_error(body[start:end]))
        start = end + 1


def request_or_error(line: bytes) -> GenerateRequest | RequestError:
    """What one line asks for, or what is wrong with it."""
    if not line.strip():
        return RequestError("The line is empty.", EXAMPLE)
    try:
        return decode_json(line)
    except RequestError as error:
        return error


def encode_lines(requests: Iterable[GenerateRequest]) -> bytes:
    """Write requests, one a line."""
    return b"".join(encode_json(request) + b"\n" for request in requests)


def answer_line(sheet: Sheet) -> bytes:
    """The answer to one line: what ``application/json`` answers to one request."""
    return json.dumps(answer_object(sheet)).encode() + b"\n"


def error_line(error: FaceGANError, number: int | None = None) -> bytes:
    """The answer to a line that is wrong, or the last line of a stream that broke off."""
    told = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    place = {} if number is None else {"line": number}
    return json.dumps(told | place).encode() + b"\n"


def read_answers(chunks: Iterable[bytes]) -> Iterator[list[Face] | InvocationError]:
    """The answers to the lines of a body, in order: faces, or why there are none.

    Raises:
        InvocationError: the bytes are no such answers.
    """
    for line in lines_of(chunks):
        try:
            told = json.loads(line)
            if "error" in told:
                yield InvocationError(str(told["message"]), str(told["hint"]))
            else:
                yield faces_of(told)
        except DAMAGE as cause:
            raise InvocationError(f"A line of the {JSON_LINES} answer is none.", BROKEN) from cause
