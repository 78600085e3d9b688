"""A table of faces that take each other's styles, of families that paint by styles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.client import parse_seeds
from facegan.errors import RequestError
from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.pieces import inline_image
from facegan.studio.session import Studio, layer_groups, pack
from facegan.studio.wishes import Look, Portrait

MAX_TABLE = 64


@dataclass(frozen=True)
class MixTab:
    """What the page sets once it knows the model."""

    layers: gr.Radio


def seeds_of(text: str, name: str) -> list[int]:
    """The seeds of a field.

    Raises:
        RequestError: it names none.
    """
    try:
        return parse_seeds(text or "")
    except ValueError as cause:
        raise RequestError(f"{name}: {cause}", "Write 7, 0-3 or 1,5,9.") from cause


def mix(studio: Studio, rows: str, columns: str, group: str, look: Look) -> Values:
    """The table as HTML, and its faces in a zip.

    Raises:
        RequestError: no seeds, too many, or no such layers.
    """
    coarse, fine = seeds_of(rows, "Rows"), seeds_of(columns, "Columns")
    count = len(coarse) * len(fine)
    if count > MAX_TABLE:
        raise RequestError(f"The table would have {count} faces.", f"Ask for {MAX_TABLE} at most.")
    groups = layer_groups(studio.facts().style_layers)
    layers = groups.get(group) or next(iter(groups.values()))
    own = studio.faces([*coarse, *fine], look)
    mixed = studio.mixed(coarse, fine, layers, look)
    table = table_of(own[: len(coarse)], own[len(coarse) :], mixed)
    faces = [face.path for line in mixed for face in line]
    name = f"mix-{coarse[0]}-{fine[0]}-{layers[0]}-{layers[-1]}{look.mark}.zip"
    packed = pack(faces, studio.folder / name)
    return [table, gr.update(value=str(packed), visible=True)]


def table_of(
    rows: Sequence[Portrait], columns: Sequence[Portrait], mixed: Sequence[Sequence[Portrait]]
) -> str:
    """The columns' own faces above, the rows' at the left, the mixed ones between."""
    above = "".join(f'<th scope="col">{inline_image(face)}</th>' for face in columns)
    lines = [
        f'<tr><th scope="row">{inline_image(row)}</th>'
        + "".join(f"<td>{inline_image(face)}</td>" for face in line)
        + "</tr>"
        for row, line in zip(rows, mixed, strict=True)
    ]
    told = "Rows keep their shape, columns lend their styles"
    return (
        f'<div class="studio-mix" tabindex="0" role="region" aria-label="{told}"><table>'
        f"<caption>{told}.</caption><tr><td></td>{above}</tr>{''.join(lines)}</table></div>"
    )


def add_mix_tab(desk: Desk) -> MixTab:
    """Lay the part out, and say what its controls do."""
    with gr.Row():
        rows = gr.Textbox("0-3", label="Rows: seeds that keep their shape", elem_id="mix-rows")
        columns = gr.Textbox("7-10", label="Columns: seeds that lend styles", elem_id="mix-columns")
    layers = gr.Radio(label="Which layers follow the columns", elem_id="mix-layers")
    start = gr.Button("Mix", variant="primary", elem_id="mix-draw")
    table = gr.HTML(elem_id="mix-table")
    download = gr.DownloadButton("Download PNGs (zip)", visible=False, elem_id="mix-download")

    def work(rows: str, columns: str, group: str, psi: float, kind: str) -> Values:
        return mix(desk.studio, rows, columns, group, look_of(psi, kind))

    triggers: list[Any] = [start.click, rows.submit, columns.submit]
    desk.on(triggers, work, [rows, columns, layers, *desk.look], [table, download])
    return MixTab(layers)
