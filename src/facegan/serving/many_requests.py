"""Answers the many requests of one JSON Lines body, one line each, in order."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from facegan.errors import FaceGANError, OwnCodeError, RequestError, RequestTooLarge
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import parsing
from facegan.serving.custom_code.functions import OwnRefusal
from facegan.serving.http.negotiation import negotiate
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServedModel
from facegan.serving.plan import Plan, encode, generate
from facegan.serving.telemetry.requests import note
from facegan.synthesis import InputBatch
from facegan.wire import (
    IMAGE_CODECS,
    JSON,
    JSON_LINES,
    GenerateRequest,
    Images,
    as_utf8,
    check_reply_type,
    count_pixels,
    error_line,
    iter_requests,
    open_sources,
)

LINE_ERRORS = (RequestError, OwnRefusal, OwnCodeError)  # of one line; others refuse the body


class Line(NamedTuple):
    """One line of a body: a request, bytes for a custom input_fn, or what is wrong with it."""

    number: int  # from 1
    request: GenerateRequest | bytes | FaceGANError


def answer_lines(
    body: bytes,
    content_type: str,
    accept: str | None,
    model: ServedModel,
    limits: ServingLimits,
    deadline: Deadline,
) -> bytes:
    """Return the replies to all lines of a body.

    Requests that this project's code reads are read twice: their images are counted before any is
    generated, and no more than one window of requests is ever held. A wrong line gets an error as
    its reply; if the model is too busy for one line, the whole body is refused.
    """
    negotiate(accept, (JSON_LINES,), JSON_LINES)
    body = as_utf8(body, content_type)
    note(bytes_in=len(body))
    if model.input_fn is None:
        lines = check_lines(body, model, limits, deadline)
    else:
        lines = custom_lines(body)
    pieces: list[bytes] = []
    size = 0
    for window in windows(lines, limits.max_images):
        for piece in answer_window(window, model, limits, deadline):
            pieces.append(piece)
            size += len(piece)
            limits.check_reply(size, len(pieces), "lines")
    return b"".join(pieces)


def check_lines(
    body: bytes, model: ServedModel, limits: ServingLimits, deadline: Deadline
) -> Iterator[Line]:
    """Return the requests of a body, after checking its size and the number of images."""
    max_line_bytes = len(body)
    if model.signature.source is None:
        limits.check_body(body, JSON_LINES, *model.request_widths)
        max_line_bytes = limits.max_request_bytes(JSON, *model.request_widths)
    with parsing(len(body), deadline):
        count = pixels = 0
        for line in checked_requests(body, limits, max_line_bytes):
            count += count_images(line)
            pixels += line_pixels(line, limits)
    note(images=count)
    limits.check_lines(count)
    limits.check_pixels(pixels)
    if model.synthesizer is not None and model.output_fn is None:
        shape = model.synthesizer.card.image_shape
        limits.check_reply(IMAGE_CODECS[JSON].min_encoded_size(count, shape), count)
    return checked_requests(body, limits, max_line_bytes)


def checked_requests(body: bytes, limits: ServingLimits, max_line_bytes: int) -> Iterator[Line]:
    """Yield the requests of a body; those beyond the limits, or not possible in JSON, as errors."""
    for number, request in iter_requests(body, max_line_bytes):
        try:
            if isinstance(request, GenerateRequest):
                limits.check_count(request.count)
                check_reply_type(request, JSON)
            yield Line(number, request)
        except RequestError as error:
            yield Line(number, error)


def custom_lines(body: bytes) -> Iterator[Line]:
    """Yield the lines of a body for a custom input_fn, as bytes."""
    for number, line in enumerate(body.removesuffix(b"\n").split(b"\n"), 1):
        yield Line(number, line)


def count_images(line: Line) -> int:
    """Return how many images a line asks for; 0 if that is unknown, or the line is wrong."""
    return line.request.count if isinstance(line.request, GenerateRequest) else 0


def line_pixels(line: Line, limits: ServingLimits) -> int:
    """Return how many pixels the source images of a line have; 0 if they are wrong."""
    if not isinstance(line.request, GenerateRequest) or not line.request.sources:
        return 0
    try:
        return count_pixels(open_sources(line.request, limits.max_pixels))
    except RequestError:  # the line gets it as its reply
        return 0


def windows(lines: Iterable[Line], images: int) -> Iterator[list[Line]]:
    """Yield lines in order, in groups of about so many images at most."""
    window: list[Line] = []
    held = 0
    for line in lines:
        window.append(line)
        held += max(1, count_images(line))
        if held >= images:
            yield window
            window, held = [], 0
    if window:
        yield window


def answer_window(
    window: Sequence[Line], model: ServedModel, limits: ServingLimits, deadline: Deadline
) -> Iterator[bytes]:
    """Yield the replies to some lines, whose images are generated in as few calls as possible."""
    plans = [plan_line(line, model, limits, deadline) for line in window]
    images = generate_together([plan for plan in plans if isinstance(plan, Plan)])
    for line, plan in zip(window, plans, strict=True):
        if not isinstance(plan, Plan):
            yield error_line(plan, line.number)
            continue
        try:
            reply, _ = encode(plan, images.get(id(plan)) if plan.batch else generate(plan))
            yield one_line(reply if isinstance(reply, bytes) else b"".join(reply)) + b"\n"
        except RequestTooLarge:
            raise
        except LINE_ERRORS as error:
            yield error_line(error, line.number)


def plan_line(
    line: Line, model: ServedModel, limits: ServingLimits, deadline: Deadline
) -> Plan | FaceGANError:
    """Return the plan of one line, or what is wrong with it."""
    try:
        if isinstance(line.request, GenerateRequest):
            plan = Plan(model, limits, deadline, JSON, line.request)
            return plan.for_request(line.request)
        if isinstance(line.request, bytes):
            return Plan.of(line.request, JSON, JSON, model, limits, deadline)
        return line.request
    except LINE_ERRORS as error:
        return error


def generate_together(plans: Sequence[Plan]) -> dict[int, Images]:
    """Return images by the id of their plan; batches of one kind are generated in one call."""
    kinds: dict[object, list[tuple[Plan, InputBatch]]] = {}
    for plan in plans:
        if plan.batch is not None:
            kinds.setdefault(plan.batch.kind, []).append((plan, plan.batch))
    images: dict[int, Images] = {}
    for members in kinds.values():
        first, _ = members[0]
        batch = InputBatch.join([batch for _, batch in members])
        generated = first.model.generate_batch(batch, first.deadline)
        for plan, _ in members:
            images[id(plan)], generated = generated[: plan.count], generated[plan.count :]
    return images


def one_line(reply: bytes) -> bytes:
    """Return a reply without line feeds."""
    reply = reply.strip(b"\r\n")
    if b"\n" not in reply:
        return reply
    try:
        return json.dumps(json.loads(reply)).encode()
    except ValueError as error:
        raise OwnCodeError(
            "output_fn returned several lines, of which one is a reply here.",
            "Return JSON, or text without line feeds, for a request of JSON Lines.",
        ) from error
