"""Reads JSON that a stranger wrote: cards and headers of weights."""

import json
import math
from typing import Any

MAX_DEPTH = 16
MAX_DIGITS = 19  # of a whole number: 64 bits


def read_json(text: bytes) -> Any:
    """Parse JSON; NaN, infinities and numbers beyond a float become None.

    Raises:
        ValueError: it is no JSON in UTF-8, is nested too deep, has a whole number beyond 64 bits,
            half of a surrogate pair, or one name twice in an object.
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
    check_plain(value, MAX_DEPTH)
    return value


def read_int(digits: str) -> int:
    """Return a whole number of 64 bits."""
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def read_float(digits: str) -> float | None:
    """Return a finite number; None for one that no float can hold."""
    number = float(digits)
    return number if math.isfinite(number) else None


def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose names differ."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!a} is there twice")
        found[name] = value
    return found


def check_plain(value: Any, depth: int) -> None:
    """Raise ValueError for what is nested deeper, and for text that is no Unicode."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("it is nested too deep")
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            check_plain(child, depth - 1)
