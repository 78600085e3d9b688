"""The tab of morphs: interpolation between two seeds, by a slider and as an animation."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from facegan.studio.components import Components, Values, options_of
from facegan.studio.faces_tab import FacesTab
from facegan.studio.saved_image import GenerationOptions, SavedImage, parse_int
from facegan.studio.studio import Studio
from facegan.studio.widgets import image_frame, inline_image

MAX_STEPS = 31  # there and back are 63 images, and a server generates 64 per request


def generate_frames(
    studio: Studio, first: Any, last: Any, steps: Any, options: GenerationOptions
) -> Values:
    """Return all frames of an interpolation, and True: they are generated."""
    seeds = parse_int(first, "From seed"), parse_int(last, "To seed")
    steps = parse_int(steps, "Steps", 1, MAX_STEPS)
    return [frames_of(studio.interpolate(*seeds, steps, options)), True]


def frames_of(images: Sequence[SavedImage]) -> str:
    """Return images as HTML; the page's script shows the one at the slider's position."""
    steps = max(1, len(images) - 1)
    return "".join(
        inline_image(image, f"{round(100 * index / steps)} % of the way")
        for index, image in enumerate(images)
    )


def generate_animation(
    studio: Studio, first: Any, last: Any, steps: Any, ms: Any, options: GenerationOptions
) -> Values:
    """Return the animation, to look at and to download."""
    seeds = parse_int(first, "From seed"), parse_int(last, "To seed")
    steps = parse_int(steps, "Steps", 1, MAX_STEPS)
    frame_ms = parse_int(ms, "Milliseconds per frame", 10, 60_000)
    path = str(studio.animate(*seeds, steps, frame_ms, options))
    alt = f"From seed {seeds[0]} to seed {seeds[1]} and back"
    return [gr.update(value=path, alt_text=alt, visible=True), gr.update(value=path, visible=True)]


def add_morph_tab(components: Components, faces: FacesTab, tabs: gr.Tabs, tab: gr.Tab) -> None:
    """Add the tab's widgets and handlers."""
    with gr.Row():
        first = gr.Number(3, label="From seed", precision=0, elem_id="morph-first", min_width=90)
        last = gr.Number(8, label="To seed", precision=0, elem_id="morph-last", min_width=90)
        steps = gr.Slider(1, MAX_STEPS, 16, step=1, label="Steps", elem_id="morph-steps")
        start = gr.Button("Generate", variant="primary", elem_id="morph-draw", min_width=120)
    position: dict[str, Any] = {"label": "Position", "elem_id": "morph-share"}
    with gr.Row():
        with gr.Column(min_width=300):
            gr.Slider(0, 1, 0.5, step=0.01, interactive=True, **position)
            frames = gr.HTML(elem_id="between", padding=False)
        with gr.Column(min_width=300):
            ms = gr.Slider(20, 400, 60, step=10, label="Milliseconds per frame", elem_id="morph-ms")
            animate = gr.Button("Make the animation", elem_id="morph-film")
            film = image_frame("film", visible=False)
            download = gr.DownloadButton("Download WebP", visible=False, elem_id="film-download")
    is_generated = gr.State(False)
    inputs = [first, last, steps, *components.options]
    outputs = [frames, is_generated]

    def generate(first: Any, last: Any, steps: Any, psi: float, class_name: str) -> Values:
        options = options_of(psi, class_name)
        return generate_frames(components.studio, first, last, steps, options)

    def generate_once(is_generated: bool, *values: Any) -> Values:
        return [gr.skip(), True] if is_generated else generate(*values)

    def make(first: Any, last: Any, steps: Any, ms: Any, psi: float, class_name: str) -> Values:
        options = options_of(psi, class_name)
        return generate_animation(components.studio, first, last, steps, ms, options)

    def use_current(current: SavedImage | None) -> Values:
        return [gr.skip() if current is None else current.seed]

    def use_current_and_open(current: SavedImage | None) -> Values:
        return [*use_current(current), gr.update(selected=tab.id)]

    components.on([start.click, first.submit, last.submit], generate, inputs, outputs)
    components.on([tab.select], generate_once, [is_generated, *inputs], outputs)
    components.on([faces.morph_from.click], use_current, [components.current], [first])
    opened = components.on(
        [faces.morph_to.click], use_current_and_open, [components.current], [last, tabs]
    )
    guarded = components.guarded(generate, len(outputs))
    shown = [components.banner, components.status, *outputs]
    opened.then(guarded, inputs, shown, show_progress="minimal")
    animation_inputs = [first, last, steps, ms, *components.options]
    components.on([animate.click], make, animation_inputs, [film, download])
