"""Reads protobuf messages strictly, without a schema compiler: what a message may hold is a table.

A lenient reader skips fields it does not know and lets the last of two values win. Another reader
of the same bytes may see something else there, so this one refuses both. Bytes are never copied.

Wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VARINT, BYTES, FIXED32 = 0, 2, 5
MAX_VARINT_BYTES = 10  # 64 bits


class MalformedMessage(ValueError):
    """The bytes are not the message they should be."""


@dataclass(frozen=True)
class Field:
    """A field that a message may have.

    Attributes:
        name: The key of its value.
        wire: How it is written: VARINT, BYTES or FIXED32.
        is_repeated: Whether it may come more than once; its value is then a list.
        is_skipped: Whether nobody wants its value.
    """

    name: str
    wire: int = BYTES
    is_repeated: bool = False
    is_skipped: bool = False


class MessageReader:
    """Reads a message and those inside it.

    Args:
        most: How many fields all of them may have together: one takes about a microsecond.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def read(
        self,
        view: memoryview,
        kind: str,
        fields: Mapping[int, Field],
        refused: Mapping[int, str] | None = None,
    ) -> dict[str, Any]:
        """Return a message's fields by name; those that are absent are missing, or an empty list.

        Args:
            view: The message's bytes.
            kind: What it is called in errors.
            fields: What it may hold, by number.
            refused: What to call some of the numbers that it may not hold.

        Raises:
            MalformedMessage: the bytes are no message, or hold anything else.
        """
        message: dict[str, Any] = {one.name: [] for one in fields.values() if one.is_repeated}
        for number, wire, value in read_fields(view):
            self.left -= 1
            if self.left < 0:
                raise MalformedMessage("it has too many parts")
            field = fields.get(number)
            if field is None:
                raise MalformedMessage(
                    f"{kind} holds {(refused or {}).get(number, f'field {number}')}"
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
    place = 0
    while place < len(view):
        key, place = read_varint(view, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = read_varint(view, place)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, place = read_varint(view, place)
        elif wire == FIXED32:
            length = 4
        else:
            raise MalformedMessage(f"wire type {wire}")
        if length > len(view) - place:
            raise MalformedMessage("it ends early")
        yield number, wire, view[place : place + length]
        place += length


def read_varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return the unsigned number at a place, and the place after it; only its shortest form."""
    number = 0
    for index, byte in enumerate(view[place : place + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if (byte == 0 and index) or number >= 1 << 64:
                raise MalformedMessage("a number in a form that nobody writes")
            return number, place + index + 1
    raise MalformedMessage("a number without an end")


def signed(number: int) -> int:
    """Return a varint as the int64 it stands for."""
    return number - (1 << 64) if number >= 1 << 63 else number
