"""Chooses the content type of a reply by the Accept header (RFC 9110, section 12.5.1)."""

import re
from functools import lru_cache

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from facegan.errors import NotAcceptable
from facegan.wire import JSON_LINES, bare_type
from facegan.wire.content_types import get_parameter

BARE_FRACTION = re.compile(r"(;\s*q\s*=\s*)(?=\.\d)", re.IGNORECASE)  # old Java sends q=.2
ANYTHING = {"*": "*/*"}  # old Java sends a bare *, too


def parse_accept(accept: str | None) -> MIMEAccept:
    """Parse an Accept header into types without parameters, sorted by specificity and quality."""
    ranges = parse_accept_header(BARE_FRACTION.sub(r"\g<1>0", accept or ""), MIMEAccept)
    bare = [(bare_type(media_range), quality) for media_range, quality in ranges]
    return MIMEAccept([(ANYTHING.get(name, name), quality) for name, quality in bare])


@lru_cache(maxsize=128)  # callers send the same few headers
def negotiate(accept: str | None, offered: tuple[str, ...], default: str) -> str:
    """Return the offered content type that a client prefers.

    Args:
        accept: The Accept header; None or blank accepts everything.
        offered: Bare content types.
        default: The one of them to return if the client has no preference.
    """
    if not (accept or "").strip(" ,\t"):
        return default
    best = parse_accept(accept).best_match([default, *offered])
    if best is None:
        raise NotAcceptable(
            f"Nothing in Accept: {str(accept)[:100]!a} can be answered.",
            "This endpoint answers with " + ", ".join(offered) + ".",
        )
    return best


@lru_cache(maxsize=128)
def preferred_type(accept: str | None, default: str) -> str:
    """Return the type that a client prefers, if any type may be written."""
    named = (name for name, quality in parse_accept(accept) if quality > 0 and "*" not in name)
    return next((name for name in named if "/" in name), default)


@lru_cache(maxsize=128)
def accepts_stream(accept: str | None, content_type: str = JSON_LINES) -> bool:
    """Return whether a client says that it reads a type as a stream, however large it is.

    SageMaker sends a container the same request for InvokeEndpoint, whose replies are limited to
    6 MB, and for InvokeEndpointWithResponseStream; only Accept is passed on unchanged.
    """
    ranges = [media_range for media_range, _ in parse_accept_header(accept, MIMEAccept)]
    return any(
        bare_type(it) == content_type and get_parameter(it, "stream").lower() == "true"
        for it in ranges
    )
