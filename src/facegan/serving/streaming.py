"""Streams a reply: one line per image as it is generated, or the pieces of a custom output_fn.

The status of a stream is sent before its end is known. So the first images are generated before it
begins, and what fails by then is an ordinary error; what fails later is reported in a last line.
Lines that may outgrow the limit of a whole reply are streamed only to a client that says that it
reads a stream; to others they are sent whole, or refused with a status.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator

from facegan.errors import FaceGANError, OwnCodeError, RequestTooLarge
from facegan.serving.custom_code.values import to_images
from facegan.serving.limits import ServingLimits
from facegan.serving.plan import Plan, generate
from facegan.serving.telemetry.requests import note, request_id
from facegan.wire import (
    JSON_LINES,
    STREAMED_LINES,
    GenerateRequest,
    Images,
    error_line,
    image_lines,
)

log = logging.getLogger(__name__)

SERVER_SENT_EVENTS = "text/event-stream"
MARGIN = 1.5  # lines of one reply differ by less, so a stream within the limit need not break off


class InternalError(FaceGANError):
    """A fault of the server, as a reply names it."""


def stream_lines(plan: Plan) -> bytes | Iterator[bytes]:
    """Return one line per image; the first images are generated before this returns."""
    plan, blocks = image_blocks(plan)
    lines = lines_of(plan, itertools.chain([next(blocks)], blocks))
    if plan.is_stream:
        return until_error(lines, JSON_LINES)
    return bounded(lines, plan.count, plan.limits)


def bounded(lines: Iterator[bytes], count: int, limits: ServingLimits) -> bytes | Iterator[bytes]:
    """Return a stream of lines if it is sure to be within the limit, else the whole reply."""
    lines = within_limit(lines, count, limits)
    first = next(lines)
    lines = itertools.chain([first], lines)
    if MARGIN * len(first) * count > limits.max_body_bytes:
        return b"".join(lines)
    return until_error(lines, JSON_LINES)


def image_blocks(plan: Plan) -> tuple[Plan, Iterator[Images]]:
    """Return the images (N, H, W, 3) of a plan in blocks, and the plan as it is known by then."""
    if plan.batch is not None:
        assert plan.model.synthesizer is not None
        size = plan.model.synthesizer.batch_sizes.largest
        parts = (plan.batch[start : start + size] for start in range(0, plan.count, size))
        return plan, (plan.model.generate_batch(part, plan.deadline) for part in parts)
    prediction = generate(plan)
    if isinstance(prediction, Iterator) and isinstance(plan.data, GenerateRequest):
        return plan, map(to_images, prediction)
    images = to_images(prediction)
    return plan.for_images(images), iter([images])


def lines_of(plan: Plan, blocks: Iterator[Images]) -> Iterator[bytes]:
    """Yield one line per image."""
    assert plan.provenance is not None
    start = 0
    for images in blocks:
        yield from image_lines(images, plan.provenance, plan.count, start)
        start += len(images)
    if start != plan.count:
        message = f"predict_fn returned {start} images, not {plan.count}."
        raise OwnCodeError(message, "It must return one for each that was requested.")


def within_limit(lines: Iterable[bytes], count: int, limits: ServingLimits) -> Iterator[bytes]:
    """Yield lines as long as they fit into a reply."""
    size = 0
    for number, line in enumerate(lines, 1):
        size += len(line)
        if size > limits.max_body_bytes:
            try:
                limits.check_reply(size * count // number, count)
            except RequestTooLarge as error:
                hint = f"Or accept {STREAMED_LINES}, if you read the reply as a stream."
                raise RequestTooLarge(error.message, f"{error.hint} {hint}".strip()) from None
        yield line


def stream_pieces(plan: Plan, pieces: Iterator[bytes], content_type: str) -> Iterator[bytes]:
    """Return the pieces of a custom output_fn; the first one is made before this returns."""
    first = next(pieces, b"")
    pieces = itertools.chain([first], pieces)
    limited = pieces if plan.is_stream else within_limit(pieces, plan.count, plan.limits)
    return until_error(limited, content_type)


def until_error(pieces: Iterator[bytes], content_type: str) -> Iterator[bytes]:
    """Yield pieces; an error is reported in a last line or event, or else breaks the connection."""
    try:
        yield from pieces
    except FaceGANError as error:
        log.info("%s: broke off: %s", request_id(), error)
        failure = error
    except Exception:
        log.exception("%s: broke off", request_id())
        hint = f"See the server's log for the request id {request_id()}."
        failure = InternalError("The server failed while it answered.", hint)
    else:
        return
    note(error=type(failure).__name__)
    if content_type == JSON_LINES:
        yield error_line(failure)
    elif content_type == SERVER_SENT_EVENTS:
        yield b"event: error\ndata: " + error_line(failure) + b"\n"
    else:
        raise failure
