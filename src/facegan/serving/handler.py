"""model_fn, input_fn, predict_fn, output_fn: SageMaker's four steps from a body to a reply.

The interface is sagemaker-inference's, so its ``Transformer(FaceHandler())`` runs them as they are
(a test does). Its base class is not derived from: the module that holds it loads scipy, a tenth of
a second of the start, for a decoder that unpickles .npy bodies and would never be called here. The
server calls them itself, in the same order: ``Transformer.transform`` (1.10.1) answers every
mistake of a caller with 500 and a stack trace, decodes bodies before anyone can check them,
compares content types letter by letter, loads the model in the first request without a lock, and
hands all requests the context of the first.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ConfigError
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import parsing
from facegan.serving.http.negotiation import negotiate
from facegan.serving.limits import MAX_LATENT_DIM, ServingLimits
from facegan.serving.telemetry import note
from facegan.synthesis import LatentBatch, Synthesizer, open_synthesizer
from facegan.wire import (
    IMAGE_CODECS,
    PNG,
    GenerateRequest,
    Images,
    Provenance,
    bare_type,
    check_reply_type,
    decode_request,
    encode_reply,
)

OFFERED = tuple(IMAGE_CODECS)  # the content types of replies


def writable_type(content_type: str) -> str:
    """A content type without its parameters, if replies can be written as it.

    Raises:
        ConfigError: they cannot.
    """
    name = bare_type(content_type)
    if name not in OFFERED:
        hint = "It must be one of " + ", ".join(OFFERED) + "."
        raise ConfigError(f"The default type of replies is {content_type!r}.", hint)
    return name


@dataclass(frozen=True)
class Faces:
    """What was drawn, for whom, and by which model."""

    images: Images  # uint8 (N, H, W, 3)
    request: GenerateRequest
    provenance: Provenance  # what every picture says of its origin


def batch_for(request: GenerateRequest, model: Synthesizer) -> LatentBatch:
    """What a model draws from for a request.

    Raises:
        RequestError: it does not fit the model.
    """
    return model.prepare_batch(**request.generation_args)


def provenance_of(request: GenerateRequest, model: Synthesizer, batch: LatentBatch) -> Provenance:
    """Where the images of a request's batch come from."""
    classes = model.class_names(request.label_count, request.label_seeds, request.classes)
    return Provenance.of_request(request, model.card, classes, batch.mixed_layers)


Generate = Callable[[Synthesizer, LatentBatch, Deadline], Images]


