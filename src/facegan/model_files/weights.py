"""The header of a safetensors file, checked before a number behind it is read.

Format: huggingface.co/docs/safetensors, "Format".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from facegan.errors import first_line
from facegan.model_files.card import WEIGHTS_NAME
from facegan.model_files.strict_json import read_json

MAX_HEADER_BYTES = 1 << 20  # our largest generator has 13 KB
MAX_DIMENSIONS = 8
LENGTH = 8  # bytes that say how long the header is
BYTES_OF = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}


class Readable(Protocol):
    """What gives bytes, at most so many at a time and none at its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a header describes it."""

    dtype: str  # one of BYTES_OF
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether they are no whole numbers."""
        return self.dtype not in ("I64", "I32")

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return self.elements * BYTES_OF[self.dtype]


@dataclass(frozen=True)
class WeightsHeader:
    """What lies in a file of weights."""

    tensors: Mapping[str, StoredTensor]

    @property
    def elements(self) -> int:
        """How many numbers there are in all."""
        return sum(tensor.elements for tensor in self.tensors.values())

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return sum(tensor.bytes for tensor in self.tensors.values())


def read_exactly(stream: Readable, size: int) -> bytes:
    """Return the next bytes of a stream.

    Raises:
        EOFError: there are fewer.
    """
    pieces, left = [], size
    while left:
        piece = stream.read(min(left, 1 << 16))
        if not piece:
            raise EOFError("it ends early")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def read_header(stream: Readable, length: int) -> tuple[WeightsHeader, bytes]:
    """Return what a file's header says, and the bytes that were read for it.

    Args:
        stream: The file, from its start.
        length: How long the whole file is.

    Raises:
        ValueError: it is not a header, or does not fit the length.
        EOFError: the stream ends early.
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
            f"the weights are not those its card describes: {WEIGHTS_NAME} is no file of weights "
            f"({first_line(cause)})"
        ) from cause


def parse_header(text: bytes, length: int) -> WeightsHeader:
    """Return what a header says, if the tensors fill a length without a gap or an overlap.

    Raises:
        ValueError: they do not, or it is none.
    """
    values = read_json(text)
    if text[:1] != b"{" or not isinstance(values, dict):
        raise ValueError("its header is no object")
    notes = values.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("its __metadata__ is no object of texts")
    tensors, spans = {}, []
    for name, told in values.items():
        tensors[name], span = parse_tensor(name, told)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise ValueError("its tensors overlap, or there is a gap between them")
        end = stop
    if end != length:
        raise ValueError("it has another length than its header tells")
    return WeightsHeader(tensors)


def parse_tensor(name: str, told: Any) -> tuple[StoredTensor, tuple[int, int]]:
    """Return a tensor, and from where to where its bytes lie.

    Raises:
        ValueError: it is described wrongly.
    """
    wrong = ValueError(f"the tensor {name[:60]!a} is described wrongly")
    if not isinstance(told, dict) or told.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, span = told["dtype"], told["shape"], told["data_offsets"]
    is_list = isinstance(shape, list) and isinstance(span, list)
    if not is_list or len(shape) > MAX_DIMENSIONS or len(span) != 2:
        raise wrong
    if not all(type(number) is int and number >= 0 for number in [*shape, *span]):
        raise wrong
    if not isinstance(dtype, str) or dtype not in BYTES_OF:
        raise ValueError(f"the tensor {name[:60]!a} is of the type {str(dtype)[:20]!a}")
    tensor = StoredTensor(dtype, tuple(shape))
    if span[1] - span[0] != tensor.bytes:
        raise wrong
    return tensor, (span[0], span[1])
