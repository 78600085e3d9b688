"""HTML that cannot be forgotten to escape: text is escaped unless it was built here."""

from collections.abc import Iterable
from html import escape

VOID = {"br", "img", "input", "link", "meta"}


class Markup(str):
    """Text that is HTML already: it goes into an element as it is."""

    __slots__ = ()


Child = str | Iterable[str]


def element(tag: str, *children: Child, **attributes: object) -> Markup:
    """An element of HTML or inline SVG.

    Args:
        tag: Its name; ours, never a user's text.
        children: Text, which is escaped, markup, which is not, or lists of both.
        attributes: Values, which are escaped; ``True`` is an attribute without one, ``None`` and
            ``False`` none at all. ``class_`` and ``for_`` lose their underscore, ``view_box`` and
            the like become ``view-box``.
    """
    written = "".join(attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def attribute(name: str, value: object) -> str:
    """One attribute with the space before it."""
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value))}"'


def join(*children: Child) -> Markup:
    """Text and markup after one another."""
    parts = [[child] if isinstance(child, str) else child for child in children]
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for group in parts
                          for part in group))  # fmt: skip


def section(title: str, *children: Markup) -> Markup:
    """One card of the page."""
    return element("section", element("h2", title), *children)


def paragraph(text: str) -> Markup:
    """What a reader should know of what follows."""
    return element("p", text)


def absent(reason: str) -> Markup:
    """Why something is not there."""
    return element("p", reason, class_="absent")
