"""GenerateRequest ⇄ bytes: one row per content type, used by the server and the client."""

import base64
import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError, RequestTooLarge, UnsupportedContentType
from facegan.wire.charsets import as_utf8
from facegan.wire.content_types import CSV, FORMATS, JSON, JSON_LINES, NPY, bare_type
from facegan.wire.error_text import describe, hint_for_body, shorten
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.npy import write_npy
from facegan.wire.signature import LATENTS_ONLY, ModelSignature
from facegan.wire.source_codecs import (
    SOURCE_CODECS,
    decode_array,
    encode_array,
    encode_image_body,
)
from facegan.wire.source_images import encode_pixels
from facegan.wire.sources import Source

# Far above any server's own limit. Millions of one-number rows would keep a core busy for seconds.
MAX_CSV_ROWS = 65_536
CSV_HINT = "Send one latent per line, numbers separated by commas, without a header line."


def decode_request(
    body: bytes, content_type: str | None, signature: ModelSignature = LATENTS_ONLY
) -> GenerateRequest:
    """Decode a request.

    Args:
        body: The body of the HTTP request.
        content_type: Its Content-Type header.
        signature: What the model takes: it decides what an image, an array or a form is.

    Raises:
        UnsupportedContentType: There is no type, or it is not one of the signature's.
        RequestError: The body is not a valid request of that type.
    """
    if signature.source is not None and (name := bare_type(content_type)) in SOURCE_CODECS:
        return SOURCE_CODECS[name](body, content_type or "", signature)
    codec = find_codec(content_type, signature)
    if not body.isascii() or b"\0" in body:  # zeros: UTF-16 or UTF-32
        body = as_utf8(body, content_type)
    return codec.decode(body, signature)


def encode_request(request: GenerateRequest, content_type: str = JSON) -> bytes:
    """Encode a request.

    Raises:
        UnsupportedContentType: The type is not one of ``REQUEST_CODECS``, nor an image's.
        RequestError: The type cannot hold the request (x-npy and CSV hold latents only).
    """
    if bare_type(content_type) in FORMATS:
        return encode_image_body(request)
    return find_codec(content_type).encode(request)


MAX_ABOUT_BYTES = 128  # of ``{"about": true}`` with spaces


def asks_about(body: bytes, content_type: str | None) -> bool:
    """Return whether a body is ``{"about": true}``: it asks what the model takes."""
    if len(body) > MAX_ABOUT_BYTES or bare_type(content_type) != JSON:
        return False
    try:
        value = json.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and value.keys() == {"about"} and value["about"] is True


def decode_json(body: bytes, signature: ModelSignature = LATENTS_ONLY) -> GenerateRequest:
    """Decode a JSON object with the fields of GenerateRequest."""
    try:
        values = json.loads(body, parse_constant=refuse_constant, object_pairs_hook=unique_fields)
    except RecursionError as error:
        raise RequestError("The JSON body is nested too deeply.", signature.usage) from error
    except ValueError as error:  # also bytes that are not text, and numbers of too many digits
        if not body.strip():
            raise RequestError("The body is empty.", signature.usage) from error
        raise RequestError(f"The body is not JSON: {error}.", signature.usage) from error
    if not isinstance(values, dict):
        message = f"The JSON body is not an object, but {describe(values)}."
        is_of_latents = signature.source is None
        raise RequestError(message, hint_for_body(values) if is_of_latents else signature.usage)
    if signature.source is None:
        return GenerateRequest.model_validate(values)
    return signature.to_request(values)


def to_json(field: str, sources: Sequence[Source]) -> list[Any]:
    """Return sources as JSON values: base64, or rows of class numbers."""
    return [
        base64.b64encode(it).decode() if isinstance(it, bytes) else array_to_json(field, it)
        for it in sources
    ]


def array_to_json(field: str, array: npt.NDArray[Any]) -> Any:
    """Return an array of class numbers as rows, one of pixels as a PNG in base64."""
    if field == "label_maps":
        return array.tolist()
    return base64.b64encode(encode_pixels(array)).decode()


