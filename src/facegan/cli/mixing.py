"""`facegan generate --mix`: a table of images, coarse styles by row and fine styles by column."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from facegan.cli.face_output import FaceOutput, parse_output
from facegan.cli.source_files import FLAGS, check_sources
from facegan.image_encoding import Pixels, encode_png, montage
from facegan.wire import PNG, Provenance

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer

MAX_IMAGES = 4096  # more would be a mistyped range


@dataclass(frozen=True)
class StyleTable:
    """The styles of some seeds, in rows, mixed with those of others, in columns."""

    output: FaceOutput
    rows: list[int]
    columns: list[int]
    layers: list[int] | None  # that follow the columns; None: the finer half


def parse_table(
    mix: list[int] | None, layers: list[int] | None, options: dict[str, Any]
) -> StyleTable:
    """Check the options of a table before any work is done.

    Args:
        mix: The seeds of the columns.
        layers: The layers that follow them; None is the finer half.
        options: The other options of :func:`image_options`.

    Raises:
        click.UsageError: the options contradict one another, or ask for too much.
    """
    seeds = options["seeds"]
    if mix is None:
        raise click.UsageError("--mix-layers goes with --mix, the seeds to mix with.")
    check_sources({name: options[name] for name in FLAGS}, {**options, "mix": mix})
    if options["interpolate"] or seeds is None or options["latents"] is not None:
        raise click.UsageError("--mix goes with --seeds, without --latents and --interpolate.")
    if options["columns"] is not None:
        raise click.UsageError("--columns is for plain grids; --mix has one column per seed.")
    if len(seeds) * len(mix) > MAX_IMAGES:
        message = f"--mix of {len(seeds)} seeds with {len(mix)} is over {MAX_IMAGES} images."
        raise click.UsageError(message)
    output = parse_output(**{**options, "seeds": [*seeds, *mix], "mix_layers": None})
    if output.content_type != PNG:
        raise click.UsageError("--mix draws one table: --out must end with .png.")
    return StyleTable(output, seeds, mix, layers)


def write_table(table: StyleTable, synthesizer: "Synthesizer") -> None:
    """Draw the table, write it, and print where it is."""
    png = encode_png(draw_table(table, synthesizer), metadata(table, synthesizer))
    path = table.output.write(png)
    click.echo(f"{path}: {len(table.rows)} images by {len(table.columns)}, mixed.")


def draw_table(table: StyleTable, synthesizer: "Synthesizer") -> Pixels:
    """Return the mixed images (H, W, 3), with their seeds' own above and beside them."""
    request = table.output.request
    psi, classes = request.truncation_psi, request.classes
    mixed = synthesizer.mix(table.rows, table.columns, table.layers, psi, classes)
    alone = synthesizer.generate(request.seeds, None, psi, classes)
    row_heads, column_heads = alone[: len(table.rows)], alone[len(table.rows) :]
    corner = np.full((1, *alone.shape[1:]), 255, np.uint8)
    lines = [corner, column_heads]
    for head, row in zip(row_heads, mixed, strict=True):
        lines += [head[None], row]
    return montage(np.concatenate(lines), columns=1 + len(table.columns))


def metadata(table: StyleTable, synthesizer: "Synthesizer") -> dict[str, str]:
    """Return the provenance that the PNG holds."""
    request, card = table.output.request, synthesizer.card
    count = synthesizer.style_layers
    layers = range(count // 2, count) if table.layers is None else table.layers
    provenance = Provenance(
        model_sha256=card.weights_sha256,
        family=card.family,
        preset=card.preset,
        seeds=tuple(table.rows),
        truncation_psi=request.truncation_psi,
        classes=synthesizer.class_names(
            synthesizer.prepare_batch(request.seeds, classes=request.classes)
        ),
    )
    mixing = {"mix_seeds": table.columns, "mix_layers": layers}
    return provenance.facts() | {
        f"facegan:{name}": ",".join(map(str, values)) for name, values in mixing.items()
    }
