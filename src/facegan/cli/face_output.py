"""Parses which images a command line asks for, and writes them to files."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from facegan.cli.inputs import check_output
from facegan.cli.source_files import (
    check_not_overwritten,
    check_sources,
    files_of,
    read_sources,
)
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
    GeneratedImage,
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
SINGLE_IMAGE = (PNG, JPEG, WEBP)


@dataclass(frozen=True)
class FaceOutput:
    """The images that a command line asks for, and the file or folder they are written to."""

    request: GenerateRequest
    path: Path
    content_type: str | None  # None: a folder with one PNG per image
    scale: int = 1  # each pixel of a PNG, or of an animation, as scale x scale pixels
    stem: str = ""  # of the file of the one source; images in a folder are named by it

    def write(self, body: bytes, name: str = "") -> Path:
        """Write one file, enlarged, and return its path.

        Args:
            body: Its content at scale 1.
            name: The file's name if the output is a folder.
        """
        path = self.path / name if name else self.path
        write_file(path, self.enlarge(body))
        return path

    def names_of(self, images: Sequence[GeneratedImage]) -> list[str]:
        """Return the names of images in the folder: by their seeds, behind the source's name."""
        names = file_names([{**image._asdict(), "input": None} for image in images])
        return [f"{self.stem}-{name}" for name in names] if self.stem else names

    def enlarge(self, body: bytes) -> bytes:
        """Return a PNG or an animation in the scale of the output."""
        if self.scale == 1:
            return body
        return (enlarge_animation if self.content_type == WEBP else enlarge_png)(body, self.scale)


def parse_output(
    seeds: list[int] | None,
    latents: Path | None,
    out: str,
    *,
    images: tuple[Path, ...] = (),
    label_maps: tuple[Path, ...] = (),
    styles: tuple[Path, ...] = (),
    mix: list[int] | None = None,
    classes: list[int | str] | None = None,
    class_names: tuple[str, ...] = (),
    scale: int = 1,
    **params: Any,
) -> FaceOutput:
    """Check the options of :func:`image_options` against each other, before any work is done.

    Args:
        seeds: One image per seed, or None.
        latents: A file of latents instead, or None.
        out: The file or folder.
        images: Files or folders of images to translate.
        label_maps: Files or folders of label maps to paint.
        styles: Images whose style they get.
        mix: The seeds to mix with.
        classes: --classes.
        class_names: --class, which may be repeated.
        scale: How much a PNG or an animation is enlarged.
        params: Further fields of GenerateRequest.

    Raises:
        click.UsageError: they contradict one another, or a file cannot be used.
        RequestError: a source is not an image, or they cannot be paired.
    """
    sources = {"images": images, "label_maps": label_maps, "styles": styles}
    check_choice(seeds, latents, is_drawn=not any(sources.values()))
    check_sources(sources, {**params, "seeds": seeds, "latents": latents, "mix": mix})
    content_type = content_type_of(out)
    check_output(Path(out))
    for paths in sources.values():
        check_not_overwritten(Path(out), files_of(paths))
    rows: Any = None if latents is None else read_latents(latents)
    files = read_sources(sources)
    drawn = seeds if seeds is not None else rows if rows is not None else ()
    count = max(len(drawn), *map(len, files.values()), 0)
    check_mix(seeds, mix, params["mix_layers"])
    if params["interpolate"]:
        check_interpolation(len(drawn), mix)
    all_seeds, is_interpolation = count + len(mix or []), bool(params["interpolate"])
    classes = parse_classes(classes, class_names, all_seeds, is_interpolation)
    is_animation = content_type == WEBP and params["columns"] is None and (count > 1 or bool(mix))
    check_format(content_type, is_animation, scale, **params)
    request = GenerateRequest(
        seeds=seeds,
        latents=rows,
        mix=mix,
        classes=classes,
        layout="animation" if is_animation else "grid",
        **files,
        **params,
    )
    own = files_of(images or label_maps)
    return FaceOutput(
        request, Path(out), content_type, scale, stem=own[0].stem if len(own) == 1 else ""
    )


def check_choice(seeds: list[int] | None, latents: Path | None, is_drawn: bool) -> None:
    """Check that images are chosen by seeds or latents, or, where none are drawn, by neither."""
    if seeds is not None and latents is not None:
        raise click.UsageError("Choose the images: either --seeds or --latents, not both.")
    if is_drawn and seeds is None and latents is None:
        raise click.UsageError(
            "Choose the images: either --seeds 0-15 or --latents FILE.npy. A model that translates "
            "or paints takes --image PHOTO or --label-map MAP.png."
        )


