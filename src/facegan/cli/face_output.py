"""What a command line orders: a request, checked before any work is done, and files for it."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from facegan.cli.inputs import check_output
from facegan.client import FaceClient
from facegan.errors import InvocationError, OutputError, RequestError, pluralize
from facegan.files import write_atomic
from facegan.image_encoding import enlarge_animation, enlarge_png
from facegan.wire import (
    JPEG,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    WEBP,
    ZIP,
    GenerateRequest,
    decode_request,
    file_names,
    iter_images,
    parse_images,
)

SUFFIXES = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": WEBP,
    ".npy": NPY,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".zip": ZIP,
}
ONE_PICTURE = (PNG, JPEG, WEBP)


@dataclass(frozen=True)
class FaceOutput:
    """What a command line asks for: faces, and the file or folder they go to."""

    request: GenerateRequest
    out: Path
    content_type: str | None  # None: a folder, with one PNG a face
    scale: int = 1  # each pixel of a PNG, or of an animation, as scale x scale pixels


def parse_output(
    seeds: list[int] | None,
    latents: Path | None,
    out: str,
    *,
    mix: list[int] | None = None,
    classes: list[int | str] | None = None,
    class_names: tuple[str, ...] = (),
    scale: int = 1,
    **wish: Any,
) -> FaceOutput:
    """Check the options of :func:`face_options` against each other, before any work is done.

    Args:
        seeds: One face a seed, or None.
        latents: A file of latents instead, or None.
        out: The file or folder.
        mix: The seeds to mix with.
        classes: Of a conditional model.
        class_names: The same, each as one option of its own.
        scale: How many times larger a picture is written than it is drawn.
        wish: Further fields of GenerateRequest.

    Raises:
        click.UsageError: they contradict one another, or a file is not what it should be.
    """
    if (seeds is None) == (latents is None):
        raise click.UsageError("Say which images: either --seeds 0-15 or --latents FILE.npy.")
    content_type = content_type_of(out)
    check_output(Path(out))
    numbers: Any = None if latents is None else read_latents(latents)
    given = len(seeds) if seeds is not None else len(numbers)
    classes = chosen_classes(classes, class_names)
    check_way(given, wish["interpolate"], mix, classes)
    check_mix(seeds, mix, wish["mix_layers"])
    faces = given + len(mix or [])
    if classes is not None and len(classes) not in (1, faces):
        flag = "--class" if class_names else "--classes"
        told = (
            f"{flag} names {len(classes)} for {pluralize(faces, 'image')}: "
            "give one for all, or one for each image."
        )
        raise click.UsageError(f"{told} {as_one_name(classes, flag)}".strip())
    is_moving = content_type == WEBP and wish["columns"] is None and (given > 1 or bool(mix))
    check_picture(content_type, is_moving, scale, **wish)
    request = GenerateRequest(
        seeds=seeds,
        latents=numbers,
        mix=mix,
        classes=classes,
        layout="animation" if is_moving else "grid",
        **wish,
    )
    return FaceOutput(request, Path(out), content_type, scale)


def chosen_classes(
    classes: list[int | str] | None, class_names: tuple[str, ...]
) -> list[int | str] | None:
    """Return what --classes or --class names, of which one alone may be given."""
    if classes is not None and class_names:
        raise click.UsageError("Give either --classes or --class, not both.")
    if "" in class_names:
        raise click.UsageError("--class is empty: give the name of a class.")
    return list(class_names) or classes


def as_one_name(classes: list[int | str], flag: str) -> str:
    """Return how to write the words of --classes if they are one name that holds commas."""
    if flag == "--class" or len(classes) < 2:
        return ""
    name = ", ".join(map(str, classes))
    return f"If that is one name: --class {shlex.quote(name)}." if len(name) <= 200 else ""


def check_way(
    given: int, interpolate: int | None, mix: list[int] | None, classes: list[int | str] | None
) -> None:
    """A walk leads from face to face, and stays in one class."""
    if not interpolate:
        return
    if given < 2:
        raise click.UsageError("--interpolate needs two or more images, as --seeds 3,8.")
    if mix is not None:
        raise click.UsageError("--mix goes without --interpolate.")
    if len(classes or [""]) != 1:
        told = "A walk is of one class: give --classes one."
        raise click.UsageError(f"{told} {as_one_name(classes or [], '--classes')}".strip())


def check_mix(seeds: list[int] | None, mix: list[int] | None, mix_layers: list[int] | None) -> None:
    """Styles are mixed of seeds with seeds."""
    if mix is None and mix_layers is not None:
        raise click.UsageError("--mix-layers goes with --mix, the seeds to mix with.")
    if mix is not None and seeds is None:
        raise click.UsageError("--mix goes with --seeds, not with --latents.")


def check_picture(
    content_type: str | None,
    is_moving: bool,
    scale: int,
    columns: int | None,
    quality: int | None,
    frame_ms: int | None,
    **_: Any,
) -> None:
    """Columns, scale, quality and time are each of some kinds of files."""
    if columns is not None and content_type not in ONE_PICTURE:
        raise click.UsageError("--columns shapes the grid of one picture; leave it out here.")
    if quality is not None and content_type not in (JPEG, WEBP):
        raise click.UsageError("--quality is of .jpg and .webp; leave it out here.")
    if frame_ms is not None and not is_moving:
        raise click.UsageError("--frame-ms is of an animation: two images or more into a .webp.")
    is_exact = content_type in (PNG, None) or (is_moving and quality is None)
    if scale != 1 and not is_exact:
        raise click.UsageError(
            "--scale enlarges a .png, the PNGs of a folder, or an animation without --quality; "
            "leave it out here."
        )


def content_type_of(out: str) -> str | None:
    """What the suffix of --out asks for; None for a folder."""
    path = Path(out)
    if out == "-":
        raise click.UsageError("--out -: images are not written to standard output. Name a file.")
    if out.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        if path.is_file():
            raise click.UsageError(f"--out {out}: is a file, and without a suffix means a folder.")
        return None
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise click.UsageError(f"--out {out}: use {known}, or a folder as images/.")
    return SUFFIXES[path.suffix.lower()]


def read_latents(path: Path) -> Any:
    """The latents (N, width) in a .npy file, never unpickled."""
    try:
        return decode_request(path.read_bytes(), NPY).latents
    except RequestError as cause:
        raise click.UsageError(f"--latents {path}: {cause}") from cause
    except OSError as cause:
        raise click.UsageError(f"--latents {path}: {cause.strerror}.") from cause


def write_faces(order: FaceOutput, client: FaceClient) -> None:
    """Ask for the faces of an order, write them, and say where they are."""
    if order.content_type is None:
        write_folder(order, client)
    else:
        write(order.out, enlarged(fetch(order.request, order.content_type, client), order))
    count = order.request.count
    what = "frame" if order.request.layout == "animation" else "image"
    click.echo(f"{order.out}: {count} {what}{'s' if count > 1 else ''}.")


def check_streamed(order: FaceOutput) -> None:
    """Only single faces come one by one, in the order of their drawing.

    Raises:
        click.UsageError: --out is no folder.
    """
    if order.content_type is not None:
        told = f"--out {order.out}: --stream writes one file per image; give a folder, as images/."
        raise click.UsageError(told)


def write_faces_streamed(order: FaceOutput, client: FaceClient) -> None:
    """Write each face of an order as soon as it is there; those before an end stay.

    Raises:
        InvocationError: the answer broke off; it says after how many.
    """
    count, come = 0, list[dict[str, Any]]()
    try:
        for face in iter_images(client.chunks(order.request)):
            come.append(face._replace(png=b"")._asdict())
            name = file_names(come)[-1]  # as in a folder that is written at once
            write(order.out / name, enlarged(face.png, order))
            count += 1
            click.echo(f"{order.out / name}")
    except InvocationError as error:
        if not count:
            raise
        hint = f"{error.hint} {count} of {order.request.count} images are in {order.out}.".strip()
        raise InvocationError(error.message, hint) from error
    click.echo(f"{order.out}: {count} image{'s' if count > 1 else ''}.")


def fetch(request: GenerateRequest, content_type: str, client: FaceClient) -> bytes:
    """The answer to a request; one in lines as it comes, which may be longer than others."""
    if content_type != JSON_LINES:
        return client.invoke(request, content_type)
    body = b"".join(client.chunks(request))
    for _ in iter_images([body]):  # an answer that broke off says so in its last line
        pass
    return body


def write_folder(order: FaceOutput, client: FaceClient) -> None:
    """One PNG a face, named by its seed."""
    faces = parse_images(client.invoke(order.request, JSON))
    names = file_names([face._asdict() for face in faces])
    for name, face in zip(names, faces, strict=True):
        write(order.out / name, enlarged(face.png, order))


def enlarged(body: bytes, order: FaceOutput) -> bytes:
    """A picture at an order's scale; anything at scale 1 as it came."""
    if order.scale == 1:
        return body
    enlarge = enlarge_animation if order.content_type == WEBP else enlarge_png
    return enlarge(body, order.scale)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_atomic(path, content)
    except OSError as cause:
        raise OutputError(f"{path} cannot be written: {cause.strerror}.") from cause
