"""The Python client: requests images from an endpoint, as arrays, files or streams."""

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from facegan.client.sources import Sources, read_sources
from facegan.client.transports import Reply, StreamingTransport, Transport
from facegan.errors import InvocationError, RequestError
from facegan.wire import (
    JPEG,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    STREAMED_LINES,
    WEBP,
    ZIP,
    GeneratedImage,
    GenerateRequest,
    bare_type,
    check_reply_type,
    decode_images,
    encode_lines,
    encode_request,
    iter_images,
    iter_replies,
    parse_images,
)

Classes = Sequence[int | str]  # indices or names: one per image, or one for all

ABOUT = b'{"about": true}'
HINTS = {  # for endpoints that give none
    404: "Check the URL or the endpoint's name.",
    413: "Ask for fewer images at once.",
    503: "It is starting, or busy; ask again in a few seconds.",
}


class GenerationArgs(TypedDict, total=False):
    """Arguments that every method takes; see :class:`facegan.wire.GenerateRequest`."""

    latents: npt.ArrayLike | None  # (N, width), instead of seeds
    truncation_psi: float
    classes: Classes | None
    interpolate: int | None  # frames from each seed or latent to the next
    mix: Sequence[int] | None  # seeds whose styles each of the seeds takes
    mix_layers: Sequence[int] | None  # which layers; the finer half by default
    images: Sources | None  # to be translated
    label_maps: Sources | None  # to be painted: one per seed, or one for all
    styles: Sources | None  # images whose style a painted label map gets, instead of seeds
    direction: str | None  # "AtoB" or "BtoA", for a model that translates both ways


