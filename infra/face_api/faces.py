"""What may be requested, and how the endpoint is called (docs/serving-reference.md)."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from face_api.events import JSON, Asked, Refusal, wrong

MAX_SEED = 2**32 - 1
MAX_CLASS = 1000  # characters of a name, as the container has it
SUFFIXES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
PICTURES = ("image/png", "image/jpeg", "image/webp")  # the first is the default
REPLIES = (*PICTURES, JSON, "application/zip", "application/x-npy", "application/jsonlines")
ALIASES = {"image/jpg": "image/jpeg"}
QUERY = ("truncation", "class", "quality", "model")
EXAMPLE = "Example: /faces/7.png?truncation=0.7"
BODY_EXAMPLE = 'Example: {"seeds": [1, 2, 3], "truncation_psi": 0.7}'


@dataclass(frozen=True)
class Face:
    """One seed's face, as one kind of picture.

    Args:
        seed: 0 … 2**32 - 1.
        content_type: One of ``PICTURES``.
        by_accept: Whether the caller's Accept header chose that.
        truncation: 0 … 2; the model as it is where None.
        class_name: A name, or a number as a text; the seed's own where None.
        quality: 1 … 100, of JPEG and WebP.
        model: The model that the caller means; whichever is served where None.
    """

    seed: int
    content_type: str
    by_accept: bool = False
    truncation: float | None = None
    class_name: str | None = None
    quality: int | None = None
    model: str | None = None

    @property
    def body(self) -> bytes:
        """The request as the endpoint takes it."""
        wish: dict[str, Any] = {"seeds": [self.seed]}
        if self.truncation is not None:
            wish["truncation_psi"] = self.truncation
        if self.class_name is not None:
            wish["classes"] = [self.class_name]
        if self.quality is not None:
            wish["quality"] = self.quality
        return json.dumps(wish).encode()

    def etag(self, model: str) -> str:
        """The name of what comes back, of one model.

        Weak: two machines draw the same face, but not always to the byte (docs/serving.md).
        """
        named = b"\0".join([model.encode(), self.content_type.encode(), self.body])
        return f'W/"{hashlib.sha256(named).hexdigest()[:32]}"'


def face_of(asked: Asked) -> Face:
    """The face that a GET asks for.

    Raises:
        Refusal: what is wrong is named.
    """
    name = asked.path.removeprefix("/faces/")
    number, dot, suffix = name.partition(".")
    if not re.fullmatch("0|[1-9][0-9]{0,9}", number) or int(number) > MAX_SEED:
        raise wrong(f"{shown(number)} is no seed: a whole number from 0 to {MAX_SEED}.", EXAMPLE)
    if dot and suffix not in SUFFIXES:
        raise Refusal(
            404, "NotFound", f"There are no faces as .{shown(suffix)[1:-1]}.", one_of(SUFFIXES, ".")
        )
    content_type = SUFFIXES[suffix] if dot else chosen(asked.headers.get("accept"), PICTURES)
    query = fields_of(asked.query)
    return Face(
        seed=int(number),
        content_type=content_type,
        by_accept=not dot,
        truncation=truncation_of(query.get("truncation")),
        class_name=class_of(query.get("class")),
        quality=quality_of(query.get("quality"), content_type),
        model=query.get("model"),
    )


def fields_of(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A query's fields, each known and once there."""
    found: dict[str, str] = {}
    for name, value in query:
        if name not in QUERY:
            close = difflib.get_close_matches(name, QUERY, n=1)
            hint = f"Did you mean {close[0]}?" if close else one_of(QUERY)
            raise wrong(f"{shown(name)} is no field of the query.", hint)
        if name in found:
            raise wrong(f"{name} is in the query twice.", EXAMPLE)
        found[name] = value
    return found


def truncation_of(text: str | None) -> float | None:
    """A number from 0 to 2."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9](\.[0-9]{1,15})?", text) or float(text) > 2:
        raise wrong(f"truncation is {shown(text)}: it must be a number from 0 to 2.", EXAMPLE)
    return float(text)


def class_of(text: str | None) -> str | None:
    """A name, which only the model knows."""
    if text is not None and not 0 < len(text) <= MAX_CLASS:
        hint = "Give a class's name, or its number from 0."
        raise wrong(f"class has {len(text)} characters; 1 to {MAX_CLASS} are allowed.", hint)
    return text


def quality_of(text: str | None, content_type: str) -> int | None:
    """A whole number from 1 to 100, of pictures that have one."""
    if text is None:
        return None
    if content_type == "image/png":
        raise wrong("quality is given, and a PNG has none.", "Ask for .jpg or .webp.")
    if not re.fullmatch("[1-9][0-9]?|100", text):
        raise wrong(f"quality is {shown(text)}: it must be a whole number from 1 to 100.")
    return int(text)


def check_body(asked: Asked, max_bytes: int) -> None:
    """Refuse a POST's body that is no JSON object; its fields, the endpoint judges.

    Raises:
        Refusal: what is wrong is named.
    """
    if len(asked.body) > max_bytes:
        told = f"The body has {len(asked.body)} bytes; the limit is {max_bytes}."
        raise Refusal(413, "RequestTooLarge", told, "Split it into several requests.")
    content_type = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != JSON:
        told = f"The content type is {shown(content_type)}." if content_type else "No content type."
        raise Refusal(415, "UnsupportedContentType", told, f"Send {JSON}. {BODY_EXAMPLE}")
    try:
        value = json.loads(asked.body, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as cause:
        raise wrong("The body is no JSON.", BODY_EXAMPLE) from cause
    if not isinstance(value, dict):
        raise wrong("The body is no JSON object.", BODY_EXAMPLE)


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity, which Python reads, are no JSON."""
    raise ValueError(name)


def chosen(accept: str | None, offered: Sequence[str]) -> str:
    """What to answer with, by the Accept header's weights; equals in the order offered (RFC 9110).

    Raises:
        Refusal: nothing that is accepted is offered.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = list(ranges_of(accept))
    weights = {one: weight_of(one, ranges) for one in offered}
    best = max(offered, key=lambda one: weights[one])  # the first of equals
    if weights[best] == 0:
        raise Refusal(
            406, "NotAcceptable", f"Nothing is written as {shown(accept)}.", one_of(offered)
        )
    return best


def ranges_of(accept: str) -> Iterator[tuple[str, float]]:
    """The media ranges of an Accept header with their weights."""
    for part in accept.split(","):
        name, *parameters = (it.strip().lower() for it in part.split(";"))
        weight = next((it[2:] for it in parameters if it.startswith("q=")), "1")
        if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", weight):
            yield ALIASES.get(name, name), float(weight)


def weight_of(content_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight that the most specific range gives a type; 0 where none has it."""
    for wanted in (content_type, content_type.partition("/")[0] + "/*", "*/*"):
        found = [weight for name, weight in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0


def one_of(names: Sequence[str] | dict[str, str], before: str = "") -> str:
    """A hint that lists what there is."""
    return "There are " + ", ".join(before + name for name in names) + "."


def shown(text: str) -> str:
    """A caller's text, quoted, plain and short."""
    return ascii(text if len(text) <= 40 else text[:40] + "…")
