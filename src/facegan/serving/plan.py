"""One plan per request: what to generate and how to reply, decided once, before anything runs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from facegan.errors import OwnCodeError
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import LARGE_BYTES, LARGE_IMAGES, parsing
from facegan.serving.custom_code.values import Prediction, to_images
from facegan.serving.http.negotiation import accepts_stream, negotiate, preferred_type
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import REPLY_TYPES, ServedModel
from facegan.serving.telemetry.requests import note
from facegan.synthesis import InputBatch
from facegan.wire import (
    IMAGE_CODECS,
    JSON_LINES,
    GenerateRequest,
    ImageReply,
    Images,
    Provenance,
    as_utf8,
    bare_type,
    check_reply_type,
    count_pixels,
    decode_request,
    decode_sources,
    open_sources,
)
from facegan.wire.charsets import TEXT_TYPES
from facegan.wire.source_codecs import SOURCE_CODECS

NEVER = Deadline()
LARGE_FILES = 2**20  # bytes of base64, which is parsed faster than numbers are
LARGE_PIXELS = 2**19  # of source images that are decoded one request at a time


@dataclass(frozen=True)
class Plan:
    """What is generated and sent for one request.

    Attributes:
        model: The model, with its custom functions if it has some.
        limits: Of requests and replies.
        deadline: Until when the client waits.
        reply_type: The content type of the reply; empty if it is not known yet.
        data: The request; or what a custom input_fn returned, for a custom predict_fn.
        count: How many images are generated; 1 if only a custom predict_fn knows.
        batch: Latents and labels; None if a custom predict_fn generates.
        provenance: Written into the images; None if `data` is not a request.
        is_stream: Whether the client reads a stream, to which the size limit does not apply.
    """

    model: ServedModel
    limits: ServingLimits
    deadline: Deadline
    reply_type: str
    data: Any
    count: int = 1
    batch: InputBatch | None = None
    provenance: Provenance | None = None
    is_stream: bool = False

    @classmethod
    def of(
        cls,
        body: bytes,
        content_type: str,
        accept: str | None,
        model: ServedModel,
        limits: ServingLimits,
        deadline: Deadline = NEVER,
        is_stream: bool = False,
    ) -> "Plan":
        """Plan one request; everything that can be refused is refused here."""
        if model.output_fn is None:
            reply_type = negotiate(accept, REPLY_TYPES, model.default_accept)
        else:
            reply_type = preferred_type(accept, model.default_accept)
        if model.input_fn is not None:
            data: Any = model.input_fn(body, bare_type(content_type))
        elif len(body) < LARGE_BYTES or is_quickly_read(body, content_type, model):
            data = decode_request(body, content_type, model.signature)
        else:
            data = read_large_request(body, content_type, model, limits, deadline)
        is_stream = is_stream or accepts_stream(accept, reply_type)
        plan = cls(model, limits, deadline, reply_type, data, is_stream=is_stream)
        if isinstance(data, GenerateRequest):
            plan = plan.for_request(data)
            note(images=plan.count, bytes_in=len(body))
        return plan

    def for_request(self, request: GenerateRequest) -> "Plan":
        """Return the plan with the images of a request."""
        count, model = request.count, self.model
        if count > self.limits.max_images:
            self.limits.check_count(count)
        if model.synthesizer is None:
            return replace(self, count=count)
        if request.sources or request.direction or model.signature.source:
            request = model.signature.complete(request)
        arguments = request.generation_args
        card = model.synthesizer.card
        if self.reply_type and model.output_fn is None:
            check_reply_type(request, self.reply_type, card.image_shape)
            if not (self.is_stream and self.reply_type == JSON_LINES):
                size = IMAGE_CODECS[self.reply_type].min_encoded_size(count, card.image_shape)
                if size > self.limits.max_body_bytes:
                    self.limits.check_reply(size, count)
        sources = self.decode(request) if request.sources else {}
        if model.predict_fn is not None:
            origin, data = Provenance.of_request(request, card), request
            if sources:
                data = request.with_fields(**sources)
            return replace(self, count=count, provenance=origin, data=data)
        batch = model.synthesizer.prepare_batch(**arguments, **sources)
        classes = model.synthesizer.class_names(batch) if card.classes else None
        provenance = Provenance.of_request(request, card, classes, batch.mixed_layers)
        return replace(self, count=count, batch=batch, provenance=provenance)

    def decode(self, request: GenerateRequest) -> dict[str, Any]:
        """Decode a request's images and label maps to the model's side; large ones one at a time.

        Returns:
            Arguments of prepare_batch: arrays by field, and the direction.
        """
        opened = open_sources(request, self.limits.max_pixels)
        is_large = count_pixels(opened) >= LARGE_PIXELS
        with LARGE_IMAGES.turn(self.deadline) if is_large else contextlib.nullcontext():
            arrays = decode_sources(opened, self.model.signature)
        return arrays | ({"direction": request.direction} if request.direction else {})

    def with_accept(self, accept: str) -> "Plan":
        """Return the plan with the reply type that an Accept header prefers."""
        reply_type = negotiate(accept, REPLY_TYPES, self.model.default_accept)
        return replace(self, reply_type=reply_type).for_request(self.data)

    def for_images(self, images: Images) -> "Plan":
        """Return the plan with the request and provenance of a custom predict_fn's images."""
        synthesizer = self.model.synthesizer
        if synthesizer is None:
            raise OwnCodeError(
                "predict_fn returned images of a model without a card.", "Write output_fn, too."
            )
        request = self.data
        if not isinstance(request, GenerateRequest) or self.count != len(images):
            width = max(1, synthesizer.card.latent_dim)
            request = GenerateRequest(latents=[[0.0] * width] * len(images))
        _, height, width, channels = images.shape
        check_reply_type(request, self.reply_type, (channels, height, width))
        provenance = self.provenance
        if provenance is None or request is not self.data:
            provenance = Provenance.of_request(request, synthesizer.card)
        return replace(self, data=request, count=len(images), provenance=provenance)


