"""Turns pydantic's errors into sentences of ours."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


def first_of(cause: ValidationError) -> Mapping[str, Any]:
    """The first of pydantic's errors: where (``loc``), which (``type``), and in words (``msg``)."""
    return cause.errors(include_url=False, include_context=False, include_input=False)[0]


def lowered(sentence: str) -> str:
    """Pydantic's message, to follow a colon."""
    return sentence[:1].lower() + sentence[1:]


def shortened(name: str) -> str:
    """A stranger's field name, cut so that an answer stays readable."""
    return name if len(name) <= 40 else name[:40] + "…"
