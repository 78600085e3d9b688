"""The way from one face to another: by hand along a slider, and as an animation to take away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.faces_tab import FacesTab
from facegan.studio.pieces import picture_frame
from facegan.studio.session import Studio
from facegan.studio.wishes import Look, Portrait, whole

MAX_STEPS = 31  # there and back are 63 images, and a server draws 64 a request


def draw_way(studio: Studio, first: Any, last: Any, steps: Any, look: Look) -> Values:
    """All faces of a way."""
    seeds = whole(first, "From seed"), whole(last, "To seed")
    return [studio.way(*seeds, whole(steps, "Steps", 1, MAX_STEPS), look)]


def at(way: Sequence[Portrait], share: float) -> Values:
    """The face at a share of the way, 0 … 1."""
    if not way:
        return [gr.skip()]
    place = round(share * (len(way) - 1))
    told = f"{round(100 * place / max(1, len(way) - 1))} % of the way"
    return [gr.update(value=str(way[place].path), alt_text=told)]


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
    share: gr.Slider
    picture: gr.Image
    ms: gr.Slider
    roll: gr.Button
    film: gr.Image
    download: gr.DownloadButton
    way: gr.State


def lay_out() -> Pieces:
    """Lay the part out."""
    with gr.Row():
        first = gr.Number(3, label="From seed", precision=0, elem_id="morph-first", min_width=90)
        last = gr.Number(8, label="To seed", precision=0, elem_id="morph-last", min_width=90)
        steps = gr.Slider(1, MAX_STEPS, 16, step=1, label="Steps", elem_id="morph-steps")
        start = gr.Button("Draw the way", variant="primary", elem_id="morph-draw", min_width=120)
    with gr.Row():
        with gr.Column(min_width=300):
            share = gr.Slider(0, 1, 0.5, step=0.01, label="Along the way", elem_id="morph-share")
            picture = picture_frame("between")
        with gr.Column(min_width=300):
            ms = gr.Slider(20, 400, 60, step=10, label="Milliseconds a frame", elem_id="morph-ms")
            roll = gr.Button("Make the animation", elem_id="morph-film")
            film = picture_frame("film", visible=False)
            download = gr.DownloadButton("Download WebP", visible=False, elem_id="film-download")
    way = gr.State([])
    return Pieces(first, last, steps, start, share, picture, ms, roll, film, download, way)


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
    """What draws the way, and what goes along it."""
    wishes = [here.first, here.last, here.steps, *desk.look]
    place = [here.way, here.share]

    def draw(first: Any, last: Any, steps: Any, psi: float, kind: str) -> Values:
        return draw_way(desk.studio, first, last, steps, look_of(psi, kind))

    def begin(way: Any, *wishes: Any) -> Values:
        return [way] if way else draw(*wishes)

    def take(current: Portrait | None) -> Values:
        return [gr.skip() if current is None else current.seed]

    def take_and_go(current: Portrait | None) -> Values:
        return [*take(current), gr.update(selected=tab.id)]

    draws = [here.start.click, here.first.submit, here.last.submit]
    drawn = [
        desk.on(draws, draw, wishes, [here.way]),
        desk.on([tab.select], begin, [here.way, *wishes], [here.way]),
    ]
    along: dict[str, Any] = {"trigger_mode": "always_last", "queue": False}
    drawn.append(desk.on([here.share.change], at, place, [here.picture], **along))
    desk.on([faces.morph_from.click], take, [desk.current], [here.first])
    gone = desk.on([faces.morph_to.click], take_and_go, [desk.current], [here.last, parts])
    drawn.append(desk.after(gone, draw, wishes, [here.way]))
    for event in drawn:  # only now, because the slider may have moved while that was answered
        event.then(
            lambda way, share: at(way, share)[0],
            place,
            here.picture,
            show_progress="hidden",
            queue=False,
        )
