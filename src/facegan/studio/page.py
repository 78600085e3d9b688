"""The web page: its tabs, the controls that a model supports, and its local server."""

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
from facegan.studio.components import BY_SEED, Components, Values, options_of
from facegan.studio.faces_tab import FacesTab, add_faces_tab, generate_gallery
from facegan.studio.favourites_tab import add_favourites_tab
from facegan.studio.guard import Guard
from facegan.studio.mix_tab import add_mix_tab
from facegan.studio.model_info import ModelInfo
from facegan.studio.morph_tab import add_morph_tab
from facegan.studio.paint_tab import add_paint_tab, open_paint_tab
from facegan.studio.quiz_tab import add_quiz_tab
from facegan.studio.studio import Studio, layer_groups
from facegan.studio.translate_tab import add_translate_tab, open_translate_tab
from facegan.studio.walks_tab import add_walks_tab

ADDRESS = "127.0.0.1"  # not reachable from other machines
START_SECONDS = 30.0
Header = tuple[gr.HTML, gr.Button, gr.Row]  # the title, "Reconnect", the row of options


def make_page(studio: Studio) -> gr.Blocks:
    """Return the page of a studio; it sends no request until a browser opens it."""
    page: gr.Blocks = gr.Blocks(title="facegan studio", analytics_enabled=False)
    with page:
        components, header = add_header(studio)
        # Gradio shows a tab that was hidden, but does not hide one that was shown.
        with gr.Tabs(elem_id="parts") as tabs:
            with gr.Tab("Faces", id="faces", visible=False) as faces_tab:
                faces = add_faces_tab(components)
            with gr.Tab("Morph", id="morph", visible=False) as morph_tab:
                add_morph_tab(components, faces, tabs, morph_tab)
            with gr.Tab("Mix", id="mix", visible=False) as mix_tab:
                layers = add_mix_tab(components)
            with gr.Tab("Walks", id="walks", visible=False) as walks_tab:
                add_walks_tab(components)
            seed_tabs = [faces_tab, morph_tab, walks_tab]
            if studio.open_real_images is not None:
                with gr.Tab("Quiz", id="quiz", visible=False) as quiz_tab:
                    add_quiz_tab(components, quiz_tab)
                seed_tabs.append(quiz_tab)
            with gr.Tab("Favourites", id="favourites", visible=False) as favourites_tab:
                add_favourites_tab(components, faces, favourites_tab)
            seed_tabs.append(favourites_tab)
            with gr.Tab("Paint", id="paint", visible=False) as paint_tab:
                painting = add_paint_tab(components)
            with gr.Tab("Translate", id="translate", visible=False) as translate_tab:
                translation = add_translate_tab(components)
            with gr.Tab("Model", id="model"):
                card = gr.HTML(elem_id="model-card")
        title, reconnect, options = header
        outputs = [reconnect, title, options, mix_tab, card]
        outputs += [components.psi, components.class_name, layers, *faces.outputs]
        outputs += [tabs, paint_tab, translate_tab, *seed_tabs, *painting, *translation]
        load_on_open(page, components, faces, reconnect, outputs, len(seed_tabs))
    return page


def add_header(studio: Studio) -> tuple[Components, Header]:
    """Add the widgets above all tabs."""
    title = gr.HTML(title_of(None), elem_id="title", padding=False)
    banner = gr.HTML(elem_id="banner", padding=False, visible=False)
    reconnect = gr.Button("Reconnect", visible=False, elem_id="again", variant="primary")
    hidden: dict[str, Any] = {"visible": False}
    with gr.Row(visible=False) as options:
        psi = gr.Slider(
            0, 1.5, 1, step=0.05, label="Truncation psi", elem_id="psi", min_width=200, **hidden
        )
        class_name = gr.Dropdown([BY_SEED], value=BY_SEED, label="Class", elem_id="kind", **hidden)
    status = gr.HTML(studio.latency.summary, elem_id="status", padding=False)
    shared = Components(studio, banner, status, psi, class_name, gr.State(None), gr.State([]))
    return shared, (title, reconnect, options)


