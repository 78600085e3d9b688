"""The tab of random walks: strips of interpolations between random seeds."""

from typing import Any

import gradio as gr

from facegan.studio.components import Components, Values, options_of
from facegan.studio.saved_image import GenerationOptions, parse_int
from facegan.studio.studio import Studio, zip_files
from facegan.studio.widgets import image_gallery


def generate_walks(
    studio: Studio, walks: Any, keyframes: Any, frames: Any, options: GenerationOptions
) -> Values:
    """Return strips of random walks, and a zip of them."""
    count = parse_int(walks, "Walks", 1, 6)
    length = parse_int(keyframes, "Seeds per walk", 2, 6)
    paths = [studio.random_seeds(length) for _ in range(count)]
    steps = parse_int(frames, "Steps between seeds", 1, 12)
    strips = [studio.interpolation_strip(seeds, steps, options) for seeds in paths]
    captions = ["seeds " + " → ".join(map(str, seeds)) for seeds in paths]
    archive = zip_files(strips, studio.folder / f"walks-{paths[0][0]}.zip")
    shown = list(zip(map(str, strips), captions, strict=True))
    return [shown, gr.update(value=str(archive), visible=True)]


def add_walks_tab(components: Components) -> None:
    """Add the tab's widgets and handlers."""
    with gr.Row():
        walks = gr.Slider(1, 6, 3, step=1, label="Walks", elem_id="walks-count")
        seeds = gr.Slider(2, 6, 3, step=1, label="Seeds per walk", elem_id="walks-stations")
        frames = gr.Slider(1, 12, 5, step=1, label="Steps between seeds", elem_id="walks-steps")
    start = gr.Button("Walk", variant="primary", elem_id="walk")
    strips = image_gallery("strips", columns=1)
    files = gr.DownloadButton("Download PNGs (zip)", visible=False, elem_id="strip-files")

    def work(walks: Any, seeds: Any, frames: Any, psi: float, class_name: str) -> Values:
        options = options_of(psi, class_name)
        return generate_walks(components.studio, walks, seeds, frames, options)

    inputs = [walks, seeds, frames, *components.options]
    components.on([start.click], work, inputs, [strips, files])
