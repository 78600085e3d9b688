"""model_fn, input_fn, predict_fn, output_fn: SageMaker's four steps from a body to a reply.

The interface is sagemaker-inference's, so its ``Transformer(FaceHandler())`` runs them as they are
(a test does). The server calls them itself, in the same order: ``Transformer.transform`` (1.10.1)
answers every mistake of a caller with 500 and a stack trace, decodes bodies before anyone can check
them, compares content types letter by letter, loads the model in the first request without a lock,
and hands all requests the context of the first.
"""

import threading
from dataclasses import dataclass

import numpy as np

# Drags in scipy (0.1 s) with its decoder, which unpickles .npy bodies and is never called here.
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler

from facegan.artifact import ModelCard, load_artifact
from facegan.errors import ConfigError, RequestError
from facegan.serving.limits import ServingLimits
from facegan.synthesis import Synthesizer, latents_of_seeds, walk
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
    negotiate,
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
    card: ModelCard
    classes: tuple[str, ...] | None = None  # of a conditional model: one a seed or latent
    mix_layers: tuple[int, ...] | None = None  # those that were mixed

    @property
    def provenance(self) -> Provenance:
        """What every picture says of its origin."""
        return Provenance.of_request(self.request, self.card, self.classes, self.mix_layers)


def draw(request: GenerateRequest, model: Synthesizer) -> Images:
    """The images (N, H, W, 3) of a request."""
    psi, classes = request.truncation_psi, request.classes
    if request.mix is not None:
        mixed = model.mix(request.seeds or [], request.mix, request.mix_layers, psi, classes)
        return mixed.reshape(-1, *mixed.shape[2:])
    if request.interpolate is None:
        return model.generate(request.seeds, request.latents, psi, classes)
    # One class for all: the walk's latents name none.
    names = set(model.class_names(request.classified, request.everyone, classes) or ())
    if len(names) > 1:
        raise RequestError("An interpolation is of one class.", "Give classes, one for all.")
    if request.seeds is not None:
        stations = latents_of_seeds(model.artifact, request.seeds)
    else:
        stations = model.check_latents(np.asarray(request.latents))
    way = walk(stations, request.interpolate).numpy()
    return model.generate(None, way, psi, list(names) or None)


def layers_of(model: Synthesizer, layers: list[int] | None) -> tuple[int, ...]:
    """The layers that are mixed: those named, or the finer half."""
    count = model.style_layers
    return tuple(range(count // 2, count)) if layers is None else tuple(sorted(set(layers)))


class FaceHandler(DefaultInferenceHandler):  # type: ignore[misc]  # the toolkit has no types
    """The four functions for faces; one instance serves all threads.

    Args:
        limits: What one request may cost.
        default_accept: The reply's content type where the caller has no wish.

    Raises:
        ConfigError: `default_accept` is not a type that can be written.
    """

    def __init__(self, limits: ServingLimits | None = None, default_accept: str = PNG) -> None:
        self.limits = limits or ServingLimits()
        self.default_accept = writable_type(default_accept)
        self.drawing = threading.Lock()

    def default_model_fn(self, model_dir: str) -> Synthesizer:
        """Load the model of a folder.

        Raises:
            ArtifactError: it holds none, or a damaged one.
        """
        return Synthesizer(load_artifact(model_dir))

    def default_input_fn(self, input_data: bytes | str, content_type: str) -> GenerateRequest:
        """Read a request; the toolkit hands JSON and CSV over as text.

        Raises:
            RequestError: the content type, the body or the number of images is refused.
        """
        body = input_data.encode() if isinstance(input_data, str) else input_data
        request = decode_request(body, content_type)
        self.limits.check_count(request.count)
        return request

    def default_predict_fn(self, data: GenerateRequest, model: Synthesizer) -> Faces:
        """Draw what a request asks for.

        Raises:
            RequestError: it does not fit the model.
        """
        classes = model.class_names(data.classified, data.everyone, data.classes)
        layers = None if data.mix is None else layers_of(model, data.mix_layers)
        return Faces(self.draw(data, model), data, model.card, classes, layers)

    def draw(self, request: GenerateRequest, model: Synthesizer) -> Images:
        """The images (N, H, W, 3) of a request; one at a time, as torch uses all cores for each."""
        with self.drawing:
            return draw(request, model)

    def default_output_fn(self, prediction: Faces, accept: str) -> tuple[bytes, str]:
        """Write faces as the content type the caller likes best, and name it.

        Raises:
            NotAcceptable: the caller accepts none that can be written.
            RequestTooLarge: the reply outgrew the limit.
        """
        content_type = negotiate(accept, OFFERED, self.default_accept)
        request, origin = prediction.request, prediction.provenance
        check_reply_type(request, content_type, prediction.card.image_shape)
        body = encode_reply(prediction.images, request, content_type, origin)
        self.limits.check_reply(len(body), prediction.request.count)
        return body, content_type

    def answer(
        self, model: Synthesizer, body: bytes, content_type: str, accept: str | None
    ) -> tuple[bytes, str]:
        """One request from end to end, everything refused as early as it can be.

        Args:
            model: Draws the faces.
            body: The request's body.
            content_type: Its Content-Type header, parameters and all.
            accept: Its Accept header, or None.

        Returns:
            The reply's body and its content type.

        Raises:
            RequestError: the caller asked for what cannot be read, drawn or written.
        """
        reply_type = negotiate(accept, OFFERED, self.default_accept)
        request = self.default_input_fn(body, content_type)
        check_reply_type(request, reply_type, model.card.image_shape)
        self.limits.check_before_drawing(request.count, model.card.image_shape, reply_type)
        return self.default_output_fn(self.default_predict_fn(request, model), reply_type)
