"""Asks an endpoint for faces, in arrays and pictures; what lies between does not matter."""

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

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

Classes = Sequence[int | str]  # numbers and names: one a face, or one for all

HINTS = {  # for endpoints that give none
    404: "Check the URL or the endpoint's name.",
    413: "Ask for fewer faces at once.",
    503: "It is starting, or busy; ask again in a few seconds.",
}


class Wish(TypedDict, total=False):
    """What else can be asked of any faces; see :class:`facegan.wire.GenerateRequest`."""

    latents: npt.ArrayLike | None  # (N, width), instead of seeds
    truncation_psi: float
    classes: Classes | None
    interpolate: int | None  # frames from each seed or latent to the next
    mix: Sequence[int] | None  # seeds whose styles each of the seeds takes
    mix_layers: Sequence[int] | None  # which layers; the finer half by default


class FaceClient:
    """A caller's view of an endpoint.

    Every method takes seeds (0 … 2**32 - 1) or latents, not both; and of a conditional model
    classes, by number or name, one a face or one for all, without which each seed names its own;
    and what else a :class:`Wish` holds. All raise:

    * RequestError: the request is wrong; nothing was sent.
    * InvocationError: the endpoint refused it, failed, could not be reached, or answered nonsense.

    Args:
        transport: How to reach it, as ``HttpTransport("http://localhost:8080")``.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def generate(
        self, seeds: Sequence[int] | None = None, **wish: Unpack[Wish]
    ) -> npt.NDArray[np.uint8]:
        """Faces as uint8 (N, H, W, 3): one a seed or latent, or as many as the wish makes."""
        return decode_images(self.invoke(request_of(seeds, **wish), NPY), NPY)

    def interpolate(
        self, seeds: Sequence[int] | None = None, frames: int = 24, **wish: Unpack[Wish]
    ) -> npt.NDArray[np.uint8]:
        """The way through S seeds or latents, uint8 ((S - 1) * frames + 1, H, W, 3)."""
        return self.generate(seeds, **wish | {"interpolate": frames})

    def mix(
        self,
        seeds: Sequence[int],
        others: Sequence[int],
        layers: Sequence[int] | None = None,
        **wish: Unpack[Wish],
    ) -> npt.NDArray[np.uint8]:
        """Each of N seeds with some layers' styles of each of M others: uint8 (N, M, H, W, 3)."""
        images = self.generate(seeds, **wish | {"mix": others, "mix_layers": layers})
        return images.reshape(len(seeds), len(others), *images.shape[1:])

    def grid(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        **wish: Unpack[Wish],
    ) -> bytes:
        """One PNG of all faces; as square as possible where `columns` is None."""
        return self.invoke(request_of(seeds, columns=columns, **wish), PNG)

    def jpeg(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        quality: int | None = None,
        **wish: Unpack[Wish],
    ) -> bytes:
        """The same as a JPEG, of quality 1 … 100, 90 by default."""
        return self.invoke(request_of(seeds, columns=columns, quality=quality, **wish), JPEG)

    def webp(
        self,
        seeds: Sequence[int] | None = None,
        columns: int | None = None,
        quality: int | None = None,
        **wish: Unpack[Wish],
    ) -> bytes:
        """The same as a WebP, of quality 1 … 100, 90 by default."""
        return self.invoke(request_of(seeds, columns=columns, quality=quality, **wish), WEBP)

    def animation(
        self,
        seeds: Sequence[int] | None = None,
        frame_ms: int | None = None,
        quality: int | None = None,
        **wish: Unpack[Wish],
    ) -> bytes:
        """An animated WebP: the faces one after the other, with `interpolate` those between too.

        Args:
            seeds: Two or more.
            frame_ms: How long each is shown, 10 … 60000 milliseconds; 60 by default.
            quality: 1 … 100; lossless by default.
            wish: What else is asked of them.
        """
        moving = {"layout": "animation", "frame_ms": frame_ms, "quality": quality}
        return self.invoke(request_of(seeds, **moving, **wish), WEBP)

    def zip(self, seeds: Sequence[int] | None = None, **wish: Unpack[Wish]) -> bytes:
        """A zip of a PNG a face, named by its seed, and a list of them, ``provenance.json``."""
        return self.invoke(request_of(seeds, **wish), ZIP)

    def faces(
        self, seeds: Sequence[int] | None = None, **wish: Unpack[Wish]
    ) -> list[GeneratedImage]:
        """One PNG a face, each beside its seed, and its class if the model is conditional."""
        return parse_images(self.invoke(request_of(seeds, **wish), JSON))

    def stream(
        self, seeds: Sequence[int] | None = None, **wish: Unpack[Wish]
    ) -> Iterator[GeneratedImage]:
        """The same, each as soon as it is drawn, where the transport can; else all at the end.

        The request is sent, and refused, before the first is asked for. An answer that breaks off
        raises InvocationError after the faces that came.
        """
        return iter_images(self.chunks(request_of(seeds, **wish)))

    def many(
        self, requests: Sequence[GenerateRequest]
    ) -> list[list[GeneratedImage] | InvocationError]:
        """The answers to several requests in one call: faces, or why there are none."""
        reply = self.transport.send(encode_lines(requests), JSON_LINES, JSON_LINES)
        return list(iter_replies([checked(reply, JSON_LINES).body]))

    def chunks(self, request: GenerateRequest) -> Iterator[bytes]:
        """The pieces of a JSON Lines answer as they come."""
        check_reply_type(request, JSON_LINES)
        sent = body_of(request)
        if not isinstance(self.transport, StreamingTransport):
            return iter([checked(self.transport.send(*sent, JSON_LINES), JSON_LINES).body])
        reply = self.transport.stream(*sent, STREAMED_LINES)
        if reply.status != HTTPStatus.OK or bare_type(reply.content_type) != JSON_LINES:
            checked(reply.whole(), JSON_LINES)
        return reply.chunks

    def invoke(self, request: GenerateRequest, accept: str) -> bytes:
        """The body of the endpoint's answer to a request, of the content type asked for."""
        check_reply_type(request, accept)
        return checked(self.transport.send(*body_of(request), accept), accept).body


