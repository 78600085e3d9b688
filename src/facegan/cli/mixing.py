"""`facegan generate --mix`: a table of faces, their coarse features by row, the fine by column."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from facegan.cli.face_output import FaceOutput, parse_output, write
from facegan.image_encoding import Pixels, encode_png, montage
from facegan.wire import PNG, Provenance

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer

MAX_TABLE = 4096  # faces; more would be a mistyped range


@dataclass(frozen=True)
class Table:
    """Which faces are mixed with which: the first `rows` seeds of an order with the rest."""

    order: FaceOutput
    rows: int
    layers: list[int] | None

    @property
    def seeds(self) -> tuple[list[int], list[int]]:
        """The seeds of the rows and of the columns."""
        everyone = self.order.request.seeds or []
        return everyone[: self.rows], everyone[self.rows :]


def plan_table(mix: list[int] | None, layers: list[int] | None, faces: dict[str, Any]) -> Table:
    """The table that a command line asks for, checked before any work is done.

    Args:
        mix: The seeds of the columns.
        layers: Those that follow them; None is the finer half.
        faces: The options of :func:`face_options`.

    Raises:
        click.UsageError: the options contradict one another, or ask for too much.
    """
    if mix is None:
        raise click.UsageError("--mix-layers goes with --mix, the seeds to mix with.")
    if faces["interpolate"] or faces["seeds"] is None or faces["latents"] is not None:
        raise click.UsageError("--mix goes with --seeds, without --latents and --interpolate.")
    if faces["columns"] is not None:
        raise click.UsageError("--columns is for plain grids; --mix has a column a seed.")
    if len(faces["seeds"]) * len(mix) > MAX_TABLE:
        told = f"--mix of {len(faces['seeds'])} seeds with {len(mix)} is over {MAX_TABLE} faces."
        raise click.UsageError(told)
    order = parse_output(**{**faces, "seeds": [*faces["seeds"], *mix], "mix_layers": None})
    if order.content_type != PNG:
        raise click.UsageError("--mix draws one table: give --out a name that ends with .png.")
    return Table(order, len(faces["seeds"]), layers)


def draw_table(table: Table, synthesizer: "Synthesizer") -> Pixels:
    """The mixed faces (H, W, 3), those of the columns' seeds above them, of the rows' beside."""
    request, (rows, columns) = table.order.request, table.seeds
    psi, classes = request.truncation_psi, request.classes
    mixed = synthesizer.mix(rows, columns, table.layers, psi, classes)
    alone = synthesizer.generate(request.seeds, None, psi, classes)
    corner = np.full((1, *alone.shape[1:]), 255, np.uint8)
    lines = [np.concatenate([corner, alone[table.rows :]])]
    lines += [np.concatenate([alone[[row]], mixed[row]]) for row in range(table.rows)]
    return montage(np.concatenate(lines), columns=1 + len(columns))


def facts_of(table: Table, synthesizer: "Synthesizer") -> dict[str, str]:
    """What the table's picture says of itself."""
    request, card, (rows, columns) = table.order.request, synthesizer.card, table.seeds
    count = synthesizer.style_layers
    layers = range(count // 2, count) if table.layers is None else table.layers
    origin = Provenance(
        model_sha256=card.weights_sha256,
        family=card.family,
        preset=card.preset,
        seeds=tuple(rows),
        truncation_psi=request.truncation_psi,
        classes=synthesizer.class_names(request.count, request.seeds, request.classes),
    )
    mixing = {"mix_seeds": columns, "mix_layers": layers}
    return origin.facts() | {
        f"facegan:{name}": ",".join(map(str, values)) for name, values in mixing.items()
    }


def deliver_table(table: Table, synthesizer: "Synthesizer") -> None:
    """Draw the table, write it, and say where it is."""
    scale = table.order.scale
    picture = draw_table(table, synthesizer).repeat(scale, axis=0).repeat(scale, axis=1)
    write(table.order.out, encode_png(picture, facts_of(table, synthesizer)))
    rows, columns = table.seeds
    click.echo(f"{table.order.out}: {len(rows)} images by {len(columns)}, mixed.")
