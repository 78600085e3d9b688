"""Strips of random walks: how a model changes from face to face."""

from typing import Any

import gradio as gr

from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.pieces import picture_gallery
from facegan.studio.session import Studio, pack
from facegan.studio.wishes import Look, whole


def walk(studio: Studio, walks: Any, stations: Any, frames: Any, look: Look) -> Values:
    """Strips of walks between seeds of chance, and the same as files."""
    count = whole(walks, "Walks", 1, 6)
    ways = [studio.random_seeds(whole(stations, "Stations", 2, 6)) for _ in range(count)]
    steps = whole(frames, "Steps", 1, 12)
    strips = [studio.strip(way, steps, look) for way in ways]
    named = ["seeds " + " → ".join(map(str, way)) for way in ways]
    packed = pack(strips, studio.folder / f"walks-{ways[0][0]}.zip")
    shown = list(zip(map(str, strips), named, strict=True))
    return [shown, gr.update(value=str(packed), visible=True)]


def add_walks_tab(desk: Desk) -> None:
    """Lay the part out, and say what its controls do."""
    with gr.Row():
        walks = gr.Slider(1, 6, 3, step=1, label="Walks", elem_id="walks-count")
        stations = gr.Slider(2, 6, 3, step=1, label="Seeds of a walk", elem_id="walks-stations")
        frames = gr.Slider(1, 12, 5, step=1, label="Steps between them", elem_id="walks-steps")
    start = gr.Button("Walk", variant="primary", elem_id="walk")
    strips = picture_gallery("strips", columns=1)
    files = gr.DownloadButton("Download PNGs (zip)", visible=False, elem_id="strip-files")

    def work(walks: Any, stations: Any, frames: Any, psi: float, kind: str) -> Values:
        return walk(desk.studio, walks, stations, frames, look_of(psi, kind))

    desk.on([start.click], work, [walks, stations, frames, *desk.look], [strips, files])
