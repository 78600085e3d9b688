"""Parses a page into its elements, texts and images."""

import base64
from html.parser import HTMLParser

VOID = {"br", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """A page's elements, texts and images; refuses tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.stack: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == [], f"left open: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} says an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self.stack[-1], []).append(data)

    @property
    def text(self) -> str:
        shown = (text for tag, texts in self.texts.items() if tag != "style" for text in texts)
        return "\n".join(shown)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def images(self) -> dict[str, bytes]:
        """alt → the bytes of the PNG it carries; the last of those with one alt."""
        found = {}
        for attributes in self.all("img"):
            kind, _, body = str(attributes["src"]).partition(",")
            assert kind == "data:image/png;base64"
            found[str(attributes["alt"])] = base64.b64decode(body, validate=True)
        return found
