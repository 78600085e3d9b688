"""The tab of style mixing: a table of seeds that take each other's styles."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from facegan.client import parse_seeds
from facegan.errors import RequestError
from facegan.studio.components import Components, Values, options_of
from facegan.studio.saved_image import GenerationOptions, SavedImage
from facegan.studio.studio import Studio, layer_groups, zip_files
from facegan.studio.widgets import inline_image

MAX_TABLE = 64


def parse_field(text: str, name: str) -> list[int]:
    """Return the seeds of a field; raise RequestError if there are none."""
    try:
        return parse_seeds(text or "")
    except ValueError as cause:
        raise RequestError(f"{name}: {cause}", "Write 7, 0-3 or 1,5,9.") from cause


def generate_mixes(
    studio: Studio, rows: str, columns: str, group: str, options: GenerationOptions
) -> Values:
    """Return the table as HTML, and its mixed images in a zip."""
    coarse, fine = parse_field(rows, "Rows"), parse_field(columns, "Columns")
    count = len(coarse) * len(fine)
    if count > MAX_TABLE:
        raise RequestError(f"The table would have {count} images.", f"The limit is {MAX_TABLE}.")
    groups = layer_groups(studio.model_info().style_layers)
    layers = groups.get(group) or next(iter(groups.values()))
    own = studio.generate([*coarse, *fine], options)
    mixed = studio.mix(coarse, fine, layers, options)
    table = table_of(own[: len(coarse)], own[len(coarse) :], mixed)
    files = [image.path for row in mixed for image in row]
    name = f"mix-{coarse[0]}-{fine[0]}-{layers[0]}-{layers[-1]}{options.file_suffix}.zip"
    archive = zip_files(files, studio.folder / name)
    return [table, gr.update(value=str(archive), visible=True)]


def table_of(
    rows: Sequence[SavedImage],
    columns: Sequence[SavedImage],
    mixed: Sequence[Sequence[SavedImage]],
) -> str:
    """Return a table: the columns' own images above, the rows' at the left, the mixed between."""
    head = "".join(f'<th scope="col">{inline_image(image)}</th>' for image in columns)
    lines = [
        f'<tr><th scope="row">{inline_image(row)}</th>'
        + "".join(f"<td>{inline_image(image)}</td>" for image in line)
        + "</tr>"
        for row, line in zip(rows, mixed, strict=True)
    ]
    caption = "Rows keep their shape, columns lend their styles"
    return (
        f'<div class="studio-mix" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}.</caption><tr><td></td>{head}</tr>{''.join(lines)}</table></div>"
    )


def add_mix_tab(components: Components) -> gr.Radio:
    """Add the tab's widgets and handlers; return the choice of layers, which the page fills."""
    with gr.Row():
        rows = gr.Textbox("0-3", label="Rows: seeds that keep their shape", elem_id="mix-rows")
        columns = gr.Textbox("7-10", label="Columns: seeds that lend styles", elem_id="mix-columns")
    layers = gr.Radio(label="Layers that follow the columns", elem_id="mix-layers")
    start = gr.Button("Mix", variant="primary", elem_id="mix-draw")
    table = gr.HTML(elem_id="mix-table")
    download = gr.DownloadButton("Download PNGs (zip)", visible=False, elem_id="mix-download")

    def work(rows: str, columns: str, group: str, psi: float, class_name: str) -> Values:
        options = options_of(psi, class_name)
        return generate_mixes(components.studio, rows, columns, group, options)

    triggers: list[Any] = [start.click, rows.submit, columns.submit]
    inputs = [rows, columns, layers, *components.options]
    components.on(triggers, work, inputs, [table, download])
    return layers
