"""The way from one face to another: by hand along a slider, and as an animation to take away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.faces_tab import FacesTab
from facegan.studio.pieces import inline_image, picture_frame
from facegan.studio.session import Studio
from facegan.studio.wishes import Look, Portrait, whole

MAX_STEPS = 31  # there and back are 63 images, and a server draws 64 a request


def draw_way(studio: Studio, first: Any, last: Any, steps: Any, look: Look) -> Values:
    """All faces of a way, and that they are drawn."""
    seeds = whole(first, "From seed"), whole(last, "To seed")
    return [frames_of(studio.way(*seeds, whole(steps, "Steps", 1, MAX_STEPS), look)), True]


def frames_of(way: Sequence[Portrait]) -> str:
    """Every face as an image; the page's script shows the one that the slider stands at."""
    steps = max(1, len(way) - 1)
    return "".join(
        inline_image(face, f"{round(100 * place / steps)} % of the way")
        for place, face in enumerate(way)
    )


def make_film(studio: Studio, first: Any, last: Any, steps: Any, ms: Any, look: Look) -> Values:
    """The animation, to look at and to download."""
    seeds = whole(first, "From seed"), whole(last, "To seed")
    steps = whole(steps, "Steps", 1, MAX_STEPS)
    path = str(studio.film(*seeds, steps, whole(ms, "Time of a frame", 10, 60_000), look))
    told = f"From seed {seeds[0]} to seed {seeds[1]} and back"
    return [
        gr.update(value=path, alt_text=told, visible=True),
        gr.update(value=path, visible=True),
    ]


@dataclass(frozen=True)
class Pieces:
    """What the part is made of."""

    first: gr.Number
    last: gr.Number
    steps: gr.Slider
    start: gr.Button
    frames: gr.HTML
    ms: gr.Slider
    roll: gr.Button
    film: gr.Image
    download: gr.DownloadButton
    is_drawn: gr.State


def lay_out() -> Pieces:
    """Lay the part out."""
    with gr.Row():
        first = gr.Number(3, label="From seed", precision=0, elem_id="morph-first", min_width=90)
        last = gr.Number(8, label="To seed", precision=0, elem_id="morph-last", min_width=90)
        steps = gr.Slider(1, MAX_STEPS, 16, step=1, label="Steps", elem_id="morph-steps")
        start = gr.Button("Draw the way", variant="primary", elem_id="morph-draw", min_width=120)
    with gr.Row():
        with gr.Column(min_width=300):
            gr.Slider(
                0,
                1,
                0.5,
                step=0.01,
                label="Along the way",
                interactive=True,
                elem_id="morph-share",
            )
            frames = gr.HTML(elem_id="between", padding=False)
        with gr.Column(min_width=300):
            ms = gr.Slider(20, 400, 60, step=10, label="Milliseconds a frame", elem_id="morph-ms")
            roll = gr.Button("Make the animation", elem_id="morph-film")
            film = picture_frame("film", visible=False)
            download = gr.DownloadButton("Download WebP", visible=False, elem_id="film-download")
    is_drawn = gr.State(False)
    return Pieces(first, last, steps, start, frames, ms, roll, film, download, is_drawn)


def add_morph_tab(desk: Desk, faces: FacesTab, parts: gr.Tabs, tab: gr.Tab) -> None:
    """Lay the part out, and say what its controls do."""
    here = lay_out()
    wire_way(desk, faces, here, parts, tab)
    studio = desk.studio

    def animate(first: Any, last: Any, steps: Any, ms: Any, psi: float, kind: str) -> Values:
        return make_film(studio, first, last, steps, ms, look_of(psi, kind))

    wishes = [here.first, here.last, here.steps, here.ms, *desk.look]
    desk.on([here.roll.click], animate, wishes, [here.film, here.download])


def wire_way(desk: Desk, faces: FacesTab, here: Pieces, parts: gr.Tabs, tab: gr.Tab) -> None:
    """Say what draws the way; going along it asks for nothing (``appearance.JS``)."""
    wishes = [here.first, here.last, here.steps, *desk.look]
    drawn = [here.frames, here.is_drawn]

    def draw(first: Any, last: Any, steps: Any, psi: float, kind: str) -> Values:
        return draw_way(desk.studio, first, last, steps, look_of(psi, kind))

    def begin(is_drawn: bool, *wishes: Any) -> Values:
        return [gr.skip(), True] if is_drawn else draw(*wishes)

    def take(current: Portrait | None) -> Values:
        return [gr.skip() if current is None else current.seed]

    def take_and_go(current: Portrait | None) -> Values:
        return [*take(current), gr.update(selected=tab.id)]

    desk.on([here.start.click, here.first.submit, here.last.submit], draw, wishes, drawn)
    desk.on([tab.select], begin, [here.is_drawn, *wishes], drawn)
    desk.on([faces.morph_from.click], take, [desk.current], [here.first])
    gone = desk.on([faces.morph_to.click], take_and_go, [desk.current], [here.last, parts])
    desk.after(gone, draw, wishes, drawn)
