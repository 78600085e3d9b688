"""The tab of painted label maps: a canvas with a brush per class, and the images made of it."""

import html
from typing import Any

import gradio as gr

from facegan.studio.components import Components, Values
from facegan.studio.drawings import data_url, parse_drawing
from facegan.studio.model_info import ModelInfo
from facegan.studio.saved_image import MAX_SEED, parse_int
from facegan.studio.studio import Studio, zip_files
from facegan.studio.widgets import image_gallery

SEEDS = 6
# The browser posts the canvas in place of the hidden field's value; the script is in appearance.py.
POST_CANVAS = """(_, seed) =>
  [document.getElementById('paint-canvas')?.toDataURL('image/png') ?? '', seed]"""


def start_canvas(studio: Studio) -> str:
    """Return the brushes and a canvas as HTML; the page's script draws the start map on it."""
    info, start = studio.model_info(), data_url(studio.start_map())
    side, token = info.resolution, studio.rng.getrandbits(32)  # the same map is drawn again, too
    return f"""
<fieldset class="studio-brushes"><legend>Class</legend>{brushes_of(info)}</fieldset>
<div class="studio-brushes">
  <label>Brush <input type="range" id="brush-size" min="1" max="{side // 3}"
    value="{max(2, side // 10)}"></label>
  <button type="button" id="paint-undo">Undo</button>
</div>
<canvas id="paint-canvas" width="{side}" height="{side}" role="img"
  aria-label="Label map: paint with the mouse"></canvas>
<img id="paint-start" data-token="{token}" src="{start}" alt="" hidden>"""


def brushes_of(info: ModelInfo) -> str:
    """Return one choice per class, in its colour and named by it."""
    return "".join(
        f'<label><input type="radio" name="brush" value="{html.escape(colour)}"'
        f"{' checked' if index == min(1, len(info.map_classes) - 1) else ''}>"
        f'<span style="background: {html.escape(colour)}"></span>{html.escape(name)}</label>'
        for index, (name, colour) in enumerate(info.map_classes)
    )


def paint(studio: Studio, drawing: Any, first: Any) -> Values:
    """Return the images of a drawing, and a zip of them."""
    first = parse_int(first, "First seed", 0, MAX_SEED + 1 - SEEDS)
    pixels = parse_drawing(drawing, studio.model_info().resolution)
    images = studio.paint(pixels, range(first, first + SEEDS))
    names = ["painted" if image.seed is None else image.caption for image in images]
    shown = [(str(image.path), name) for image, name in zip(images, names, strict=True)]
    files = [image.path for image in images]
    archive = zip_files(files, files[0].with_name(f"{files[0].parent.name}-{first}.zip"))
    return [shown, gr.update(value=str(archive), visible=True)]


def add_paint_tab(components: Components) -> list[Any]:
    """Add the tab's widgets and handlers; return what :func:`open_paint_tab` has values for."""
    studio = components.studio
    with gr.Row():
        with gr.Column(min_width=320):
            canvas = gr.HTML(elem_id="paint-editor", padding=False)
            drawing = gr.Textbox(visible=False)
            with gr.Row():
                text = "New map" if studio.open_real_images is None else "Another map"
                another = gr.Button(text, elem_id="paint-another", min_width=120)
                draw = gr.Button("Paint", variant="primary", elem_id="paint-draw", min_width=120)
        with gr.Column(min_width=320):
            first = gr.Number(0, label="First seed", precision=0, elem_id="paint-seed")
            gallery = image_gallery("painted", columns=3)
            files = gr.DownloadButton("Download PNGs (zip)", visible=False, elem_id="painted-files")
    # A stroke's end clicks "Paint". While one request runs, only the newest stroke waits.
    components.on(
        [draw.click, first.submit],
        lambda *values: paint(studio, *values),
        [drawing, first],
        [gallery, files],
        js=POST_CANVAS,
        trigger_mode="always_last",
    )
    components.on([another.click], lambda: [start_canvas(studio)], [], [canvas])
    return [canvas, first]


def open_paint_tab(studio: Studio) -> Values:
    """Return the updates of the tab for the studio's model."""
    info = studio.model_info()
    if not info.paints:
        return [gr.skip(), gr.skip()]
    return [start_canvas(studio), gr.update(visible="latents" in info.inputs)]