def refuse_constant(name: str) -> float:
    """Raise for NaN and Infinity, which Python reads and RFC 8259 forbids."""
    raise ValueError(f"{name} is not a JSON number")


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's fields; raise if two have one name, as one would be dropped silently."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the field {shorten(name)!a} is there twice")
        fields[name] = value
    return fields


def encode_json(request: GenerateRequest) -> bytes:
    """Encode the fields that differ from their defaults."""
    fields = {name: getattr(request, name) for name in sorted(request.changed_fields)}
    if request.latents is not None:
        fields["latents"] = request.latents.tolist()
    fields |= {name: to_json(name, its) for name, its in request.sources.items()}
    return json.dumps(fields).encode()


def decode_csv(body: bytes, signature: ModelSignature = LATENTS_ONLY) -> GenerateRequest:
    """Decode one latent per line."""
    if body.count(b"\n") > MAX_CSV_ROWS:
        raise RequestTooLarge(f"The {CSV} body has over {MAX_CSV_ROWS} rows.", "Split it.")
    try:
        text = body.decode("utf-8-sig")  # spreadsheets write a byte order mark
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise RequestError(f"The {CSV} body is not CSV: {error}.", CSV_HINT) from error
    latents = []
    for row, cells in enumerate(lines, start=1):
        if not cells:
            raise RequestError(f"Row {row} of the {CSV} body is empty.", CSV_HINT)
        latents.append([parse_number(cell, row, at) for at, cell in enumerate(cells, start=1)])
    return GenerateRequest.model_validate({"latents": latents})


def parse_number(cell: str, row: int, column: int) -> float:
    """Return the finite number in one cell."""
    try:
        number = float(cell)
        if not math.isfinite(number) or "_" in cell:  # only Python writes 1_000
            raise ValueError(cell)
    except ValueError as error:
        place = f"Row {row}, column {column} of the {CSV} body"
        raise RequestError(f"{place} is {cell[:40]!a}, not a finite number.", CSV_HINT) from error
    return number


def encode_npy(request: GenerateRequest) -> bytes:
    """Encode the latents as .npy, or the arrays that are the only sources."""
    if request.sources:
        return encode_array(request)
    return write_npy(latents_only(request, NPY))


def encode_csv(request: GenerateRequest) -> bytes:
    """Encode the latents as CSV, with enough digits to read back the same numbers."""
    rows = latents_only(request, CSV).tolist()
    return "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()


def latents_only(request: GenerateRequest, content_type: str) -> npt.NDArray[np.floating[Any]]:
    """Return the latents of a request that has no other field."""
    if request.latents is None or request.changed_fields != {"latents"}:
        raise RequestError(
            f"{content_type} carries latents only, not {sorted(request.changed_fields)}.",
            f"Send the request as {JSON}.",
        )
    return request.latents


class RequestCodec(NamedTuple):
    """Both directions of one content type."""

    encode: Callable[[GenerateRequest], bytes]
    decode: Callable[[bytes, ModelSignature], GenerateRequest]


REQUEST_CODECS: dict[str, RequestCodec] = {
    JSON: RequestCodec(encode_json, decode_json),
    NPY: RequestCodec(encode_npy, decode_array),
    CSV: RequestCodec(encode_csv, decode_csv),
}


# Of a model without source images. In JSON Lines each line is a request: wire/json_lines.py.
REQUEST_TYPES = (*REQUEST_CODECS, JSON_LINES)


def find_codec(content_type: str | None, signature: ModelSignature = LATENTS_ONLY) -> RequestCodec:
    """Return the row of a content type that a model reads."""
    name = bare_type(content_type)
    if name in REQUEST_CODECS and name in signature.request_types:
        return REQUEST_CODECS[name]
    message = f"The content type {name[:100]!a} is not supported."
    if name in SOURCE_CODECS or name in REQUEST_CODECS:
        message = f"{name} is not a request for this model, which {signature.purpose}."
    raise UnsupportedContentType(
        message if name else "The request has no Content-Type.",
        f"Send one of {', '.join(signature.request_types)} in Content-Type.",
    )
