"""The faces that a visitor keeps while the page is open."""

from collections.abc import Sequence

import gradio as gr

from facegan.errors import RequestError
from facegan.studio.desk import Desk, Values
from facegan.studio.faces_tab import FacesTab
from facegan.studio.pieces import captioned, picture_gallery
from facegan.studio.session import Studio, pack, with_face
from facegan.studio.wishes import Portrait

Kept = Sequence[Portrait]


def show(studio: Studio, kept: Kept) -> Values:
    """The favourites, their gallery, the file of them, the title of the tab; none is chosen."""
    title = f"Favourites ({len(kept)})" if kept else "Favourites"
    file = (
        str(pack([face.path for face in kept], studio.folder / f"favourites-{len(kept)}.zip"))
        if kept
        else None
    )
    return [
        list(kept),
        captioned(kept),
        gr.update(value=str(file) if kept else None, visible=bool(kept)),
        gr.update(label=title),
        *choose(None),
    ]


def choose(place: int | None) -> Values:
    """The chosen one's place, and whether it can be removed."""
    return [place, gr.update(interactive=place is not None)]


def keep(studio: Studio, current: Portrait | None, kept: Kept) -> Values:
    """The favourites with the large face."""
    if current is None:
        raise RequestError("There is no face to keep yet.", "Draw some first.")
    return show(studio, with_face(kept, current))


def drop(studio: Studio, chosen: int | None, kept: Kept) -> Values:
    """The favourites without the chosen one."""
    if chosen is None or chosen >= len(kept):
        raise RequestError("None of the favourites is chosen.", "Choose one of them first.")
    return show(studio, [face for place, face in enumerate(kept) if place != chosen])


def add_favourites_tab(desk: Desk, faces: FacesTab, tab: gr.Tab) -> None:
    """Lay the part out, and say what its controls do."""
    gr.Markdown('Press "Keep" beside a face. They stay until the page is closed.')
    gallery = picture_gallery("kept")
    with gr.Row():
        remove = gr.Button("Remove the chosen one", interactive=False, elem_id="drop")
        download = gr.DownloadButton("Download all (zip)", visible=False, elem_id="kept-download")
    chosen = gr.State(None)
    places = [desk.kept, gallery, download, tab, chosen, remove]
    studio = desk.studio
    desk.on(
        [faces.keep.click],
        lambda current, kept: keep(studio, current, kept),
        [desk.current, desk.kept],
        places,
    )
    desk.on(
        [remove.click], lambda place, kept: drop(studio, place, kept), [chosen, desk.kept], places
    )
    desk.on_choice(gallery, choose, [], [chosen, remove])
