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

HINTS = {  # for endpoints that give none
    404: "Check the URL or the endpoint's name.",
    413: "Ask for fewer faces at once.",
    503: "It is starting, or busy; ask again in a few seconds.",
}


class FaceClient:
    """A caller's view of an endpoint.

    Every method takes seeds or latents, not both, and raises:

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
    ) -> npt.NDArray[np.uint8]:
        """Faces as uint8 (N, H, W, 3): one a seed (0 … 2**32 - 1), or one a latent (N, width)."""
        asked = request_of(seeds, latents, truncation_psi=truncation_psi)
        return decode_images(self.invoke(asked, NPY), NPY)

    def grid(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        columns: int | None = None,
    ) -> bytes:
        """One PNG of all faces; as square as possible where `columns` is None."""
        asked = request_of(seeds, latents, truncation_psi=truncation_psi, columns=columns)
        return self.invoke(asked, PNG)

    def faces(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
    ) -> list[Face]:
        """One PNG a face, each beside its seed."""
        asked = request_of(seeds, latents, truncation_psi=truncation_psi)
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
    seeds: Sequence[int] | None, latents: npt.ArrayLike | None, **others: Any
) -> GenerateRequest:
    """A request from a caller's numbers."""
    return GenerateRequest(seeds=list_of(seeds), latents=array_of(latents), **others)


def list_of(seeds: Sequence[int] | None) -> list[int] | None:
    """Seeds as a list; ranges and NumPy's integers are seeds too."""
    if seeds is None:
        return None
    try:
        return [int(seed) if isinstance(seed, np.integer) else seed for seed in seeds]
    except TypeError as cause:
        raise RequestError(f"seeds: {seeds!a} is no list of seeds.", "Give [7], not 7.") from cause


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
