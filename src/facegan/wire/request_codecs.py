"""GenerateRequest ⇄ bytes: one row per content type, read by the server and client alike."""

import csv
import io
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError, RequestTooLarge, UnsupportedContentType
from facegan.wire.charsets import as_utf8
from facegan.wire.content_types import CSV, JSON, JSON_LINES, NPY
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.negotiation import bare_type
from facegan.wire.npy import read_npy, write_npy
from facegan.wire.wording import EXAMPLE, hint_for_body, seen, shortened

NPY_HINT = "Send what numpy.save writes of a float32 array of shape (N, width)."
# Far above any server's own limit. Millions of one-number rows would keep a core busy for seconds.
MAX_CSV_ROWS = 65_536
CSV_HINT = "Send one latent a line, numbers parted by commas, without a header line."


def decode_request(body: bytes, content_type: str | None) -> GenerateRequest:
    """Read a request.

    Args:
        body: What the caller sent.
        content_type: Its Content-Type header; parameters and case do not matter.

    Raises:
        UnsupportedContentType: no type, or none of ``REQUEST_CODECS``.
        RequestError: the body is not a valid request of that type.
    """
    return find_codec(content_type).decode(as_utf8(body, content_type))


def encode_request(request: GenerateRequest, content_type: str = JSON) -> bytes:
    """Write a request.

    Raises:
        UnsupportedContentType: none of ``REQUEST_CODECS``.
        RequestError: the type cannot say all that the request says (x-npy and CSV hold latents
            only).
    """
    return find_codec(content_type).encode(request)


def decode_json(body: bytes) -> GenerateRequest:
    """A JSON object with the fields of GenerateRequest."""
    try:
        values = json.loads(body, parse_constant=refuse_constant, object_pairs_hook=unique_fields)
    except RecursionError as cause:
        raise RequestError("The JSON body is nested too deeply.", EXAMPLE) from cause
    except ValueError as cause:  # also bytes that are no text, and whole numbers beyond all measure
        if not body.strip():
            raise RequestError("The body is empty.", EXAMPLE) from cause
        raise RequestError(f"The body is not JSON: {cause}.", EXAMPLE) from cause
    if not isinstance(values, dict):
        told = f"The JSON body is not an object, but {seen(values)}."
        raise RequestError(told, hint_for_body(values))
    return GenerateRequest.model_validate(values)


def refuse_constant(name: str) -> float:
    """NaN and Infinity, which Python reads and RFC 8259 does not know."""
    raise ValueError(f"{name} is not a JSON number")


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ: of two equal ones, one would be dropped silently."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the field {shortened(name)!a} is there twice")
        fields[name] = value
    return fields


def encode_json(request: GenerateRequest) -> bytes:
    """The fields that differ from their defaults."""
    named = {name: getattr(request, name) for name in sorted(request.fields_of_note)}
    if request.latents is not None:
        named["latents"] = request.latents.tolist()
    return json.dumps(named).encode()


def decode_npy(body: bytes) -> GenerateRequest:
    """Latents (N, width), or one latent (width,)."""
    try:
        array = read_npy(body)
    except ValueError as cause:
        raise RequestError(f"The {NPY} body {cause}.", NPY_HINT) from cause
    return GenerateRequest(latents=array[np.newaxis] if array.ndim == 1 else array)


def decode_csv(body: bytes) -> GenerateRequest:
    """One latent a line."""
    if body.count(b"\n") > MAX_CSV_ROWS:
        raise RequestTooLarge(f"The {CSV} body has over {MAX_CSV_ROWS} rows.", "Split it.")
    try:
        text = body.decode("utf-8-sig")  # spreadsheets put a mark in front
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (ValueError, csv.Error) as cause:
        raise RequestError(f"The {CSV} body is not CSV: {cause}.", CSV_HINT) from cause
    rows = [numbers_of(cells, index) for index, cells in enumerate(lines, start=1)]
    return GenerateRequest.model_validate({"latents": rows})


def numbers_of(cells: list[str], row: int) -> list[float]:
    """The numbers of one row, counted from 1."""
    if not cells:
        raise RequestError(f"Row {row} of the {CSV} body is empty.", CSV_HINT)
    return [number_of(cell, row, column) for column, cell in enumerate(cells, start=1)]


def number_of(cell: str, row: int, column: int) -> float:
    """The finite number in one cell."""
    try:
        number = float(cell)
        if not math.isfinite(number) or "_" in cell:  # Python alone writes 1_000
            raise ValueError(cell)
    except ValueError as cause:
        place = f"Row {row}, column {column} of the {CSV} body"
        raise RequestError(f"{place} is {cell[:40]!a}, not a finite number.", CSV_HINT) from cause
    return number


def encode_npy(request: GenerateRequest) -> bytes:
    """The latents as .npy."""
    return write_npy(bare_latents(request, NPY))


def encode_csv(request: GenerateRequest) -> bytes:
    """The latents as CSV, each number in as many digits as it takes to be read back exactly."""
    rows = bare_latents(request, CSV).tolist()
    return "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()


def bare_latents(request: GenerateRequest, content_type: str) -> npt.NDArray[np.floating[Any]]:
    """The latents of a request that says no more than them."""
    if request.latents is None or request.fields_of_note != {"latents"}:
        raise RequestError(
            f"{content_type} carries latents only, not {sorted(request.fields_of_note)}.",
            f"Send the request as {JSON}.",
        )
    return request.latents


class RequestCodec(NamedTuple):
    """Both directions of one content type."""

    encode: Callable[[GenerateRequest], bytes]
    decode: Callable[[bytes], GenerateRequest]


REQUEST_CODECS: dict[str, RequestCodec] = {
    JSON: RequestCodec(encode_json, decode_json),
    NPY: RequestCodec(encode_npy, decode_npy),
    CSV: RequestCodec(encode_csv, decode_csv),
}


# Of JSON Lines each line is a request: wire/json_lines.py.
REQUEST_TYPES = (*REQUEST_CODECS, JSON_LINES)


def find_codec(content_type: str | None) -> RequestCodec:
    """The row of a content type."""
    name = bare_type(content_type)
    if name not in REQUEST_CODECS:
        what = f"The content type {name[:100]!a} is not read here."
        told = what if name else "The request has no Content-Type."
        supported = ", ".join(REQUEST_TYPES)
        raise UnsupportedContentType(told, f"Send one of {supported} in Content-Type.")
    return REQUEST_CODECS[name]
