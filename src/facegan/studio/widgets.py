"""Gradio widgets that several tabs use."""

import base64
import html
from collections.abc import Sequence
from typing import Any, Literal

import gradio as gr

from facegan.studio.saved_image import SavedImage

Variant = Literal["primary", "secondary", "stop"]


def small_button(text: str, name: str, variant: Variant = "secondary") -> gr.Button:
    """Return one of several buttons in a row."""
    return gr.Button(text, elem_id=name, variant=variant, size="md", min_width=85)


def image_gallery(name: str, columns: int = 4) -> gr.Gallery:
    """Return a gallery of images with captions, without a height limit."""
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


def image_frame(name: str, **others: Any) -> gr.Image:
    """Return a frame for one image file."""
    plain: dict[str, Any] = {"show_label": False, "interactive": False, "buttons": []}
    return gr.Image(type="filepath", elem_id=name, **plain, **others)


def captioned(images: Sequence[SavedImage]) -> list[tuple[str, str]]:
    """Return images as a gallery's value."""
    return [(str(image.path), image.caption) for image in images]


def inline_image(image: SavedImage, text: str = "") -> str:
    """Return an image as HTML that embeds its file, with its caption or another text."""
    data = base64.b64encode(image.path.read_bytes()).decode()
    alt = html.escape(text or image.caption, quote=True)
    return f'<img src="data:image/png;base64,{data}" alt="{alt}" title="{alt}">'
