"""The tab of images that a visitor keeps while the page is open."""

from collections.abc import Sequence

import gradio as gr

from facegan.errors import RequestError
from facegan.studio.components import Components, Values
from facegan.studio.faces_tab import FacesTab
from facegan.studio.saved_image import SavedImage
from facegan.studio.studio import Studio, add_image, zip_files
from facegan.studio.widgets import captioned, image_gallery

Kept = Sequence[SavedImage]


def show(studio: Studio, kept: Kept) -> Values:
    """Return the favourites, their gallery, their zip and the tab's title; none is selected."""
    archive = studio.folder / f"favourites-{len(kept)}.zip"
    file = str(zip_files([image.path for image in kept], archive)) if kept else None
    return [
        list(kept),
        captioned(kept),
        gr.update(value=file, visible=bool(kept)),
        gr.update(label=f"Favourites ({len(kept)})" if kept else "Favourites"),
        *select(None),
    ]


def select(index: int | None) -> Values:
    """Return the selected index, and whether it can be removed."""
    return [index, gr.update(interactive=index is not None)]


def keep(studio: Studio, current: SavedImage | None, kept: Kept) -> Values:
    """Add the current image to the favourites, once."""
    if current is None:
        raise RequestError("There is no image to keep yet.", "Generate some first.")
    return show(studio, add_image(kept, current))


def remove(studio: Studio, selected: int | None, kept: Kept) -> Values:
    """Remove the selected favourite."""
    if selected is None or selected >= len(kept):
        raise RequestError("No favourite is selected.", "Select one first.")
    return show(studio, [image for index, image in enumerate(kept) if index != selected])


def add_favourites_tab(components: Components, faces: FacesTab, tab: gr.Tab) -> None:
    """Add the tab's widgets and handlers."""
    gr.Markdown('Press "Keep" beside an image. Favourites stay until the page is closed.')
    gallery = image_gallery("kept")
    with gr.Row():
        drop = gr.Button("Remove selected", interactive=False, elem_id="drop")
        download = gr.DownloadButton("Download all (zip)", visible=False, elem_id="kept-download")
    selected = gr.State(None)
    current, kept, studio = components.current, components.kept, components.studio
    outputs = [kept, gallery, download, tab, selected, drop]
    components.on([faces.keep.click], lambda *x: keep(studio, *x), [current, kept], outputs)
    components.on([drop.click], lambda *x: remove(studio, *x), [selected, kept], outputs)
    components.on_select(gallery, select, [], [selected, drop])
