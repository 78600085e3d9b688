"""Fields of a request as text: parameters of a content type, and the fields of a form."""

from collections.abc import Iterable
from typing import Any

from facegan.errors import RequestError, did_you_mean
from facegan.name_lists import read_names, write_names
from facegan.wire.error_text import as_number, shorten
from facegan.wire.generate_request import GenerateRequest

NUMBERS = ("truncation_psi", "interpolate", "columns", "quality", "frame_ms")
TEXTS = ("direction", "layout")
TEXT_FIELDS = ("seeds", "classes", *NUMBERS, *TEXTS)
ALIASES = {"seed": "seeds", "class": "classes"}
IGNORED = ("charset", "boundary")  # of a content type; they say how text and parts are written


def fields_from_text(pairs: Iterable[tuple[str, str]], where: str) -> dict[str, Any]:
    """Return a request's fields, to be validated, of names and texts.

    Args:
        pairs: Such as ("seeds", "1,2,3") and ("direction", "BtoA").
        where: What they are, as a noun for messages: "parameter", "form field".

    Raises:
        RequestError: A name is unknown, or there twice.
    """
    fields: dict[str, Any] = {}
    for given, text in pairs:
        name = ALIASES.get(given, given)
        if name in fields:
            raise RequestError(f"The {where} {shorten(given)!a} is there twice.", "Give it once.")
        if name not in TEXT_FIELDS:
            hint = did_you_mean(given[:40], TEXT_FIELDS, f"{where}s")
            raise RequestError(f"Unknown {where} {shorten(given)!a}.", hint)
        fields[name] = from_text(name, text.strip())
    return fields


def from_text(name: str, text: str) -> Any:
    """Return a field's value; text that is not one stays as it is, for the message about it."""
    if name == "seeds":
        return [number_or_text(part) for part in text.split(",")] if text else []
    if name == "classes":
        return list(read_names(text))
    return text if name in TEXTS else number_or_text(text)


def number_or_text(text: str) -> int | float | str:
    """Return a number, or a text that is not one."""
    number = as_number(text.strip()) if "_" not in text else None
    return text if number is None else number


def to_text(request: GenerateRequest) -> list[tuple[str, str]]:
    """Return the changed fields of a request as names and texts; sources and latents are others'.

    Raises:
        RequestError: A field cannot be written as text.
    """
    pairs = []
    for name in sorted(request.changed_fields - request.sources.keys()):
        value = getattr(request, name)
        if name not in TEXT_FIELDS:
            raise RequestError(f"{name}: is not a parameter.", "Send the request as JSON.")
        if name == "classes":
            value = write_names([str(label) for label in value])
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        pairs.append((name, text))
    return pairs
