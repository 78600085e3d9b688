"""What an owner's functions may return, and what becomes of it where ours come next."""

from typing import Any

import numpy as np
import numpy.typing as npt

from facegan.errors import OwnCodeError
from facegan.serving.handler import Faces
from facegan.synthesis import Synthesizer
from facegan.wire import GenerateRequest, Provenance


def as_request(data: Any) -> GenerateRequest:
    """What an owner's input_fn read, as a request that ours can draw.

    Args:
        data: A request; a dict of its fields; seeds: a whole number, or a list or array of them;
            latents: a float array or tensor (N, width), or (width,) for one.

    Raises:
        RequestError: its values are wrong, which came from the caller.
        OwnCodeError: it is nothing of that kind.
    """
    if isinstance(data, GenerateRequest):
        return data
    if isinstance(data, dict):
        return GenerateRequest.model_validate(data)
    if isinstance(data, list | tuple) and data and isinstance(data[0], int | list | tuple):
        field = "seeds" if isinstance(data[0], int) else "latents"
        return GenerateRequest.model_validate({field: [*data]})
    array = array_of(data)
    if array.dtype.kind in "iu" and array.ndim <= 1:
        return GenerateRequest(seeds=[int(seed) for seed in np.atleast_1d(array)])
    if array.dtype.kind == "f" and array.ndim in (1, 2):
        return GenerateRequest(latents=np.atleast_2d(array))
    raise OwnCodeError(
        f"input_fn returned {type(data).__name__}, which cannot be drawn.",
        "Return a GenerateRequest, a dict of its fields, seeds or latents; or write predict_fn.",
    )


def as_faces(prediction: Any, data: Any, model: Any) -> Faces:
    """What an owner's predict_fn drew, as images that ours can write.

    Raises:
        OwnCodeError: it is no Faces and no uint8 array (N, H, W, 3) of a model with a card.
    """
    if isinstance(prediction, Faces):
        return prediction
    images = array_of(prediction)
    is_pictures = images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] == 3
    if not is_pictures or not len(images) or not isinstance(model, Synthesizer):
        raise OwnCodeError(
            f"predict_fn returned {type(prediction).__name__}, which cannot be written.",
            "Return uint8 images (N, H, W, 3) of a model of ours; or write output_fn.",
        )
    asked = data if isinstance(data, GenerateRequest) and data.count == len(images) else None
    request = asked or anonymous(len(images), model)
    return Faces(images, request, Provenance.of_request(request, model.card))


def array_of(value: Any) -> npt.NDArray[Any]:
    """An array or a tensor as an array; an array of objects where it is neither."""
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (ValueError, TypeError, RuntimeError):
        return np.empty((), object)


def anonymous(count: int, model: Synthesizer) -> GenerateRequest:
    """A request for images of which nobody knows from what they were drawn."""
    return GenerateRequest(latents=np.zeros((count, model.card.latent_dim)))


def reply_of(result: Any, accept: str) -> tuple[bytes, str]:
    """What output_fn returned, as a body and its content type.

    Raises:
        TypeError: the body is neither bytes nor text, or the type is no header.
    """
    body, content_type = result if isinstance(result, tuple) and len(result) == 2 else (result, "")
    content_type = content_type or accept
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"output_fn returned {type(body).__name__}, not bytes or text")
    if not isinstance(content_type, str) or not content_type.isprintable():
        raise TypeError(f"output_fn returned the content type {content_type!r}")
    return bytes(body), content_type
