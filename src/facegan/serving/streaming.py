"""Answers in lines: images one by one as they are drawn, and many requests of one body in order.

A stream's status is sent before its end is known. So the first images are drawn before it begins,
and what fails by then is an ordinary refusal; what fails later is told in a last line, which has
the form of a refusal. Lines that may outgrow what a whole reply may be are not streamed, unless
their caller says that it reads a stream: so they are refused with a status, too.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from facegan.errors import FaceGANError, RequestError, RequestTooLarge
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import parsing
from facegan.serving.handler import FaceHandler, batch_for, provenance_of, size_of
from facegan.serving.http.negotiation import accepts_stream, negotiate
from facegan.serving.limits import ServingLimits
from facegan.serving.telemetry import note
from facegan.synthesis import LatentBatch, Synthesizer
from facegan.wire import (
    JSON,
    JSON_LINES,
    STREAMED_LINES,
    GenerateRequest,
    Images,
    Provenance,
    RequestLine,
    as_utf8,
    bare_type,
    check_reply_type,
    encode_images,
    error_line,
    image_lines,
    iter_requests,
)

log = logging.getLogger(__name__)

Draw = Callable[[LatentBatch], Images]
ROOM = 1.5  # lines of one reply differ by less, so that such a stream need not break off


def answer(
    handler: FaceHandler,
    model: Synthesizer,
    body: bytes,
    content_type: str,
    accept: str | None,
    deadline: Deadline,
    request_id: str = "",
) -> tuple[bytes | Iterator[bytes], str]:
    """One body from end to end: as :meth:`FaceHandler.answer`, and in lines where they are asked.

    Args:
        handler: Reads, draws and writes.
        model: Draws the faces.
        body: The request's body; many requests if its type is JSON Lines.
        content_type: Its Content-Type header.
        accept: Its Accept header, or None.
        deadline: How long the caller waits.
        request_id: Ties a fault in mid-stream to the log.

    Returns:
        The reply's body, whole or as a stream, and its content type.

    Raises:
        FaceGANError: as :meth:`FaceHandler.answer`, before a stream begins.
    """

    def draw(batch: LatentBatch) -> Images:
        return handler.generate(model, batch, deadline)

    body, content_type = as_utf8(body, content_type), bare_type(content_type)
    if content_type == JSON_LINES:
        negotiate(accept, (JSON_LINES,), JSON_LINES)
        note(bytes_in=len(body))
        handler.check_size(body, content_type, model)
        return answer_lines(body, model, draw, handler.limits, deadline), JSON_LINES
    if handler.reply_type(accept) != JSON_LINES:
        return handler.answer(model, body, content_type, accept, deadline)
    request = handler.read(body, content_type, model, deadline)
    note(images=request.count, bytes_in=len(body))
    check_reply_type(request, JSON_LINES)
    limits = None if accepts_stream(accept) else handler.limits
    if limits is not None:
        limits.check_before_drawing(request.count, model.card.image_shape, JSON_LINES)
    batch = batch_for(request, model)
    origin = provenance_of(request, model, batch)
    lines = face_lines(batch, draw, origin, model.batch_sizes.largest)
    return written(lines, len(batch), limits, request_id), JSON_LINES


# --- the images of one request ------------------------------------------------------------------


def face_lines(
    batch: LatentBatch, draw: Draw, provenance: Provenance, at_once: int = 16
) -> Iterator[bytes]:
    """A line an image, each as soon as it is drawn.

    Args:
        batch: N ≥ 1 images to draw.
        draw: Draws a slice of them; the first is drawn before this returns.
        provenance: Of all of them.
        at_once: How many are drawn between two looks at the lines.

    Raises:
        FaceGANError: the first slice failed; what fails later is raised between the lines.
    """
    return lines_after(draw(batch[:at_once]), batch, draw, provenance)


def lines_after(
    first: Images, batch: LatentBatch, draw: Draw, provenance: Provenance
) -> Iterator[bytes]:
    """The lines of the first images, then of the others in slices as large."""
    count, step = len(batch), len(first)
    yield from image_lines(first, provenance, count)
    for start in range(step, count, step):
        images = draw(batch[start : start + step])
        yield from image_lines(images, provenance, count, start)


def written(
    lines: Iterator[bytes], count: int, limits: ServingLimits | None, request_id: str = ""
) -> bytes | Iterator[bytes]:
    """The reply that lines make: a stream where it is sure to fit, else whole.

    Args:
        lines: One of each of `count` images.
        count: How many will come.
        limits: Those of a whole reply; None for a caller that reads a stream.
        request_id: For the log, if a stream breaks off.

    Raises:
        RequestTooLarge: the lines outgrew the limit.
        FaceGANError: they could not be drawn, and no stream had begun.
    """
    if limits is None:
        return broken_off(lines, request_id)
    first = next(lines)
    lines = itertools.chain([first], lines)
    if ROOM * len(first) * count > limits.max_body_bytes:
        return b"".join(fitting(lines, count, limits))
    return broken_off(fitting(lines, count, limits), request_id)


def fitting(lines: Iterable[bytes], count: int, limits: ServingLimits) -> Iterator[bytes]:
    """Lines as long as they fit into a reply.

    Raises:
        RequestTooLarge: the next does not.
    """
    size = 0
    for number, line in enumerate(lines, 1):
        size += len(line)
        if size > limits.max_body_bytes:
            refuse_lines(size * count // number, count, limits)
        yield line


def refuse_lines(size: int, count: int, limits: ServingLimits) -> None:
    """Refuse lines that would take about so many bytes, and tell of streams."""
    try:
        limits.check_reply(size, count)
    except RequestTooLarge as error:
        hint = f"Or accept {STREAMED_LINES}, if you read the reply as a stream."
        raise RequestTooLarge(error.message, f"{error.hint} {hint}".strip()) from None


def broken_off(lines: Iterator[bytes], request_id: str) -> Iterator[bytes]:
    """Lines, the last of which tells what went wrong, if it does."""
    try:
        yield from lines
    except FaceGANError as error:
        note(error=type(error).__name__)
        log.info("%s: broke off: %s", request_id, error)
        yield error_line(error)
    except Exception:
        note(error=InternalError.__name__)
        log.exception("%s: broke off", request_id)
        hint = f"The server's log tells why, at the request id {request_id}."
        yield error_line(InternalError("The server failed while it answered.", hint))


class InternalError(FaceGANError):
    """A fault of ours, as a refusal names it."""


# --- many requests ------------------------------------------------------------------------------


def answer_lines(
    body: bytes,
    model: Synthesizer,
    draw: Draw,
    limits: ServingLimits,
    deadline: Deadline | None = None,
) -> bytes:
    """The answers to all lines of a body, a line each, in order.

    All lines are read twice: their images are counted before any is drawn, and no more than one
    window of requests is ever held. A line that is wrong is answered as such; if the model is too
    busy for one, all are refused, for the caller to send again.

    Raises:
        RequestTooLarge: the lines ask for too many images, or their answers are too long.
        ServingUnavailable: the model is too busy.
    """
    most = limits.max_request_bytes(JSON, *size_of(model))
    with parsing(len(body), deadline or Deadline()):
        count = sum(images_of(line) for line in usable_lines(body, limits, most))
    note(images=count)
    limits.check_lines(count)
    limits.check_before_drawing(count, model.card.image_shape, JSON)
    pieces: list[bytes] = []
    size = 0
    for window in windows(usable_lines(body, limits, most), limits.max_images):
        for piece in answer_window(window, model, draw):
            pieces.append(piece)
            size += len(piece)
            limits.check_reply(size, len(pieces), "lines")
    return b"".join(pieces)


def usable_lines(body: bytes, limits: ServingLimits, max_line_bytes: int) -> Iterator[RequestLine]:
    """The lines of a body, those that ask for too much as errors."""
    for number, request in iter_requests(body, max_line_bytes):
        yield RequestLine(number, refused(request, limits))


def refused(
    request: GenerateRequest | RequestError, limits: ServingLimits
) -> GenerateRequest | RequestError:
    """A line's request, or why it cannot be answered in JSON."""
    try:
        if isinstance(request, GenerateRequest):
            limits.check_count(request.count)
            check_reply_type(request, JSON)
    except RequestError as error:
        return error
    return request


