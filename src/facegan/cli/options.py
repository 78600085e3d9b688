"""The options that `generate` and `invoke` share: which images to generate, and where to."""

from collections.abc import Callable

import click

from facegan.cli.inputs import IMAGE, LABEL_MAP, LATENTS, STYLE
from facegan.client import parse_seeds
from facegan.model_inputs import DIRECTIONS
from facegan.name_lists import read_names


def seeds_option(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int] | None:
    """Parse --seeds, and other options that take lists of integers."""
    try:
        return None if text is None else parse_seeds(text)
    except ValueError as cause:
        raise click.BadParameter(f"{cause} Write 7, 0-15, 1,5,9 or 0-3,8.", ctx, param) from cause


def classes_option(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> list[int | str] | None:
    """Parse --classes; the model decides which items are names and which are numbers."""
    names = None if text is None else read_names(text)
    if names is not None and (not names or "" in names):
        raise click.BadParameter("Write long, 2 or 0,1,1.", ctx, param)
    return names


IMAGE_OPTIONS = (
    click.option(
        "--seeds",
        callback=seeds_option,
        metavar="SEEDS",
        help="One image per seed: 7, 0-15 or 0-3,8. A seed always gives the same image.",
    ),
    click.option(
        "--latents",
        type=LATENTS,
        metavar="FILE.npy",
        help="Instead of --seeds: one image per row of an array (N, latent_dim).",
    ),
    click.option(
        "--image",
        "images",
        type=IMAGE,
        multiple=True,
        metavar="PATH",
        help="For a model that translates: an image, or a folder of images. Repeat it for more. "
        "With a folder as --out, each keeps its name.",
    ),
    click.option(
        "--direction",
        type=click.Choice(DIRECTIONS),
        help="For a model that translates both ways.  [default: its first, AtoB]",
    ),
    click.option(
        "--label-map",
        "label_maps",
        type=LABEL_MAP,
        multiple=True,
        metavar="PATH",
        help="For a model that paints label maps: a PNG of class numbers (palette or grey) or of "
        "the classes' colours, or a folder of them. With --seeds 0-7: one map, eight images.",
    ),
    click.option(
        "--style",
        "styles",
        type=STYLE,
        multiple=True,
        metavar="PATH",
        help="Instead of --seeds: an image whose style the painted label map gets.",
    ),
    click.option(
        "--out",
        default="faces.png",
        show_default=True,
        metavar="PATH",
        help="faces.png, .jpg: a grid. faces.webp: an animation, or with --columns a grid. "
        "faces.npy: uint8 (N, H, W, 3). faces.json, .jsonl: one PNG per image, in base64. "
        "faces.zip, faces/: an archive or a folder of PNGs. Existing files are overwritten.",
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
        help="Enlarge PNGs and animations: each pixel becomes NxN pixels.",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        metavar="N",
        help="Quality of .jpg and .webp, 1 to 100.  [default: 90; animations are lossless]",
    ),
    click.option(
        "--interpolate",
        type=click.IntRange(1, 65_536),
        metavar="N",
        help="Interpolate from each image to the next in N steps; --out may be an animated .webp.",
    ),
    click.option(
        "--frame-ms",
        type=click.IntRange(10, 60_000),
        metavar="MS",
        help="Duration of each frame of an animation, in milliseconds.  [default: 60]",
    ),
    click.option(
        "--truncation",
        "truncation_psi",
        type=click.FloatRange(0, 2),
        default=1.0,
        show_default=True,
        metavar="PSI",
        help="0 to 2; below 1, more typical and less varied images. Some families take only 1.",
    ),
    click.option(
        "--classes",
        callback=classes_option,
        metavar="CLASSES",
        help="For a conditional model: one class for all images, or one per image, by name or "
        "number, e.g. long or 0,1,1. For names with commas pass a JSON list, or --class.  "
        "[default: chosen by each seed]",
    ),
    click.option(
        "--class",
        "class_names",
        multiple=True,
        metavar="NAME",
        help="Instead of --classes: one exact class name, which may contain commas. Repeat it for "
        "one class per image.",
    ),
    click.option(
        "--mix",
        callback=seeds_option,
        metavar="SEEDS",
        help="Style mixing: a table with coarse features from --seeds (rows) and fine features "
        "from these seeds (columns).",
    ),
    click.option(
        "--mix-layers",
        callback=seeds_option,
        metavar="LAYERS",
        help="Layers that follow the columns; 0 is the coarsest.  [default: the finer half]",
    ),
)


def image_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which images to generate, and where to."""
    for option in reversed(IMAGE_OPTIONS):
        command = option(command)
    return command
