"""From an Accept header to one content type (RFC 9110, section 12.5.1)."""

from functools import lru_cache
from typing import NamedTuple

from facegan.errors import NotAcceptable
from facegan.wire.content_types import ALIASES


class MediaRange(NamedTuple):
    """One part of an Accept header: a type, perhaps with wildcards, and how much it is wanted."""

    main: str
    sub: str
    quality: float

    def fits(self, content_type: str) -> bool:
        """Whether the range covers a content type."""
        main, _, sub = content_type.partition("/")
        return self.main in ("*", main) and self.sub in ("*", sub)

    @property
    def closeness(self) -> int:
        """How closely the range names a type: 2 by name, 1 as ``image/*``, 0 as ``*/*``."""
        return (self.main != "*") + (self.sub != "*")


def bare_type(content_type: str | None) -> str:
    """A content type without its parameters, in lower case, by our name; empty if there is none."""
    name = (content_type or "").partition(";")[0].strip().lower()
    return ALIASES.get(name, name)


def parameter_of(content_type: str | None, name: str) -> str:
    """Return a content type's parameter without its quotes; empty if there is none."""
    for part in (content_type or "").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip(' \t"')
    return ""


@lru_cache(maxsize=128)  # callers send the same few headers, several times a request
def negotiate(accept: str | None, offered: tuple[str, ...], default: str) -> str:
    """The offered content type that a caller likes best.

    Args:
        accept: The Accept header; None or blank accepts everything.
        offered: Bare content types the server can write.
        default: Which of them wins where the caller has no preference.

    Raises:
        NotAcceptable: the caller wants none of them; the hint lists them.
    """
    if not (accept or "").strip(" ,\t"):
        return default
    ranges = [parsed for part in (accept or "").split(",") if (parsed := parse_range(part))]

    def wish(content_type: str) -> tuple[float, int, bool]:
        # The closest range decides the quality, so `image/png;q=0, */*` refuses PNG.
        fits = [(r.closeness, r.quality) for r in ranges if r.fits(content_type)]
        closeness, quality = max(fits, default=(0, 0.0))
        return quality, closeness, content_type == default

    best = max(offered, key=wish)
    if wish(best)[0] == 0:
        raise NotAcceptable(
            f"Nothing in Accept: {str(accept)[:100]!a} can be answered.",
            "This endpoint answers with " + ", ".join(offered) + ".",
        )
    return best


def parse_range(part: str) -> MediaRange | None:
    """One part of the header, or None where it is malformed."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    name = "*/*" if name == "*" else ALIASES.get(name, name)  # old Java sends a bare "*"
    main, _, sub = name.partition("/")
    if not main or not sub or (main == "*" != sub):
        return None
    pairs = (parameter.partition("=") for parameter in parameters)
    weights = [value.strip() for key, _, value in pairs if key.strip() == "q"]
    try:
        quality = float(weights[0]) if weights else 1.0
    except ValueError:
        return None
    return MediaRange(main, sub, quality) if 0 <= quality <= 1 else None
