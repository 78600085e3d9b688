"""What `generate` and `invoke` share: which faces to draw, and the files to draw them into."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from facegan.client import FaceClient
from facegan.errors import RequestError
from facegan.files import write_aside
from facegan.pictures import enlarge_png
from facegan.wire import JSON, NPY, PNG, GenerateRequest, decode_faces, decode_request

SUFFIXES = {".png": PNG, ".npy": NPY, ".json": JSON}
MAX_FACES = 100_000  # far beyond any request's limit; keeps a mistyped range out of memory
RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def seeds_option(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int] | None:
    """The value of --seeds, and of other options that take whole numbers."""
    try:
        return None if text is None else parse_seeds(text)
    except ValueError as cause:
        raise click.BadParameter(f"{cause} Write 7, 0-15, 1,5,9 or 0-3,8.", ctx, param) from cause


def parse_seeds(text: str) -> list[int]:
    """The seeds a text names, in its order.

    Raises:
        ValueError: a part is no whole number and no rising range, or there are too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        if not found:
            raise ValueError(f"{part!r} is no seed and no range of seeds.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= 2**32:
            raise ValueError(f"{part!r} does not rise within 0 to {2**32 - 1}.")
        if len(seeds) + last - first >= MAX_FACES:
            raise ValueError(f"{text!r} names more than {MAX_FACES} seeds.")
        seeds.extend(range(first, last + 1))
    return seeds


def classes_option(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> list[str] | None:
    """The value of --classes: the model knows which are names and which numbers."""
    names = None if text is None else [name.strip() for name in text.split(",")]
    if names and not all(names):
        raise click.BadParameter("Write long, 2 or 0,1,1.", ctx, param)
    return names


@dataclass(frozen=True)
class Order:
    """What a command line asks for: faces, and the file or folder they go to."""

    request: GenerateRequest
    out: Path
    content_type: str | None  # None: a folder, with one PNG a face
    scale: int = 1  # each pixel of a PNG as scale x scale pixels


def face_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which faces to draw, and where to."""
    for option in reversed(FACE_OPTIONS):
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
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE.npy",
        help="One face a row of an array (N, latent_dim), instead of --seeds.",
    ),
    click.option(
        "--out",
        required=True,
        metavar="PATH",
        help="faces.png: a grid. faces.npy: uint8 (N, H, W, 3). faces.json: a PNG a face, in "
        "base64. faces/: a folder, one PNG a face. Existing files are overwritten.",
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
        help="Each pixel as NxN pixels, for small faces on large screens; PNG only.",
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
        "long or 0,1,1.  [default: each seed names its own]",
    ),
)


def take_order(
    seeds: list[int] | None,
    latents: Path | None,
    out: str,
    columns: int | None,
    scale: int,
    truncation_psi: float,
    classes: list[str] | None,
) -> Order:
    """Check the options of :func:`face_options` against each other, before any work is done.

    Raises:
        click.UsageError: they contradict one another, or a file is not what it should be.
    """
    if (seeds is None) == (latents is None):
        raise click.UsageError("Say which faces: either --seeds 0-15 or --latents FILE.npy.")
    content_type = content_type_of(out)
    if columns is not None and content_type != PNG:
        raise click.UsageError("--columns shapes the grid of a .png; leave it out here.")
    if scale != 1 and content_type not in (PNG, None):
        raise click.UsageError(
            "--scale enlarges a .png, or the PNGs of a folder; leave it out here."
        )
    numbers: Any = None if latents is None else read_latents(latents)
    faces = len(seeds) if seeds is not None else len(numbers)
    if classes is not None and len(classes) not in (1, faces):
        told = f"--classes names {len(classes)} for {faces} faces: give one for all, or one a face."
        raise click.UsageError(told)
    request = GenerateRequest(
        seeds=seeds,
        latents=numbers,
        truncation_psi=truncation_psi,
        classes=classes,
        columns=columns,
    )
    return Order(request, Path(out), content_type, scale)


def content_type_of(out: str) -> str | None:
    """What the suffix of --out asks for; None for a folder."""
    path = Path(out)
    if out.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        if path.is_file():
            raise click.UsageError(f"--out {out}: is a file, and without a suffix means a folder.")
        return None
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise click.UsageError(f"--out {out}: use {known}, or a folder as faces/.")
    return SUFFIXES[path.suffix.lower()]


def read_latents(path: Path) -> Any:
    """The latents (N, width) in a .npy file, never unpickled."""
    try:
        return decode_request(path.read_bytes(), NPY).latents
    except RequestError as cause:
        raise click.UsageError(f"--latents {path}: {cause}") from cause
    except OSError as cause:
        raise click.UsageError(f"--latents {path}: {cause.strerror}.") from cause


def deliver(order: Order, client: FaceClient) -> None:
    """Ask for the faces of an order, write them, and say where they are."""
    body = client.invoke(order.request, order.content_type or JSON)
    if order.content_type is not None:
        write(order.out, enlarged(body, order.scale))
    else:
        for index, face in enumerate(decode_faces(body)):
            name = f"latent{index:04d}" if face.seed is None else f"seed{face.seed:04d}"
            write(order.out / f"{name}.png", enlarged(face.png, order.scale))
    count = order.request.count
    click.echo(f"{order.out}: {count} face{'s' if count > 1 else ''}.")


def enlarged(body: bytes, scale: int) -> bytes:
    """A PNG at a scale; anything at scale 1 as it came."""
    return body if scale == 1 else enlarge_png(body, scale)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_aside(path, content)
    except OSError as cause:
        raise click.ClickException(f"{path} cannot be written: {cause.strerror}.") from cause
