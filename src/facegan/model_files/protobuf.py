"""Parses protobuf messages strictly, by tables of the allowed fields.

Lenient parsers skip unknown fields and keep the last of two values. As another parser of the same
bytes may read something else, this one refuses both. Bytes are never copied.

Wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VARINT, BYTES, FIXED32 = 0, 2, 5
MAX_VARINT_BYTES = 10  # 64 bits


class MalformedMessage(ValueError):
    """The bytes are not a valid message."""


@dataclass(frozen=True)
class Field:
    """An allowed field of a message.

    Attributes:
        name: The key of its value.
        wire: Its wire type: VARINT, BYTES or FIXED32.
        is_repeated: Whether its value is a list.
        is_skipped: Whether its value is ignored.
    """

    name: str
    wire: int = BYTES
    is_repeated: bool = False
    is_skipped: bool = False


class MessageReader:
    """Parses a message and its submessages.

    Args:
        limit: The most fields of all of them; one takes about a microsecond.
    """

    def __init__(self, limit: int) -> None:
        self.remaining = limit

    def read(
        self,
        view: memoryview,
        kind: str,
        fields: Mapping[int, Field],
        refused: Mapping[int, str] | None = None,
    ) -> dict[str, Any]:
        """Return a message's fields by name; absent repeated fields are empty lists.

        Args:
            view: The message's bytes.
            kind: Its name in errors.
            fields: Allowed fields by number.
            refused: Names of some other fields, for errors.
        """
        message: dict[str, Any] = {one.name: [] for one in fields.values() if one.is_repeated}
        for number, wire, value in read_fields(view):
            self.remaining -= 1
            if self.remaining < 0:
                raise MalformedMessage("it has too many fields")
            field = fields.get(number)
            if field is None:
                raise MalformedMessage(
                    f"{kind} has {(refused or {}).get(number, f'field {number}')}"
                )
            if wire != field.wire:
                raise MalformedMessage(f"{kind} has {field.name} of another type")
            if field.is_repeated:
                message[field.name].append(value)
            elif field.name in message:
                raise MalformedMessage(f"{kind} has two of {field.name}")
            elif not field.is_skipped:
                message[field.name] = value
        return message


def read_fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield each field's number, wire type and value: an int, or a view of its bytes."""
    offset = 0
    while offset < len(view):
        key, offset = read_varint(view, offset)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, offset = read_varint(view, offset)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, offset = read_varint(view, offset)
        elif wire == FIXED32:
            length = 4
        else:
            raise MalformedMessage(f"wire type {wire}")
        if length > len(view) - offset:
            raise MalformedMessage("it ends early")
        yield number, wire, view[offset : offset + length]
        offset += length


def read_varint(view: memoryview, offset: int) -> tuple[int, int]:
    """Return the varint at an offset, which must have its shortest form, and the next offset."""
    number = 0
    for index, byte in enumerate(view[offset : offset + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if (byte == 0 and index) or number >= 1 << 64:
                raise MalformedMessage("a number that is not in its shortest form")
            return number, offset + index + 1
    raise MalformedMessage("a number without an end")


def signed(number: int) -> int:
    """Convert a varint to int64."""
    return number - (1 << 64) if number >= 1 << 63 else number
