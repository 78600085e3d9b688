"""The tab of translated images: an image from this machine, its translation and the way back."""

from typing import Any

import gradio as gr

from facegan.studio.components import Components, Values
from facegan.studio.drawings import parse_data_url
from facegan.studio.model_info import ModelInfo
from facegan.studio.studio import Studio
from facegan.studio.widgets import image_frame

# The browser posts the chosen image in place of the hidden field's value; see appearance.py.
POST_IMAGE = """(_, direction) =>
  [document.getElementById('translate-source')?.getAttribute('src') ?? '', direction]"""


def drop_zone(side: int) -> str:
    """Return the field for an image; it stays in the browser until it is posted."""
    return f"""
<label class="studio-drop" id="translate-drop" data-side="{side}">
  Drop an image here, or choose a file
  <input type="file" accept="image/png,image/jpeg,image/webp">
  <img id="translate-source" alt="The image to be translated" hidden>
</label>"""


def translate(studio: Studio, source: Any, direction: str | None) -> Values:
    """Return an image's translation, the way back, their difference and the translation's file."""
    found = studio.translate(parse_data_url(source), direction or None)
    there = str(found.there)
    back: Any = gr.update(visible=False)
    text = ""
    if found.back is not None:
        back = gr.update(value=str(found.back), alt_text="The way back", visible=True)
        text = (
            f"Right: the translation back. From the image it differs by {found.difference:.1f} of "
            "255 levels (mean absolute difference)."
        )
    shown = gr.update(value=there, alt_text="The translation")
    return [shown, back, text, gr.update(value=there, visible=True)]


def add_translate_tab(components: Components) -> list[Any]:
    """Add the tab's widgets and handlers; return what :func:`open_translate_tab` has values for."""
    with gr.Row():
        with gr.Column(min_width=300):
            zone = gr.HTML(elem_id="translate-zone", padding=False)
            source = gr.Textbox(visible=False)
            direction = gr.Dropdown([], label="Direction", visible=False, elem_id="direction")
            start = gr.Button("Translate", variant="primary", elem_id="translate-draw")
        with gr.Column(scale=2, min_width=300):
            with gr.Row():
                there = image_frame("translated", min_width=140)
                back = image_frame("translated-back", min_width=140, visible=False)
            text = gr.Markdown(elem_id="translated-words")
            download = gr.DownloadButton("Download PNG", visible=False, elem_id="translated-file")
    components.on(
        [start.click, direction.input],
        lambda *values: translate(components.studio, *values),
        [source, direction],
        [there, back, text, download],
        js=POST_IMAGE,
        trigger_mode="always_last",
    )
    return [zone, direction]


def open_translate_tab(info: ModelInfo) -> Values:
    """Return the updates of the tab for a model."""
    if not info.translates:
        return [gr.skip(), gr.skip()]
    ways = list(info.directions)
    choice = gr.update(choices=ways, value=ways[0] if ways else None, visible=bool(ways))
    return [drop_zone(info.resolution), choice]