class FaceClient:
    """A client of an endpoint.

    Every method sends one request. It takes seeds (0 … 2**32 - 1) or latents, not both, and the
    other :class:`GenerationArgs`. A conditional model takes classes by index or name, one per image
    or one for all; without them, each seed has its own. Source images, label maps and styles are
    paths, Pillow images or arrays, uint8 (H, W, 3) and class numbers (H, W); one, or several. The
    model's own side and crop are applied to them. All raise:

    * RequestError: the request is wrong, or a file cannot be read; nothing was sent.
    * InvocationError: the endpoint refused it, failed, could not be reached, or sent an invalid
      answer.

    Args:
        transport: How to reach it, as ``HttpTransport("http://localhost:8080")``.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def generate(
        self, seeds: Sequence[int] | None = None, **args: Unpack[GenerationArgs]
    ) -> npt.NDArray[np.uint8]:
        """Return uint8 images (N, H, W, 3): one per seed or latent, or as the arguments say."""
        return decode_images(self.invoke(build_request(seeds, **args), NPY), NPY)

    def translate(self, images: Sources, direction: str | None = None) -> npt.NDArray[np.uint8]:
        """Return each of N images as the model translates it: uint8 (N, H, W, 3).

        Args:
            images: Paths, Pillow images or uint8 arrays; one or several.
            direction: "AtoB" or "BtoA", for a model that has both; its first by default.
        """
        return self.generate(images=images, direction=direction)

    def paint(
        self,
        label_maps: Sources,
        seeds: Sequence[int] | None = None,
        styles: Sources | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return images painted after label maps: uint8 (N, H, W, 3).

        Of N maps and M seeds one is 1, or they are pairs; as of N maps and M styles.

        Args:
            label_maps: Paths (PNG: palette, grey or the classes' colours), Pillow images, or arrays
                of class numbers; one or several.
            seeds: What label maps leave open, such as colours; seed 0 by default.
            styles: Images whose style is taken instead, if the model has an encoder.
        """
        return self.generate(seeds, label_maps=label_maps, styles=styles)

    def about(self) -> dict[str, Any]:
        """Return what the endpoint says of its model: what it takes and makes, and its limits.

        See docs/serving-reference.md for the fields.
        """
        reply = check_reply(self.transport.send(ABOUT, JSON, JSON), JSON)
        try:
            found = json.loads(reply.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InvocationError("The endpoint's answer about its model is not a JSON object.")
        return found

    def interpolate(
        self, seeds: Sequence[int] | None = None, frames: int = 24, **args: Unpack[GenerationArgs]
    ) -> npt.NDArray[np.uint8]:
        """Interpolate through K seeds or latents: uint8 ((K - 1) * frames + 1, H, W, 3)."""
        return self.generate(seeds, **args | {"interpolate": frames})

    def mix(
        self,
        seeds: Sequence[int],
        others: Sequence[int],
        layers: Sequence[int] | None = None,
        **args: Unpack[GenerationArgs],
    ) -> npt.NDArray[np.uint8]:
        """Mix each of N seeds with some layers' styles of each of M others: (N, M, H, W, 3)."""
        images = self.generate(seeds, **args | {"mix": others, "mix_layers": layers})
        return images.reshape(len(seeds), len(others), *images.shape[1:])

    def grid(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        **args: Unpack[GenerationArgs],
    ) -> bytes:
        """Return one PNG of all images; as square as possible if `columns` is None."""
        return self.invoke(build_request(seeds, columns=columns, **args), PNG)

    def jpeg(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        quality: int | None = None,
        **args: Unpack[GenerationArgs],
    ) -> bytes:
        """Return the grid as a JPEG, of quality 1 … 100, 90 by default."""
        return self.invoke(build_request(seeds, columns=columns, quality=quality, **args), JPEG)

    def webp(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        quality: int | None = None,
        **args: Unpack[GenerationArgs],
    ) -> bytes:
        """Return the grid as a WebP, of quality 1 … 100, 90 by default."""
        return self.invoke(build_request(seeds, columns=columns, quality=quality, **args), WEBP)

    def animation(
        self,
        seeds: Sequence[int] | None = None,
        frame_ms: int | None = None,
        quality: int | None = None,
        **args: Unpack[GenerationArgs],
    ) -> bytes:
        """Return an animated WebP of the images, with `interpolate` those between them too.

        Args:
            seeds: Two or more.
            frame_ms: How long each image is shown, 10 … 60000 milliseconds; 60 by default.
            quality: 1 … 100; lossless by default.
            args: See :class:`GenerationArgs`.
        """
        options = {"layout": "animation", "frame_ms": frame_ms, "quality": quality}
        return self.invoke(build_request(seeds, **options, **args), WEBP)

    def zip(self, seeds: Sequence[int] | None = None, **args: Unpack[GenerationArgs]) -> bytes:
        """Return a zip of one PNG per image, named by its seed, and ``provenance.json``."""
        return self.invoke(build_request(seeds, **args), ZIP)

    def faces(
        self, seeds: Sequence[int] | None = None, **args: Unpack[GenerationArgs]
    ) -> list[GeneratedImage]:
        """Return one PNG per image, with its seed, and its class if the model is conditional."""
        return parse_images(self.invoke(build_request(seeds, **args), JSON))

    def stream(
        self, seeds: Sequence[int] | None = None, **args: Unpack[GenerationArgs]
    ) -> Iterator[GeneratedImage]:
        """Return the same, each as soon as it is generated, if the transport can stream.

        The request is sent, and refused, before the first image is read. An answer that breaks off
        raises InvocationError after the images that came.
        """
        return iter_images(self.chunks(build_request(seeds, **args)))

    def many(
        self, requests: Sequence[GenerateRequest]
    ) -> list[list[GeneratedImage] | InvocationError]:
        """Send several requests in one call; return the images of each, or its error."""
        reply = self.transport.send(encode_lines(requests), JSON_LINES, JSON_LINES)
        return list(iter_replies([check_reply(reply, JSON_LINES).body]))

    def chunks(self, request: GenerateRequest) -> Iterator[bytes]:
        """Return the chunks of a JSON Lines answer as they come."""
        check_reply_type(request, JSON_LINES)
        body = encode_body(request)
        if not isinstance(self.transport, StreamingTransport):
            return iter([check_reply(self.transport.send(*body, JSON_LINES), JSON_LINES).body])
        reply = self.transport.stream(*body, STREAMED_LINES)
        if reply.status != HTTPStatus.OK or bare_type(reply.content_type) != JSON_LINES:
            check_reply(reply.whole(), JSON_LINES)
        return reply.chunks

    def invoke(self, request: GenerateRequest, accept: str) -> bytes:
        """Return the body of the endpoint's answer, of the requested content type."""
        check_reply_type(request, accept)
        return check_reply(self.transport.send(*encode_body(request), accept), accept).body


def encode_body(request: GenerateRequest) -> tuple[bytes, str]:
    """Return a request's bytes and their content type."""
    # Numbers as text take five times as many bytes, and SageMaker's limit is 6 MB.
    fields = request.changed_fields
    is_array = fields == {"latents"} or (fields == {"images"} and holds_one_array(request))
    content_type = NPY if is_array else JSON
    return encode_request(request, content_type), content_type


def holds_one_array(request: GenerateRequest) -> bool:
    """Return whether all images of a request are arrays of one size."""
    shapes = {getattr(image, "shape", None) for image in request.images or ()}
    return len(shapes) == 1 and None not in shapes


def check_reply(reply: Reply, accept: str) -> Reply:
    """Return a reply; raise InvocationError if it is an error or of another content type."""
    if reply.status != HTTPStatus.OK:
        raise error_of(reply)
    if bare_type(reply.content_type) != accept:
        raise InvocationError(
            f"The endpoint answered {reply.content_type[:100]!a}, and not {accept}.",
            "Is it a facegan endpoint?",
        )
    return reply


def build_request(
    seeds: Sequence[int] | None,
    latents: npt.ArrayLike | None = None,
    classes: Classes | None = None,
    mix: Sequence[int] | None = None,
    mix_layers: Sequence[int] | None = None,
    images: Sources | None = None,
    label_maps: Sources | None = None,
    styles: Sources | None = None,
    **others: Any,
) -> GenerateRequest:
    """Build a request from a caller's arguments."""
    lists = {"seeds": seeds, "classes": classes, "mix": mix, "mix_layers": mix_layers}
    named: dict[str, Any] = {name: to_list(name, values) for name, values in lists.items()}
    try:
        array = None if latents is None else np.asarray(latents)
    except ValueError as cause:
        raise RequestError("The latents differ in length.", "Give an (N, width) array.") from cause
    sources = {"images": images, "label_maps": label_maps, "styles": styles}
    read: dict[str, Any] = {field: read_sources(field, its) for field, its in sources.items()}
    return GenerateRequest(latents=array, **named, **read, **others)


def to_list(name: str, values: Sequence[Any] | None) -> list[Any] | None:
    """Return seeds or classes, which may be ranges or NumPy integers, as a list."""
    if values is None:
        return None
    try:
        if isinstance(values, str):
            raise TypeError("a string is one class, not a list of letters")
        return [int(value) if isinstance(value, np.integer) else value for value in values]
    except TypeError as cause:
        hint = "Give [7], not 7."
        raise RequestError(f"{name}: {values!a} is not a list of {name}.", hint) from cause


def error_of(reply: Reply) -> InvocationError:
    """Return an error reply as an exception: with its own message, or one by its status."""
    try:
        error = json.loads(reply.body)
        message, hint = error["message"], error.get("hint") or ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        message, hint = excerpt(reply.body), ""
    known = reply.status in list(HTTPStatus)
    phrase = f" {HTTPStatus(reply.status).phrase}" if known else ""
    text = f"The endpoint answered {reply.status}{phrase}" + (f": {message}" if message else ".")
    return InvocationError(text, str(hint) or HINTS.get(reply.status, ""))


def excerpt(body: bytes) -> str:
    """Return the start of an answer that is not ours, on one line; "" for HTML."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return "" if text.startswith("<") else text
