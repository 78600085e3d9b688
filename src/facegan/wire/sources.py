"""The images and label maps that a request sends: values of its fields, and their digests.

They stay as they were sent, encoded or as arrays: only a model knows its side and its classes
(``source_images.py`` decodes them).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from facegan.errors import RequestError
from facegan.wire.error_text import FIELD_EXAMPLES, describe, expected_and_got, first_error

# A file's bytes; or pixels, uint8 (H, W, 3), or class numbers (H, W).
Source = bytes | npt.NDArray[Any]
SOURCE_FIELDS = ("images", "label_maps", "styles")

ClassNumber = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
ROWS = TypeAdapter(
    Annotated[list[Annotated[list[ClassNumber], Field(fail_fast=True)]], Field(fail_fast=True)]
)


def to_sources(field: str, value: Any) -> tuple[Source, ...]:
    """Return the sources of a field of ``SOURCE_FIELDS``.

    Args:
        field: The field's name.
        value: A list; or an array, uint8 (N, H, W, 3) of images, whole numbers (N, H, W) of maps.
            An item of a list is a file's bytes, the same in base64, or an array; a label map may
            also be a list of rows of class numbers.

    Raises:
        RequestError: It is something else; the message names the item.
    """
    if not isinstance(value, list | tuple | np.ndarray):
        raise source_error(field, f"must be a list, not {describe(value)}")
    if not len(value):
        raise source_error(field, "is empty; give at least one")
    return tuple(to_source(field, f"{field}[{index}]", item) for index, item in enumerate(value))


def to_source(field: str, name: str, item: Any) -> Source:
    """Return one source."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return from_base64(field, name, item)
    if isinstance(item, list) and field == "label_maps":
        return from_rows(name, item)
    if isinstance(item, np.ndarray):
        return check_source_array(field, name, item)
    kinds = "a file in base64" + (", or rows of class numbers" if field == "label_maps" else "")
    raise source_error(field, f"must be {kinds}, not {describe(item)}", name)


def from_base64(field: str, name: str, text: str) -> bytes:
    """Decode a file in base64; line breaks and the start of a data URL are ignored."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode().translate(None, b" \r\n"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise source_error(field, f"is not base64: {error}", name) from error


def from_rows(name: str, rows: list[Any]) -> npt.NDArray[Any]:
    """Convert rows of class numbers to an array (H, W)."""
    try:
        checked = ROWS.validate_python(rows)
    except ValidationError as error:
        details = first_error(error)
        places = zip(("row", "column"), details["loc"], strict=False)
        place = ", ".join(f"{what} {index}" for what, index in places)
        message = f"{place} {expected_and_got(details)}".lstrip()
        raise source_error("label_maps", message, name) from error
    for index, row in enumerate(checked):
        if len(row) != len(checked[0]):
            message = f"row {index} has {len(row)} class numbers, row 0 has {len(checked[0])}"
            raise source_error("label_maps", message, name)
    return check_source_array("label_maps", name, np.array(checked, np.int32))


def check_source_array(field: str, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that holds one image or one label map."""
    found = f"an array of {array.dtype} and shape {array.shape}"
    if 0 in array.shape:
        raise source_error(field, f"is empty: {found}", name)
    if field == "label_maps":
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise source_error(field, f"is {found}, not whole numbers (H, W)", name)
    elif array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise source_error(field, f"is {found}, not uint8 (H, W, 3)", name)
    return array


def source_error(field: str, message: str, name: str = "") -> RequestError:
    """Build the error of a wrong source."""
    return RequestError(f"{name or field}: {message}.", FIELD_EXAMPLES[field])


def digests(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return each source's SHA-256 in hexadecimal: of the file as it was sent, or of the array."""
    return tuple(
        hashlib.sha256(it if isinstance(it, bytes) else it.tobytes()).hexdigest() for it in sources
    )


def equal_sources(one: Sequence[Source], other: Sequence[Source]) -> bool:
    """Return whether two fields hold the same files and arrays."""
    return len(one) == len(other) and all(
        a == b if isinstance(a, bytes) and isinstance(b, bytes) else np.array_equal(a, b)
        for a, b in zip(one, other, strict=True)
    )