def images_of(line: RequestLine) -> int:
    """How many images a line asks for; none if it is wrong."""
    return line.request.count if isinstance(line.request, GenerateRequest) else 0


def windows(lines: Iterable[RequestLine], images: int) -> Iterator[list[RequestLine]]:
    """Lines in order, in groups of at most about so many images."""
    window: list[RequestLine] = []
    held = 0
    for line in lines:
        window.append(line)
        held += max(1, images_of(line))
        if held >= images:
            yield window
            window, held = [], 0
    if window:
        yield window


def answer_window(window: Sequence[RequestLine], model: Synthesizer, draw: Draw) -> Iterator[bytes]:
    """The answers to some lines, whose images are drawn together where they are of one kind."""
    prepared = [prepare(line.request, model) for line in window]
    drawn = draw_together(
        [item[0] for item in prepared if not isinstance(item, RequestError)], draw
    )
    for line, item in zip(window, prepared, strict=True):
        if isinstance(item, RequestError):
            yield error_line(item, line.number)
        else:
            yield encode_images(next(drawn), JSON, provenance=item[1]) + b"\n"


def prepare(
    request: GenerateRequest | RequestError, model: Synthesizer
) -> tuple[LatentBatch, Provenance] | RequestError:
    """What is to be drawn for a line, or why it cannot be."""
    if isinstance(request, RequestError):
        return request
    try:
        batch = batch_for(request, model)
        return batch, provenance_of(request, model, batch)
    except RequestError as error:
        return error


def draw_together(parts: Sequence[LatentBatch], draw: Draw) -> Iterator[Images]:
    """The images of each of several wishes, drawn in as few calls as there are kinds."""
    kinds: dict[object, list[int]] = {}
    for index, batch in enumerate(parts):
        kinds.setdefault(batch.kind, []).append(index)
    found: dict[int, Images] = {}
    for members in kinds.values():
        images = draw(LatentBatch.join([parts[index] for index in members]))
        for index in members:
            count = len(parts[index])
            found[index], images = images[:count], images[count:]
    return (found[index] for index in range(len(parts)))
