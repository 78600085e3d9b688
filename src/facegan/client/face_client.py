"""Asks an endpoint for faces, in arrays and pictures; what lies between does not matter."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt

from facegan.client.transports import Reply, Transport
from facegan.errors import InvocationError, RequestError
from facegan.wire import (
    JSON,
    NPY,
    PNG,
    Face,
    GenerateRequest,
    bare_type,
    decode_faces,
    decode_images,
    encode_request,
)

Classes = Sequence[int | str]  # numbers and names: one a face, or one for all

HINTS = {  # for endpoints that give none
    404: "Check the URL or the endpoint's name.",
    413: "Ask for fewer faces at once.",
    503: "It is starting, or busy; ask again in a few seconds.",
}


class FaceClient:
    """A caller's view of an endpoint.

    Every method takes seeds or latents, not both; and of a conditional model classes, by number or
    name, one a face or one for all, without which each seed names its own. All raise:

    * RequestError: the request is wrong; nothing was sent.
    * InvocationError: the endpoint refused it, failed, could not be reached, or answered nonsense.

    Args:
        transport: How to reach it, as ``HttpTransport("http://localhost:8080")``.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def generate(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        classes: Classes | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Faces as uint8 (N, H, W, 3): one a seed (0 … 2**32 - 1), or one a latent (N, width)."""
        asked = request_of(seeds, latents, classes, truncation_psi=truncation_psi)
        return decode_images(self.invoke(asked, NPY), NPY)

    def grid(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        columns: int | None = None,
        classes: Classes | None = None,
    ) -> bytes:
        """One PNG of all faces; as square as possible where `columns` is None."""
        options = {"truncation_psi": truncation_psi, "columns": columns}
        asked = request_of(seeds, latents, classes, **options)
        return self.invoke(asked, PNG)

    def faces(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        classes: Classes | None = None,
    ) -> list[Face]:
        """One PNG a face, each beside its seed, and its class if the model is conditional."""
        asked = request_of(seeds, latents, classes, truncation_psi=truncation_psi)
        return decode_faces(self.invoke(asked, JSON))

    def invoke(self, request: GenerateRequest, accept: str) -> bytes:
        """The body of the endpoint's answer to a request, of the content type asked for."""
        # Numbers as text take five times their bytes, and SageMaker takes 6 MB.
        content_type = NPY if request.fields_of_note == {"latents"} else JSON
        reply = self.transport.send(encode_request(request, content_type), content_type, accept)
        if reply.status != HTTPStatus.OK:
            raise refusal(reply)
        if bare_type(reply.content_type) != accept:
            told = f"The endpoint answered {reply.content_type[:100]!a} where {accept} was asked."
            raise InvocationError(told, "Is it a facegan endpoint?")
        return reply.body


def request_of(
    seeds: Sequence[int] | None,
    latents: npt.ArrayLike | None,
    classes: Classes | None,
    **others: Any,
) -> GenerateRequest:
    """A request from a caller's numbers."""
    named = {"seeds": list_of("seeds", seeds), "classes": list_of("classes", classes)}
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
