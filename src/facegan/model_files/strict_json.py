"""Parses untrusted JSON strictly: cards and headers of weights."""

import json
import math
from typing import Any

MAX_DEPTH = 16
MAX_DIGITS = 19  # of a 64-bit integer


def read_json(text: bytes) -> Any:
    """Parse JSON; NaN, infinities and numbers beyond a float become None.

    Raises ValueError for other text, deep nesting, integers beyond 64 bits, lone surrogates, or
    duplicate names in an object.
    """
    try:
        value = json.loads(
            text.decode("utf-8-sig"),
            parse_int=read_int,
            parse_float=read_float,
            parse_constant=lambda _: None,
            object_pairs_hook=read_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    check_value(value, MAX_DEPTH)
    return value


def read_int(digits: str) -> int:
    """Return an integer of 64 bits."""
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def read_float(digits: str) -> float | None:
    """Return a finite float; None if it overflows."""
    number = float(digits)
    return number if math.isfinite(number) else None


def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse duplicate names."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!a} is there twice")
        found[name] = value
    return found


def check_value(value: Any, depth: int) -> None:
    """Raise ValueError for deeper nesting, and for text that is not valid Unicode."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("it is nested too deep")
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            check_value(child, depth - 1)
