"""Answers one HTTP body: by one plan, or line by line if the body holds many requests."""

from collections.abc import Iterator

from facegan.serving.batching.deadline import Deadline
from facegan.serving.limits import ServingLimits
from facegan.serving.many_requests import answer_lines
from facegan.serving.model.served_model import ServedModel
from facegan.serving.plan import NEVER, Plan, encode, generate
from facegan.serving.streaming import stream_lines, stream_pieces
from facegan.wire import JSON_LINES, bare_type


def answer(
    body: bytes,
    content_type: str,
    accept: str | None,
    model: ServedModel,
    limits: ServingLimits,
    deadline: Deadline = NEVER,
    is_stream: bool = False,
) -> tuple[bytes | Iterator[bytes], str]:
    """Return the body of the reply, whole or as a stream, and its content type.

    Args:
        body: The body of the HTTP request; many requests if its type is JSON Lines.
        content_type: Its Content-Type header.
        accept: Its Accept header, or None.
        model: The model that answers.
        limits: Of requests and replies.
        deadline: Until when the client waits.
        is_stream: Whether the client reads a stream, without the limit of a whole reply.

    Raises:
        FaceGANError: The request is refused, or failed before the reply began.
    """
    if bare_type(content_type) == JSON_LINES and not model.reads_json_lines:
        return answer_lines(body, content_type, accept, model, limits, deadline), JSON_LINES
    plan = Plan.of(body, content_type, accept, model, limits, deadline, is_stream)
    if plan.reply_type == JSON_LINES and model.output_fn is None:
        return stream_lines(plan), JSON_LINES
    reply, reply_type = encode(plan, generate(plan))
    if isinstance(reply, Iterator):
        return stream_pieces(plan, reply, reply_type), reply_type
    return reply, reply_type