def load_on_open(
    page: gr.Blocks,
    components: Components,
    faces: FacesTab,
    reconnect: gr.Button,
    outputs: list[Any],
    seed_tabs: int,
) -> None:
    """Fetch the model's information and the first images when the page opens or reconnects."""

    def load(first: Any, count: Any, psi: float, class_name: str, current: Any) -> Values:
        studio, options = components.studio, options_of(psi, class_name)
        info = studio.model_info()
        gallery: Values = [gr.skip() for _ in faces.outputs]
        if info.needs_only_seeds:
            gallery = generate_gallery(studio, first, count, options, current)
        tabs = [*tabs_for(info, seed_tabs), *open_paint_tab(studio), *open_translate_tab(info)]
        return [*controls_for(info), *gallery, *tabs]

    unchanged = [gr.skip() for _ in outputs[1:]]
    guarded = components.guarded(load, len(outputs), [gr.update(visible=True), *unchanged])
    shown = [components.banner, components.status, *outputs]
    gr.on([page.load, reconnect.click], guarded, faces.inputs, shown)


def controls_for(info: ModelInfo) -> Values:
    """Return the updates that show the controls that a model supports."""
    groups = list(layer_groups(info.style_layers))
    return [
        gr.update(visible=False),
        title_of(info),
        gr.update(visible=info.has_truncation or bool(info.classes)),
        gr.update(visible=info.style_layers > 0),
        card_of(info),
        gr.update(visible=info.has_truncation),
        gr.update(visible=bool(info.classes), choices=[BY_SEED, *info.classes]),
        gr.update(choices=groups, value=groups[-1] if groups else None),
    ]


def tabs_for(info: ModelInfo, seed_tabs: int) -> Values:
    """Return the updates that show the tabs of a model's inputs, and select the first of them."""
    first = "paint" if info.paints else "translate" if info.translates else "faces"
    return [
        gr.update(selected=first),
        gr.update(visible=info.paints),
        gr.update(visible=info.translates),
        *[gr.update(visible=info.needs_only_seeds)] * seed_tabs,
    ]


def title_of(info: ModelInfo | None) -> str:
    """Return the page's heading."""
    model = "not connected yet" if info is None else html.escape(info.name)
    return f"<h1>facegan studio <small>{model}</small></h1>"


def card_of(info: ModelInfo) -> str:
    """Return a table of what is known of the model."""
    rows: dict[str, object] = {
        "Family, preset": f"{info.family}, {info.preset}",
        "Resolution": f"{info.resolution} px",
        "Takes": write_names(info.inputs, ", ").replace("_", " "),
        "Truncation": "yes" if info.has_truncation else "no",
        "Classes": write_names(info.classes, ", ") or "none",
        "Layers with styles": info.style_layers or "none",
        "Images per request": info.max_images,
        "SHA-256 of the weights": info.sha256,
        **{name.replace("_", " ").capitalize(): value for name, value in info.others.items()},
    }
    lines = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    note = "Every image here is generated; its file names the model, and the seed if it has one."
    return f'<table class="studio-card">{lines}</table><p>{note}</p>'


@dataclass
class PageServer:
    """The page on its port, served by a thread until it is closed."""

    server: uvicorn.Server
    thread: threading.Thread
    url: str

    def close(self) -> None:
        """Stop the server, and wait for its thread."""
        self.server.should_exit = True
        self.thread.join(timeout=5)


def open_page(page: gr.Blocks, port: int) -> PageServer:
    """Serve the page to this machine only (:mod:`facegan.studio.guard`).

    Gradio's own launch() cannot have middleware in front of its CORS headers.

    Raises:
        ServeError: the port cannot be opened, or the page does not start.
    """
    page.queue(default_concurrency_limit=4)
    page.has_launched = True  # otherwise Gradio does not check which files it copies
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
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ServeError("The page did not start.", "See the log above for the reason.")
        time.sleep(0.01)
    return PageServer(server, thread, f"http://{ADDRESS}:{port}/")
