"""Reads the .npy bytes of a stranger: plain numbers only, and only as many as are really there.

The format is NumPy's NEP 1. ``numpy.load`` is not used, for it allocates what the header claims.
"""

import io
import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DIMENSIONS = 8
READERS = {  # version 3 exists only for structured types with non-Latin names
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_npy(array: npt.NDArray[Any]) -> bytes:
    """An array as .npy bytes."""
    return npy_header(array.shape, array.dtype) + array.tobytes()


@lru_cache(maxsize=128)  # to write one takes longer than to copy the pixels of a face
def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What comes before the numbers, row by row."""
    stream = io.BytesIO()
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    return stream.getvalue()


def read_npy(body: bytes) -> npt.NDArray[Any]:
    """The array in .npy bytes: real numbers, a read-only view of `body`.

    Raises:
        ValueError: a sentence that says what is wrong: no .npy, no plain numbers (objects, complex
            or structured types), or a header that claims another size than the body has.
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
    """Shape, Fortran order, dtype, and the offset where the numbers start."""
    stream = io.BytesIO(body)
    try:
        read_rest = READERS[np.lib.format.read_magic(stream)]
        shape, is_fortran, dtype = read_rest(stream)
    except Exception as cause:  # NumPy evaluates the header as Python: hostile text fails anyhow
        raise ValueError("is no .npy file of version 1 or 2") from cause
    check_shape(shape, len(body))
    return shape, is_fortran, dtype, stream.tell()


def check_shape(shape: tuple[Any, ...], most: int) -> None:
    """Raise ValueError for a shape that is none, or claims more numbers than there are bytes.

    NumPy's reader lets ``True`` pass for a number, and sizes beyond any memory beside a 0.
    """
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n <= most for n in shape):
        raise ValueError(f"claims a shape that no array of {most:,} bytes has")


def npy_length(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """How many bytes :func:`write_npy` makes of an array, without one."""
    return len(npy_header(shape, dtype)) + math.prod(shape) * dtype.itemsize