def body_of(request: GenerateRequest) -> tuple[bytes, str]:
    """A request's bytes and their content type."""
    # Numbers as text take five times their bytes, and SageMaker takes 6 MB.
    content_type = NPY if request.changed_fields == {"latents"} else JSON
    return encode_request(request, content_type), content_type


def checked(reply: Reply, accept: str) -> Reply:
    """A reply, if it is no refusal, and of the type that was asked for."""
    if reply.status != HTTPStatus.OK:
        raise refusal(reply)
    if bare_type(reply.content_type) != accept:
        told = f"The endpoint answered {reply.content_type[:100]!a} where {accept} was asked."
        raise InvocationError(told, "Is it a facegan endpoint?")
    return reply


def request_of(
    seeds: Sequence[int] | None,
    latents: npt.ArrayLike | None = None,
    classes: Classes | None = None,
    mix: Sequence[int] | None = None,
    mix_layers: Sequence[int] | None = None,
    **others: Any,
) -> GenerateRequest:
    """A request from a caller's numbers."""
    lists = {"seeds": seeds, "classes": classes, "mix": mix, "mix_layers": mix_layers}
    named: dict[str, Any] = {name: list_of(name, values) for name, values in lists.items()}
    return GenerateRequest(latents=array_of(latents), **named, **others)


def list_of(name: str, values: Sequence[Any] | None) -> list[Any] | None:
    """Seeds or classes as a list; ranges and NumPy's integers are some too."""
    if values is None:
        return None
    try:
        if isinstance(values, str):
            raise TypeError("a text is one class, not a list of letters")
        return [int(value) if isinstance(value, np.integer) else value for value in values]
    except TypeError as cause:
        hint = "Give [7], not 7."
        raise RequestError(f"{name}: {values!a} is no list of {name}.", hint) from cause


def array_of(latents: npt.ArrayLike | None) -> npt.NDArray[Any] | None:
    """Latents as an array."""
    try:
        return None if latents is None else np.asarray(latents)
    except ValueError as cause:
        raise RequestError("The latents differ in length.", "Give an (N, width) array.") from cause


def refusal(reply: Reply) -> InvocationError:
    """The error an endpoint answered: in its own words where it is ours, else by its status."""
    try:
        told = json.loads(reply.body)
        message, hint = told["message"], told.get("hint") or ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        message, hint = excerpt(reply.body), ""
    said = f": {message}" if message else "."
    named = f"The endpoint answered {reply.status} {phrase_of(reply.status)}".rstrip()
    return InvocationError(named + said, str(hint) or HINTS.get(reply.status, ""))


def phrase_of(status: int) -> str:
    """HTTP's name of a status; empty for one it does not name."""
    return HTTPStatus(status).phrase if status in list(HTTPStatus) else ""


def excerpt(body: bytes) -> str:
    """The start of a text that is not ours, on one line; nothing of a page of HTML."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return "" if text.startswith("<") else text