def parse_classes(
    classes: list[int | str] | None,
    class_names: tuple[str, ...],
    images: int,
    is_interpolation: bool,
) -> list[int | str] | None:
    """Return the classes of --classes or --class: None, one, or one per image."""
    if classes is not None and class_names:
        raise click.UsageError("Give either --classes or --class, not both.")
    if "" in class_names:
        raise click.UsageError("--class is empty: give the name of a class.")
    flag = "--class" if class_names else "--classes"
    classes = list(class_names) or classes
    if classes is not None and len(classes) not in ((1,) if is_interpolation else (1, images)):
        message = (
            f"An interpolation is of one class: give one to {flag}."
            if is_interpolation
            else f"{flag} names {len(classes)} for {pluralize(images, 'image')}: "
            "give one for all, or one for each image."
        )
        raise click.UsageError(message + ("" if class_names else suggest_one_name(classes)))
    return classes


def suggest_one_name(classes: list[int | str]) -> str:
    """Return how to pass the items of --classes as one name that contains commas."""
    name = ", ".join(map(str, classes))
    if len(classes) < 2 or len(name) > 200:
        return ""
    return f" If that is one name: --class {shlex.quote(name)}."


def check_mix(seeds: list[int] | None, mix: list[int] | None, mix_layers: list[int] | None) -> None:
    """Check that styles of seeds are mixed with styles of seeds."""
    if mix is None and mix_layers is not None:
        raise click.UsageError("--mix-layers goes with --mix, the seeds to mix with.")
    if mix is not None and seeds is None:
        raise click.UsageError("--mix goes with --seeds, not with --latents.")


def check_interpolation(count: int, mix: list[int] | None) -> None:
    """Check that an interpolation has two ends and mixes no styles."""
    if count < 2:
        raise click.UsageError("--interpolate needs two or more images, e.g. --seeds 3,8.")
    if mix is not None:
        raise click.UsageError("--mix and --interpolate cannot be combined.")


def check_format(
    content_type: str | None,
    is_animation: bool,
    scale: int,
    columns: int | None,
    quality: int | None,
    frame_ms: int | None,
    **_: Any,
) -> None:
    """Check that the options apply to the format of the output."""
    if columns is not None and content_type not in SINGLE_IMAGE:
        raise click.UsageError("--columns only applies to a grid in one image file.")
    if quality is not None and content_type not in (JPEG, WEBP):
        raise click.UsageError("--quality only applies to .jpg and .webp.")
    if frame_ms is not None and not is_animation:
        raise click.UsageError("--frame-ms only applies to animations: several images in a .webp.")
    if scale != 1 and content_type not in (PNG, None) and (not is_animation or quality is not None):
        raise click.UsageError(
            "--scale only applies to a .png, the PNGs in a folder, or an animation without "
            "--quality."
        )


def content_type_of(out: str) -> str | None:
    """Return the content type for the suffix of --out; None for a folder."""
    path = Path(out)
    if out == "-":
        raise click.UsageError("--out -: images are not written to standard output. Name a file.")
    if out.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        if path.is_file():
            raise click.UsageError(
                f"--out {out}: is a file, but without a suffix it must be a folder."
            )
        return None
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise click.UsageError(f"--out {out}: use {known}, or a folder, e.g. images/.")
    return SUFFIXES[path.suffix.lower()]


def read_latents(path: Path) -> Any:
    """Read the latents (N, latent_dim) in a .npy file, never unpickled."""
    try:
        return decode_request(path.read_bytes(), NPY).latents
    except RequestError as cause:
        raise click.UsageError(f"--latents {path}: {cause}") from cause
    except OSError as cause:
        raise click.UsageError(f"--latents {path}: {cause.strerror}.") from cause


def write_faces(output: FaceOutput, client: FaceClient) -> None:
    """Request the images, write them, and print where they are."""
    if output.content_type is None:
        images = parse_images(client.invoke(output.request, JSON))
        for name, image in zip(output.names_of(images), images, strict=True):
            output.write(image.png, name)
    else:
        output.write(fetch(output.request, output.content_type, client))
    what = "frame" if output.request.layout == "animation" else "image"
    click.echo(f"{output.path}: {pluralize(output.request.count, what)}.")


def fetch(request: GenerateRequest, content_type: str, client: FaceClient) -> bytes:
    """Return the reply; JSON lines are streamed, because they may be longer than other replies."""
    if content_type != JSON_LINES:
        return client.invoke(request, content_type)
    body = b"".join(client.chunks(request))
    for _ in iter_images([body]):  # raises if the last line says that the reply broke off
        pass
    return body


def write_faces_streamed(output: FaceOutput, client: FaceClient) -> None:
    """Write each image as soon as it arrives; those before an interruption stay.

    Raises:
        InvocationError: the reply broke off; the hint says after how many images.
    """
    received = list[GeneratedImage]()
    try:
        for image in iter_images(client.chunks(output.request)):
            received.append(image._replace(png=b""))
            name = output.names_of(received)[-1]  # as without --stream
            click.echo(f"{output.write(image.png, name)}")
    except InvocationError as error:
        if not received:
            raise
        written = f"{len(received)} of {output.request.count} images are in {output.path}."
        raise InvocationError(error.message, f"{error.hint} {written}".strip()) from error
    click.echo(f"{output.path}: {pluralize(len(received), 'image')}.")


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_atomic(path, content)
    except OSError as cause:
        raise OutputError(f"{path} cannot be written: {cause.strerror}.") from cause