def is_quickly_read(body: bytes, content_type: str, model: ServedModel) -> bool:
    """Return whether a large body is read within a millisecond or two, as files are."""
    has_files = len(body) < LARGE_FILES or bare_type(content_type) in SOURCE_CODECS
    return model.signature.source is not None and has_files


def read_large_request(
    body: bytes, content_type: str, model: ServedModel, limits: ServingLimits, deadline: Deadline
) -> GenerateRequest:
    """Decode a request, one at a time."""
    if bare_type(content_type) in TEXT_TYPES:
        body, content_type = as_utf8(body, content_type), bare_type(content_type)
    if model.signature.source is None:
        limits.check_body(body, content_type, *model.request_widths)
    with parsing(len(body), deadline):
        return decode_request(body, content_type, model.signature)


def generate(plan: Plan) -> Any:
    """Generate the images of a plan; or return what the custom predict_fn returns."""
    if plan.batch is not None and plan.model.batcher is not None:
        return plan.model.batcher.draw(plan.batch, plan.deadline)
    assert plan.model.predict_fn is not None
    return plan.model.predict_fn(plan.data, plan.deadline)


def encode(plan: Plan, prediction: Any) -> tuple[bytes | Iterator[bytes], str]:
    """Return the body of the reply and its content type."""
    if plan.model.output_fn is not None:
        if plan.batch is not None:
            assert plan.provenance is not None
            prediction = Prediction(prediction, plan.data, plan.provenance)
        body, content_type = plan.model.output_fn(prediction, plan.reply_type)
    else:
        if plan.batch is None:
            prediction = to_images(prediction)
            plan = plan.for_images(prediction)
        request, content_type = plan.data, plan.reply_type
        assert plan.provenance is not None
        layout, columns = request.layout, request.grid_columns
        settings = layout, columns, request.quality, request.frame_ms
        image_reply = ImageReply(prediction, plan.provenance, *settings)
        body = IMAGE_CODECS[content_type].encode(image_reply)
    if isinstance(body, bytes) and len(body) > plan.limits.max_body_bytes:
        plan.limits.check_reply(len(body), plan.count)
    return body, content_type
