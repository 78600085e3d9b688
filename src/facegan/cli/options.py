"""The options that `generate` and `invoke` share: which faces to draw, and where to."""

from collections.abc import Callable

import click

from facegan.cli.inputs import LATENTS
from facegan.client import parse_seeds
from facegan.name_lists import read_names


def seeds_option(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int] | None:
    """The value of --seeds, and of other options that take whole numbers."""
    try:
        return None if text is None else parse_seeds(text)
    except ValueError as cause:
        raise click.BadParameter(f"{cause} Write 7, 0-15, 1,5,9 or 0-3,8.", ctx, param) from cause


def classes_option(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> list[int | str] | None:
    """Return the value of --classes: the model knows which texts are names and which numbers."""
    names = None if text is None else read_names(text)
    if names is not None and (not names or "" in names):
        raise click.BadParameter("Write long, 2 or 0,1,1.", ctx, param)
    return names


def face_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which faces to draw, and where to."""
    for option in reversed((*FACE_OPTIONS, *MIX_OPTIONS)):
        command = option(command)
    return command


FACE_OPTIONS = (
    click.option(
        "--seeds",
        callback=seeds_option,
        metavar="SEEDS",
        help="One face a seed, as 7, 0-15 or 0-3,8. The same seed gives the same face always.",
    ),
    click.option(
        "--latents",
        type=LATENTS,
        metavar="FILE.npy",
        help="One face a row of an array (N, latent_dim), instead of --seeds.",
    ),
    click.option(
        "--out",
        default="faces.png",
        show_default=True,
        metavar="PATH",
        help="faces.png, .jpg: a grid. faces.webp: an animation, or with --columns a grid. "
        "faces.npy: uint8 (N, H, W, 3). faces.json, .jsonl: a PNG a face, in base64. faces.zip, "
        "faces/: an archive, a folder, one PNG a face. Existing files are overwritten.",
    ),
    click.option(
        "--columns",
        type=click.IntRange(min=1),
        metavar="N",
        help="Columns of the grid.  [default: as square as possible]",
    ),
    click.option(
        "--scale",
        type=click.IntRange(1, 16),
        default=1,
        show_default=True,
        metavar="N",
        help="Each pixel as NxN pixels, for small faces on large screens; PNGs and animations.",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        metavar="N",
        help="Of .jpg and .webp, 1 to 100.  [default: 90; an animation loses nothing]",
    ),
    click.option(
        "--interpolate",
        type=click.IntRange(1, 65_536),
        metavar="N",
        help="Walk from each face to the next in N steps; --out may be an animated .webp.",
    ),
    click.option(
        "--frame-ms",
        type=click.IntRange(10, 60_000),
        metavar="MS",
        help="How long an animation shows each face, in milliseconds.  [default: 60]",
    ),
    click.option(
        "--truncation",
        "truncation_psi",
        type=click.FloatRange(0, 2),
        default=1.0,
        show_default=True,
        metavar="PSI",
        help="0 to 2; below 1, more typical and less varied faces. Some families take only 1.",
    ),
    click.option(
        "--classes",
        callback=classes_option,
        metavar="CLASSES",
        help="Of a conditional model, by name or number: one for all faces, or one a face, as "
        "long or 0,1,1. Names with commas as a JSON list, or by --class.  [default: each seed "
        "names its own]",
    ),
    click.option(
        "--class",
        "class_names",
        multiple=True,
        metavar="NAME",
        help="One class, its name exactly as it is, commas too; once for all faces, or once a "
        "face. Instead of --classes.",
    ),
)
MIX_OPTIONS = (
    click.option(
        "--mix",
        callback=seeds_option,
        metavar="SEEDS",
        help="Mix each of --seeds with each of these: coarse features by row, fine by column.",
    ),
    click.option(
        "--mix-layers",
        callback=seeds_option,
        metavar="LAYERS",
        help="Which layers follow the columns, from 0, the coarsest.  [default: the finer half]",
    ),
)
