"""Converts between what custom functions return and what this project's functions take."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import OwnCodeError
from facegan.wire import GenerateRequest, Images, Provenance


class Prediction(NamedTuple):
    """The images of a request, as a custom output_fn gets them."""

    images: Images  # uint8 (N, H, W, 3)
    request: GenerateRequest
    provenance: Provenance


def as_request(data: Any) -> GenerateRequest:
    """Convert what a custom input_fn returned to a request.

    Args:
        data: A request; a dict of its fields; seeds: a whole number, or a list or array of them;
            latents: a float array or tensor (N, width), or (width,) for one.

    Raises:
        RequestError: The values are wrong; they came from the client.
        OwnCodeError: It is something else.
    """
    if isinstance(data, GenerateRequest):
        return data
    if isinstance(data, dict):
        return GenerateRequest.model_validate(data)
    if isinstance(data, list | tuple) and data and isinstance(data[0], int | list | tuple):
        field = "seeds" if isinstance(data[0], int) else "latents"
        return GenerateRequest.model_validate({field: [*data]})
    array = to_array(data)
    if array.dtype.kind in "iu" and array.ndim <= 1:
        return GenerateRequest(seeds=[int(seed) for seed in np.atleast_1d(array)])
    if array.dtype.kind == "f" and array.ndim in (1, 2):
        return GenerateRequest(latents=np.atleast_2d(array))
    raise OwnCodeError(
        f"input_fn returned {type(data).__name__}, which is not a request.",
        "Return a GenerateRequest, a dict of its fields, seeds or latents; or write predict_fn.",
    )


def to_images(prediction: Any) -> Images:
    """Convert what a custom predict_fn returned, or one item of it, to images (N, H, W, 3)."""
    if isinstance(prediction, Prediction):
        return prediction.images
    if isinstance(prediction, Iterator):
        blocks = [to_images(block) for block in prediction]
        prediction = np.concatenate(blocks) if blocks else None
    images = to_array(prediction)
    if images.ndim == 3:
        images = images[np.newaxis]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not len(images):
        raise OwnCodeError(
            f"predict_fn returned {type(prediction).__name__}, which cannot be encoded.",
            "Return uint8 images (N, H, W, 3); or write output_fn.",
        )
    return images


def to_array(value: Any) -> npt.NDArray[Any]:
    """Convert an array or a tensor to an array; anything else to an array of objects."""
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (ValueError, TypeError, RuntimeError):
        return np.empty((), object)


def split_reply(result: Any, accept: str) -> tuple[Any, str]:
    """Return the body and the content type that output_fn returned; `accept` if it has no type."""
    body, content_type = result if isinstance(result, tuple) and len(result) == 2 else (result, "")
    content_type = content_type or accept
    if not isinstance(content_type, str) or not content_type.isprintable():
        raise TypeError(f"output_fn returned the content type {content_type!r}")
    return body, content_type


def to_bytes(body: Any) -> bytes:
    """Convert a body, or a piece of one, to bytes."""
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"output_fn returned {type(body).__name__}, not bytes or text")
    return bytes(body)
