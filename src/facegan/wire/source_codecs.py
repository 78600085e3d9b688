"""Bodies that are an image, an array or a form → GenerateRequest, as the model takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError, RequestTooLarge
from facegan.wire.content_types import (
    FORMATS,
    JPEG,
    MULTIPART,
    NPY,
    PNG,
    WEBP,
    bare_type,
    parse_parameters,
    quote,
)
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.multipart import iter_parts
from facegan.wire.npy import read_npy, write_npy
from facegan.wire.signature import LATENTS_ONLY, ModelSignature
from facegan.wire.text_fields import IGNORED, fields_from_text, to_text

FILE_FIELDS = {  # parts of a form
    "image": "images", "images": "images", "label_map": "label_maps", "label_maps": "label_maps",
    "style": "styles", "styles": "styles",
}  # fmt: skip
MAX_TEXT_BYTES = 65_536  # of a form's field that is text


def decode_image_body(body: bytes, content_type: str, signature: ModelSignature) -> GenerateRequest:
    """Decode a body that is one image; the other fields are parameters of its content type."""
    name = bare_type(content_type)
    assert signature.source is not None
    if not body:
        raise RequestError("The body is empty.", f"Send the bytes of an {name} file.")
    found = format_of(body)
    if found != name:
        message = f"The body is not {name}" + (f", but {found}." if found else ".")
        hint = f"Send it with Content-Type: {found}." if found else f"Send an {name} file."
        raise RequestError(message, hint)
    try:
        parameters = parse_parameters(content_type)
    except ValueError as error:
        message = f"The Content-Type has {str(error)[:60]!a}, which is not a parameter."
        raise RequestError(message, f"Write it as {name};seeds=1,2,3.") from error
    pairs = [(key, text) for key, text in parameters if key not in IGNORED]
    fields = fields_from_text(pairs, "parameter")
    return GenerateRequest.model_validate({signature.source: [body], **fields})


def format_of(body: bytes) -> str | None:
    """Return the type of an image by its first bytes; None if it is not one that is read."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if body.startswith(b"\xff\xd8\xff"):
        return JPEG
    return WEBP if body.startswith(b"RIFF") and body[8:12] == b"WEBP" else None


def encode_image_body(request: GenerateRequest) -> bytes:
    """Return the one source of a request; see :func:`image_content_type` for its other fields."""
    (source,) = only_source(request)
    if not isinstance(source, bytes):
        raise RequestError("An array is not an image file.", "Encode it as PNG first.")
    return source


def only_source(request: GenerateRequest) -> tuple[Any, ...]:
    """Return the sources of a request that has exactly one."""
    sources = request.sources
    if [len(its) for its in sources.values()] != [1] or "styles" in sources:
        raise RequestError("An image body is one image or label map.", "Send the request as JSON.")
    return next(iter(sources.values()))


def image_content_type(request: GenerateRequest, content_type: str) -> str:
    """Return a type of ``FORMATS`` with a request's other fields as parameters."""
    return ";".join([content_type, *(f"{name}={quote(text)}" for name, text in to_text(request))])


def decode_array(body: bytes, signature: ModelSignature = LATENTS_ONLY) -> GenerateRequest:
    """Decode .npy: integers are images or label maps, floats are latents, as the model takes them.

    uint8 (N, H, W, 3) or (H, W, 3) are images; whole numbers (N, H, W) or (H, W) are label maps;
    floats (N, width) or (width,) are latents.
    """
    try:
        array = read_npy(body)
    except ValueError as error:
        raise RequestError(f"The {NPY} body {error}.", npy_hint(signature)) from error
    if array.dtype.kind == "f" and "latents" in signature.names:
        return GenerateRequest(latents=array[np.newaxis] if array.ndim == 1 else array)
    if signature.source is None:
        message = f"The {NPY} body holds integers ({array.dtype.name}); latents are floats."
        raise RequestError(message, "Send array.astype('float32') if they are latents.")
    sources = as_sources(array, signature.source)
    if sources is None:
        message = f"The {NPY} body is {array.dtype} of shape {array.shape}"
        what = "images" if signature.source == "images" else "label maps"
        raise RequestError(f"{message}, which is not {what}.", npy_hint(signature))
    return GenerateRequest.model_validate({signature.source: sources})


def as_sources(array: npt.NDArray[Any], source: str) -> npt.NDArray[Any] | None:
    """Return an array of several images or label maps; None if it is neither."""
    pixels = 3 if source == "images" else 2
    is_one = array.dtype == np.uint8 if source == "images" else array.dtype.kind in "iu"
    if not is_one or array.ndim not in (pixels, pixels + 1):
        return None
    if source == "images" and array.shape[-1] != 3:
        return None
    return array if array.ndim > pixels else array[np.newaxis]


def npy_hint(signature: ModelSignature) -> str:
    """Return what to send as .npy."""
    return {
        None: "Send what numpy.save writes of a float32 array of shape (N, width).",
        "images": "Send what numpy.save writes of a uint8 array of shape (N, H, W, 3); images of "
        "several sizes go as JSON or in a form.",
        "label_maps": "Send what numpy.save writes of a uint8 array of shape (N, H, W); label maps "
        "of several sizes go as JSON or in a form.",
    }[signature.source]


def encode_array(request: GenerateRequest) -> bytes:
    """Encode the arrays of a request that has nothing else as .npy."""
    fields = sorted(request.changed_fields)
    sources = next(iter(request.sources.values()), ())
    arrays = [source for source in sources if isinstance(source, np.ndarray)]
    is_plain = len(fields) == len(request.sources) == 1 and "styles" not in fields
    if not is_plain or len(arrays) != len(sources) or len({a.shape for a in arrays}) != 1:
        message = f"{NPY} carries latents only, or arrays of one size only, not {fields}."
        raise RequestError(message, "Send the request as application/json.")
    return write_npy(np.stack(arrays))


def decode_form(body: bytes, content_type: str, signature: ModelSignature) -> GenerateRequest:
    """Decode a form: files as image, label_map and style, other fields as text."""
    files: dict[str, list[bytes]] = {}
    texts: list[tuple[str, str]] = []
    for part in iter_parts(body, content_type):
        if field := FILE_FIELDS.get(part.name):
            files.setdefault(field, []).append(part.content)
        elif len(part.content) > MAX_TEXT_BYTES:
            message = f"The form field {part.name[:40]!a} is {len(part.content):,} bytes."
            raise RequestTooLarge(message, f"Text has at most {MAX_TEXT_BYTES:,}.")
        else:
            texts.append((part.name, part.content.decode("utf-8", "replace")))
    if not files and not texts:
        raise RequestError("The form is empty.", signature.usage)
    fields = fields_from_text(texts, "form field")
    return signature.to_request({**files, **fields})


Decode = Callable[[bytes, str, ModelSignature], GenerateRequest]

# What a model of source images or label maps reads besides REQUEST_CODECS.
SOURCE_CODECS: dict[str, Decode] = {
    **dict.fromkeys(FORMATS, decode_image_body),
    MULTIPART: decode_form,
}
