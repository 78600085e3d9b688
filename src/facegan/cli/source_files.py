"""Source images and label maps on a command line: what is read, and what a model must take."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from facegan.errors import RequestError, reason_of
from facegan.image_files import holds_image
from facegan.wire import GenerateRequest, ModelSignature, open_source

FLAGS = {"images": "--image", "label_maps": "--label-map", "styles": "--style"}
NOISE_FLAGS = {"seeds": "--seeds", "latents": "--latents"}
MAX_PIXELS = 32_000_000  # of one file: what servers accept by default
INSTEAD = {  # what to give a model, by what its network takes
    None: "Give seeds: --seeds 0-15.",
    "images": "Give an image: --image PHOTO.",
    "label_maps": "Give a label map: --label-map MAP.png.",
}


def check_sources(sources: Mapping[str, Sequence[Path]], options: Mapping[str, Any]) -> None:
    """Check --image, --label-map and --style against each other and the other options.

    Args:
        sources: The paths by field of the request; () if the option is not there.
        options: The other options by name: seeds, latents, mix and direction are read.

    Raises:
        click.UsageError: they contradict one another.
    """
    given = [field for field, paths in sources.items() if paths]
    if "images" in given and "label_maps" in given:
        raise click.UsageError("Give either --image or --label-map: a model takes one of them.")
    if "styles" in given and "label_maps" not in given:
        raise click.UsageError("--style goes with --label-map.")
    noise = [flag for name, flag in NOISE_FLAGS.items() if options.get(name) is not None]
    if "styles" in given and noise:
        raise click.UsageError(f"--style takes the place of {noise[0]}: give one of them.")
    if given and options.get("mix") is not None:
        raise click.UsageError(f"--mix does not go with {FLAGS[given[0]]}.")
    if options.get("direction") is not None and "images" not in given:
        raise click.UsageError("--direction goes with --image, the image to translate.")


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the files of paths in order: of a folder, the images in it, at any depth."""
    files: list[Path] = []
    for path in paths:
        files += images_below(path) if path.is_dir() else [path]
    return files


def images_below(folder: Path) -> list[Path]:
    """Return the images in a folder, sorted."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and holds_image(str(file)))


def read_sources(sources: Mapping[str, Sequence[Path]]) -> dict[str, list[bytes]]:
    """Return the files' bytes by field, without the fields that have none.

    Raises:
        RequestError: One is not an image that can be sent; its path is named.
        click.UsageError: One cannot be read.
    """
    return {
        field: [read_source(field, path) for path in files_of(paths)]
        for field, paths in sources.items()
        if paths
    }


def read_source(field: str, path: Path) -> bytes:
    """Return one file's bytes, after its head is checked: what is refused is never sent."""
    name = f"{FLAGS[field]} {path}"
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise click.UsageError(f"{name}: {reason_of(cause)}.") from cause
    open_source(name, field, content, MAX_PIXELS)
    return content


def check_not_overwritten(target: Path, sources: Sequence[Path]) -> None:
    """Refuse to write a result over one of its sources."""
    if any(target.resolve() == source.resolve() for source in sources):
        raise click.UsageError(f"--out would overwrite the source {target}: name another.")


def check_model_takes(request: GenerateRequest, signature: ModelSignature) -> None:
    """Raise RequestError, in the command line's words, if a model does not take what was given."""
    instead = INSTEAD[signature.source]
    this_model = f"this model {signature.purpose}"
    for field in request.sources:
        if field not in signature.names and (field != "styles" or signature.source is None):
            raise RequestError(f"{FLAGS[field]}: {this_model}.", instead)
        if field not in signature.names:
            raise RequestError("--style: this model has no style encoder.", "Give --seeds instead.")
    if signature.source is not None and signature.source not in request.sources:
        typed = next((flag for name, flag in NOISE_FLAGS.items() if has(request, name)), "")
        subject = f"{typed} alone: " if typed else ""
        raise RequestError(f"{subject}{this_model}.", instead)
    if "latents" not in signature.names:
        for name, flag in NOISE_FLAGS.items():
            if has(request, name):
                hint = f"Leave {flag} out: the same image always has the same result."
                raise RequestError(f"{flag}: {this_model}, and has no latents.", hint)
    if request.direction is not None and not signature.directions:
        message = f"--direction {request.direction}: this model translates one way only."
        raise RequestError(message, "Leave --direction out.")


def has(request: GenerateRequest, name: str) -> bool:
    """Return whether a request has a field."""
    return getattr(request, name) is not None
