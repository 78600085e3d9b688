"""The page as a whole: its parts, what it learns of the model, and how it is served."""

import html
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from facegan.errors import ServeError
from facegan.name_lists import write_names
from facegan.studio.appearance import CSS, JS, theme
from facegan.studio.desk import EACH_ITS_OWN, Desk, Values, look_of
from facegan.studio.faces_tab import FacesTab, add_faces_tab, draw
from facegan.studio.facts import ModelFacts
from facegan.studio.favourites_tab import add_favourites_tab
from facegan.studio.guard import Guard
from facegan.studio.mix_tab import MixTab, add_mix_tab
from facegan.studio.morph_tab import add_morph_tab
from facegan.studio.quiz_tab import add_quiz_tab
from facegan.studio.session import Studio, layer_groups
from facegan.studio.walks_tab import add_walks_tab

ADDRESS = "127.0.0.1"  # of this machine alone
START_SECONDS = 30.0
Head = tuple[gr.HTML, gr.Button, gr.Row]  # the title, "Connect again", the row of the look


def make_page(studio: Studio) -> gr.Blocks:
    """The page over a studio; it asks for nothing until a browser opens it."""
    page: gr.Blocks = gr.Blocks(title="facegan studio", analytics_enabled=False)
    with page:
        desk, head = add_head(studio)
        with gr.Tabs(elem_id="parts") as parts:
            with gr.Tab("Faces", id="faces"):
                faces = add_faces_tab(desk)
            with gr.Tab("Morph", id="morph") as morph_part:
                add_morph_tab(desk, faces, parts, morph_part)
            with gr.Tab("Mix", id="mix", visible=False) as mix_part:
                mix = add_mix_tab(desk)
            with gr.Tab("Walks", id="walks"):
                add_walks_tab(desk)
            if studio.open_reals is not None:
                with gr.Tab("Quiz", id="quiz") as quiz_part:
                    add_quiz_tab(desk, quiz_part)
            with gr.Tab("Favourites", id="favourites") as kept_part:
                add_favourites_tab(desk, faces, kept_part)
            with gr.Tab("Model", id="model"):
                card = gr.HTML(elem_id="model-card")
        fill_in(page, desk, faces, mix, head, [mix_part, card])
    return page


def add_head(studio: Studio) -> tuple[Desk, Head]:
    """What stands above all parts."""
    title = gr.HTML(title_of(None), elem_id="title", padding=False)
    banner = gr.HTML(elem_id="banner", padding=False, visible=False)
    again = gr.Button("Connect again", visible=False, elem_id="again", variant="primary")
    with gr.Row(visible=False) as look:
        psi = gr.Slider(
            0,
            1.5,
            1,
            step=0.05,
            label="Truncation psi",
            visible=False,
            elem_id="psi",
            min_width=200,
        )
        kind = gr.Dropdown(
            [EACH_ITS_OWN], value=EACH_ITS_OWN, label="Class", visible=False, elem_id="kind"
        )
    status = gr.HTML(studio.latency.told, elem_id="status", padding=False)
    desk = Desk(studio, banner, status, psi, kind, gr.State(None), gr.State([]))
    return desk, (title, again, look)


def fill_in(
    page: gr.Blocks, desk: Desk, faces: FacesTab, mix: MixTab, head: Head, places: list[Any]
) -> None:
    """Learn of the model when the page is opened, or connected again, and draw the first faces."""
    title, again, row = head
    mix_part, card = places
    outputs = [again, title, row, mix_part, card, desk.psi, desk.kind, mix.layers]
    outputs += faces.outputs

    def work(first: Any, count: Any, psi: float, kind: str, current: Any) -> Values:
        shown = known(desk.studio.facts())
        return [*shown, *draw(desk.studio, first, count, look_of(psi, kind), current)]

    as_before = [gr.skip() for _ in outputs[1:]]
    opened = desk.guarded(work, len(outputs), [gr.update(visible=True), *as_before])
    gr.on([page.load, again.click], opened, faces.inputs, [desk.banner, desk.status, *outputs])


def known(facts: ModelFacts) -> Values:
    """What the page shows once it knows the model."""
    groups = list(layer_groups(facts.style_layers))
    return [
        gr.update(visible=False),
        title_of(facts),
        gr.update(visible=facts.has_truncation or bool(facts.classes)),
        gr.update(visible=facts.style_layers > 0),
        card_of(facts),
        gr.update(visible=facts.has_truncation),
        gr.update(visible=bool(facts.classes), choices=[EACH_ITS_OWN, *facts.classes]),
        gr.update(choices=groups, value=groups[-1] if groups else None),
    ]


def title_of(facts: ModelFacts | None) -> str:
    """The head line, and what the model lacks."""
    model = "not connected yet" if facts is None else html.escape(facts.name)
    lacks = "" if facts is None or not facts.lacks else f"<p>{html.escape(facts.lacks)}</p>"
    return f"<h1>facegan studio <small>{model}</small></h1>{lacks}"


def card_of(facts: ModelFacts) -> str:
    """The model's facts as a table."""
    rows: dict[str, object] = {
        "Family, preset": f"{facts.family}, {facts.preset}",
        "Resolution": f"{facts.resolution} px",
        "Truncation": "yes" if facts.has_truncation else "no",
        "Classes": write_names(facts.classes, ", ") or "none",
        "Layers with a style": facts.style_layers or "none",
        "Images a request": facts.max_images,
        "SHA-256 of the weights": facts.sha256,
        **{name.replace("_", " ").capitalize(): value for name, value in facts.others.items()},
    }
    lines = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    told = "Every face here was generated; its file says so, and by which model, from which seed."
    return f'<table class="studio-card">{lines}</table><p>{told}</p>'


@dataclass
class Server:
    """The page on its port, served in a thread until it is closed."""

    server: uvicorn.Server
    thread: threading.Thread
    url: str

    def close(self) -> None:
        """Stop answering, and wait for the thread."""
        self.server.should_exit = True
        self.thread.join(timeout=5)


def open_page(page: gr.Blocks, port: int) -> Server:
    """Serve the page on this machine, to itself alone (:mod:`facegan.studio.guard`).

    Gradio's own launch() has no place for a guard in front of its CORS headers.

    Raises:
        ServeError: the port cannot be opened, or the page does not start.
    """
    page.queue(default_concurrency_limit=4)
    page.has_launched = True  # else Gradio does not look at which files it copies
    mounted = gr.mount_gradio_app(
        FastAPI(),
        page,
        "/",
        server_name=ADDRESS,
        server_port=port,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=CSS,
        js=JS,
    )
    config = uvicorn.Config(Guard(mounted, port), log_level="warning", proxy_headers=False)
    server = uvicorn.Server(config)
    try:
        listening = socket.create_server((ADDRESS, port))
    except OSError as cause:
        raise ServeError(f"Port {port} of {ADDRESS} cannot be opened: {cause}.") from cause
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise ServeError("The page did not start.", "What was logged above says why.")
        time.sleep(0.01)
    return Server(server, thread, f"http://{ADDRESS}:{port}/")
