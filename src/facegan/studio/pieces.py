"""Pieces that several parts of the page are made of."""

import base64
import html
from collections.abc import Sequence
from typing import Any, Literal

import gradio as gr

from facegan.studio.wishes import Portrait

Variant = Literal["primary", "secondary", "stop"]


def small_button(words: str, name: str, variant: Variant = "secondary") -> gr.Button:
    """One of several in a row."""
    return gr.Button(words, elem_id=name, variant=variant, size="md", min_width=85)


def picture_gallery(name: str, columns: int = 4) -> gr.Gallery:
    """Pictures with words below them, as high as they are."""
    return gr.Gallery(
        show_label=False,
        columns=columns,
        height="auto",
        allow_preview=False,
        object_fit="contain",
        buttons=[],
        interactive=False,
        elem_id=name,
    )


def picture_frame(name: str, **others: Any) -> gr.Image:
    """One picture, shown as its file is."""
    plain: dict[str, Any] = {"show_label": False, "interactive": False, "buttons": []}
    return gr.Image(type="filepath", elem_id=name, **plain, **others)


def captioned(shown: Sequence[Portrait]) -> list[tuple[str, str]]:
    """Portraits as a gallery shows them."""
    return [(str(face.path), face.caption) for face in shown]


def inline_image(face: Portrait, words: str = "") -> str:
    """A face inside HTML, the very bytes of its file, with its caption or other words."""
    data = base64.b64encode(face.path.read_bytes()).decode()
    told = html.escape(words or face.caption, quote=True)
    return f'<img src="data:image/png;base64,{data}" alt="{told}" title="{told}">'