class FaceHandler:
    """The four functions for faces; one instance serves all threads.

    Args:
        limits: What one request may cost.
        default_accept: The reply's content type where the caller has no wish.
        generate: Draws a batch; without one, the model itself does, for one caller at a time.

    Raises:
        ConfigError: `default_accept` is not a type that can be written.
    """

    def __init__(
        self,
        limits: ServingLimits | None = None,
        default_accept: str = PNG,
        generate: Generate | None = None,
    ) -> None:
        self.limits = limits or ServingLimits()
        self.default_accept = writable_type(default_accept)
        self.generate = generate or self.generate_alone
        self.lock = threading.Lock()

    def default_model_fn(self, model_dir: str) -> Synthesizer:
        """Load the model of a folder.

        Raises:
            ArtifactError: it holds none, or a damaged one.
        """
        return open_synthesizer(Path(model_dir))

    def default_input_fn(self, input_data: bytes | str, content_type: str) -> GenerateRequest:
        """Read a request; the toolkit hands JSON and CSV over as text.

        Raises:
            RequestError: the content type, the body or the number of images is refused.
        """
        body = input_data.encode() if isinstance(input_data, str) else input_data
        request = decode_request(body, content_type)
        self.limits.check_count(request.count)
        return request

    def check_size(self, body: bytes, content_type: str, model: object) -> None:
        """Refuse a body by its size, before it is parsed.

        Raises:
            RequestTooLarge: the largest request to the model takes less.
        """
        self.limits.check_body(body, content_type, *size_of(model))

    def read(
        self, body: bytes, content_type: str, model: object, deadline: Deadline
    ) -> GenerateRequest:
        """Read a request as :meth:`default_input_fn`: checked by size first, large ones in turn.

        Raises:
            RequestError: it is refused.
            ServingUnavailable: too many large bodies wait to be parsed.
        """
        self.check_size(body, content_type, model)
        with parsing(len(body), deadline):
            return self.default_input_fn(body, content_type)

    def default_predict_fn(
        self, data: GenerateRequest, model: Synthesizer, context: object = None
    ) -> Faces:
        """Draw what a request asks for; the context may be the caller's :class:`Deadline`.

        Raises:
            RequestError: it does not fit the model.
            ServingUnavailable: the model is too busy to draw it in time.
        """
        deadline = context if isinstance(context, Deadline) else Deadline()
        batch = batch_for(data, model)
        return Faces(self.generate(model, batch, deadline), data, provenance_of(data, model, batch))

    def generate_alone(self, model: Synthesizer, batch: LatentBatch, deadline: Deadline) -> Images:
        """Draw for one caller at a time, as torch uses all cores for each."""
        with self.lock:
            return model.generate_batch(batch)

    def default_output_fn(self, prediction: Faces, accept: str) -> tuple[bytes, str]:
        """Write faces as the content type the caller likes best, and name it.

        Raises:
            NotAcceptable: the caller accepts none that can be written.
            RequestTooLarge: the reply outgrew the limit.
        """
        content_type = self.reply_type(accept)
        request, origin = prediction.request, prediction.provenance
        check_reply_type(request, content_type, shape_of(prediction.images))
        body = encode_reply(prediction.images, request, content_type, origin)
        self.limits.check_reply(len(body), prediction.request.count)
        return body, content_type

    def reply_type(self, accept: str | None) -> str:
        """The content type that a caller likes best.

        Raises:
            NotAcceptable: none that can be written.
        """
        return negotiate(accept, OFFERED, self.default_accept)

    def check(self, request: GenerateRequest, reply_type: str, model: Synthesizer) -> None:
        """Refuse, before anything is drawn, what cannot be answered as a content type.

        Raises:
            RequestError: the type cannot do what is asked.
            RequestTooLarge: such a reply could not fit.
        """
        check_reply_type(request, reply_type, model.card.image_shape)
        self.limits.check_before_drawing(request.count, model.card.image_shape, reply_type)

    def answer(
        self,
        model: Synthesizer,
        body: bytes,
        content_type: str,
        accept: str | None,
        deadline: Deadline | None = None,
    ) -> tuple[bytes, str]:
        """One request from end to end, everything refused as early as it can be.

        Args:
            model: Draws the faces.
            body: The request's body.
            content_type: Its Content-Type header, parameters and all.
            accept: Its Accept header, or None.
            deadline: How long the caller waits; None is for ever.

        Returns:
            The reply's body and its content type.

        Raises:
            RequestError: the caller asked for what cannot be read, drawn or written.
            ServingUnavailable: the model is too busy to draw it in time.
        """
        reply_type = self.reply_type(accept)
        request = self.read(body, content_type, model, deadline or Deadline())
        note(images=request.count, bytes_in=len(body))
        self.check(request, reply_type, model)
        faces = self.default_predict_fn(request, model, deadline)
        return self.default_output_fn(faces, reply_type)


def size_of(model: object) -> tuple[int, int]:
    """The width of a model's latents, and the length of its longest class name."""
    if not isinstance(model, Synthesizer):
        return MAX_LATENT_DIM, 0
    names = [name for name, _ in model.card.classes]
    return model.card.latent_dim, max(map(len, names), default=0)


def shape_of(images: Images) -> tuple[int, int, int]:
    """(3, H, W) of images (N, H, W, 3)."""
    _, height, width, channels = images.shape
    return channels, height, width
