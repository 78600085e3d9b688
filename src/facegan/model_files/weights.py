"""Parses and checks the header of a safetensors file, before its data is read.

Format: huggingface.co/docs/safetensors, "Format".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from facegan.errors import first_line
from facegan.model_files.card import WEIGHTS_NAME
from facegan.model_files.strict_json import read_json

MAX_HEADER_BYTES = 1 << 20  # our largest generator's has 13 KB
MAX_DIMENSIONS = 8
LENGTH = 8  # bytes of the header's length
BYTES_OF = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` next bytes; none at the end."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a header describes it."""

    dtype: str  # one of BYTES_OF
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether its elements are floats."""
        return self.dtype not in ("I64", "I32")

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return self.elements * BYTES_OF[self.dtype]


@dataclass(frozen=True)
class WeightsHeader:
    """The tensors of a file of weights."""

    tensors: Mapping[str, StoredTensor]

    @property
    def elements(self) -> int:
        """How many elements they have in all."""
        return sum(tensor.elements for tensor in self.tensors.values())

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return sum(tensor.bytes for tensor in self.tensors.values())


def read_exactly(stream: Readable, size: int) -> bytes:
    """Return exactly `size` bytes of a stream; EOFError if there are fewer."""
    chunks, left = [], size
    while left:
        chunk = stream.read(min(left, 1 << 16))
        if not chunk:
            raise EOFError("it ends early")
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def read_header(stream: Readable, length: int) -> tuple[WeightsHeader, bytes]:
    """Return a file's header, and the bytes that were read for it.

    Args:
        stream: The file, from its start.
        length: The length of the whole file.
    """
    try:
        start = read_exactly(stream, min(LENGTH, length))
        size = int.from_bytes(start, "little")
        if not 0 < size <= min(MAX_HEADER_BYTES, length - LENGTH):
            raise ValueError(f"a header of {size:,} bytes in a file of {length:,}")
        text = read_exactly(stream, size)
        return parse_header(text, length - LENGTH - size), start + text
    except ValueError as cause:
        raise ValueError(
            "the weights are not those its card describes: "
            f"{WEIGHTS_NAME} is not a safetensors file ({first_line(cause)})"
        ) from cause


def parse_header(text: bytes, length: int) -> WeightsHeader:
    """Parse a header; its tensors must fill the data without gaps or overlaps."""
    values = read_json(text)
    if text[:1] != b"{" or not isinstance(values, dict):
        raise ValueError("its header is not an object")
    notes = values.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("its __metadata__ is not an object of strings")
    tensors, spans = {}, []
    for name, described in values.items():
        tensors[name], span = parse_tensor(name, described)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise ValueError("its tensors overlap, or there is a gap between them")
        end = stop
    if end != length:
        raise ValueError("its length differs from its header")
    return WeightsHeader(tensors)


def parse_tensor(name: str, described: Any) -> tuple[StoredTensor, tuple[int, int]]:
    """Return a tensor, and the start and end of its bytes."""
    invalid = ValueError(f"the tensor {name[:60]!a} has an invalid description")
    if not isinstance(described, dict) or described.keys() != {"dtype", "shape", "data_offsets"}:
        raise invalid
    dtype, shape, span = described["dtype"], described["shape"], described["data_offsets"]
    is_list = isinstance(shape, list) and isinstance(span, list)
    if not is_list or len(shape) > MAX_DIMENSIONS or len(span) != 2:
        raise invalid
    if not all(type(number) is int and number >= 0 for number in [*shape, *span]):
        raise invalid
    if not isinstance(dtype, str) or dtype not in BYTES_OF:
        raise ValueError(f"the tensor {name[:60]!a} has the type {str(dtype)[:20]!a}")
    tensor = StoredTensor(dtype, tuple(shape))
    if span[1] - span[0] != tensor.bytes:
        raise invalid
    return tensor, (span[0], span[1])
