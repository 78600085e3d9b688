"""Reads and writes .npy safely: plain numbers only, and no more than the body really holds.

The format is NumPy's NEP 1. ``numpy.load`` is not used, for it allocates what the header claims.
"""

import io
import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DIMENSIONS = 8
MAX_HEADER_BYTES = 10_000  # as NumPy's own
MAGIC = b"\x93NUMPY"
NOT_NPY = "is not a .npy file of version 1 or 2"
# Of the header's length, by version; version 3 is for structured types with non-Latin names.
LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
# The header is a dict as Python prints it. NumPy parses it as Python, which accepts more than
# numbers need, and writes warnings about a caller's text to the log.
NAME = r"""(['"])(descr|fortran_order|shape)\1\s*:"""
FIELD = re.compile(
    rf"""\s*{NAME}\s*('[^']*'|"[^"]*"|True|False|\([^()]*\)|[\[(].*?[\])])\s*"""
    rf"""(?:,(?=\s*(?:{NAME.replace("1", "4")}|\}}))|(?=\}}))""",
    re.DOTALL,
)
END = re.compile(r"\s*\}\s*")
DTYPE = re.compile(r"""(['"])([<>|=]?[a-zA-Z]\d{0,3})\1""")
SHAPE = re.compile(r"\(\s*(?:\d{1,19}L?\s*,\s*)*(?:\d{1,19}L?\s*)?\)")  # Python 2 wrote 10L


def write_npy(array: npt.NDArray[Any]) -> bytes:
    """Encode an array as .npy."""
    return npy_header(array.shape, array.dtype) + array.tobytes()


@lru_cache(maxsize=128)  # writing one takes longer than copying the pixels of an image
def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the bytes before the numbers, which follow row by row."""
    stream = io.BytesIO()
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    return stream.getvalue()


def read_npy(body: bytes) -> npt.NDArray[Any]:
    """Decode .npy to an array of real numbers, a read-only view of `body`.

    Raises:
        ValueError: A sentence without its subject: the body is not .npy, holds other than plain
            numbers (objects, complex or structured types), or has another size than the header.
    """
    shape, is_fortran, dtype, start = read_header(body)
    if dtype.kind not in "fiu":
        raise ValueError(f"holds {dtype}, not plain real numbers")
    claimed, present = math.prod(shape) * dtype.itemsize, len(body) - start
    if claimed != present:
        raise ValueError(f"claims the shape {shape} of {dtype}, but {present} bytes of it follow")
    numbers = np.frombuffer(body, dtype, offset=start) if present else np.empty(0, dtype)
    return numbers.reshape(shape, order="F" if is_fortran else "C")


def read_header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, dtype, and the offset where the numbers start."""
    width = LENGTH_BYTES.get(body[6:8], 0)
    start = 8 + width + int.from_bytes(body[8 : 8 + width], "little")
    if not (body.startswith(MAGIC) and width and start <= min(len(body), MAX_HEADER_BYTES)):
        raise ValueError(NOT_NPY)
    fields = fields_of(body[8 + width : start].decode("latin-1"))
    descr, shape_text = fields["descr"], fields["shape"]
    if not SHAPE.fullmatch(shape_text) or fields["fortran_order"] not in ("True", "False"):
        raise ValueError(NOT_NPY)
    if (named := DTYPE.fullmatch(descr)) is None:
        raise ValueError(f"holds {descr[:60]}, not plain real numbers")
    try:
        dtype = np.dtype(named[2])
    except TypeError as cause:
        raise ValueError(NOT_NPY) from cause
    shape = tuple(int(number) for number in re.findall(r"\d+", shape_text))
    check_shape(shape, len(body))
    return shape, fields["fortran_order"] == "True", dtype, start


def fields_of(header: str) -> dict[str, str]:
    """Return the three fields of a header by name, as text.

    Raises:
        ValueError: It is not a dict of these three.
    """
    fields: dict[str, str] = {}
    position = header.find("{") + 1
    while position and (found := FIELD.match(header, position)):
        if found[2] in fields:
            break
        fields[found[2]], position = found[3], found.end()
    if header[: header.find("{")].strip() or len(fields) < 3 or not END.fullmatch(header, position):
        raise ValueError(NOT_NPY)
    return fields


def check_shape(shape: tuple[Any, ...], limit: int) -> None:
    """Raise ValueError for an invalid shape, or one of more numbers than there are bytes.

    NumPy's reader accepts ``True`` as a number, and sizes beyond any memory beside a 0.
    """
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n <= limit for n in shape):
        raise ValueError(f"claims a shape that no array of {limit:,} bytes has")


def npy_length(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the size of what :func:`write_npy` writes for a shape and type."""
    return len(npy_header(shape, dtype)) + math.prod(shape) * dtype.itemsize
