"""`--image photos/ --out nights/`: one request and one file per source, under the source's name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from facegan.cli.face_output import FaceOutput, check_format, content_type_of, parse_output
from facegan.cli.source_files import (
    FLAGS,
    check_not_overwritten,
    check_sources,
    files_of,
    images_below,
)
from facegan.client import FaceClient
from facegan.errors import FaceGANError, OutputError, pluralize, reason_of
from facegan.files import write_all_atomic
from facegan.wire import PNG


@dataclass(frozen=True)
class SourceFolder:
    """Sources, and the files to write their results to.

    Attributes:
        path: The folder of --out.
        field: Of the request: images or label_maps.
        targets: The file to write for each source, in order.
        options: All options, as of :func:`parse_output`.
    """

    path: Path
    field: str
    targets: Mapping[Path, Path]
    options: Mapping[str, Any]

    def outputs(self) -> Iterator[tuple[Path, FaceOutput]]:
        """Yield each source and what is asked for it; files are read one by one."""
        for index, (source, target) in enumerate(self.targets.items()):
            own = {self.field: (source,), "out": str(target)}
            paired = {name: self.item(name, index) for name in ("seeds", "styles")}
            yield source, parse_output(**{**self.options, **own, **paired})

    def item(self, name: str, index: int) -> Any:
        """Return the seed or style of the index-th source, as a list of one."""
        values = self.options[name]
        return values if not values or len(values) == 1 else values[index : index + 1]


def parse_folder(options: Mapping[str, Any]) -> SourceFolder | None:
    """Return the sources of options whose --out is a folder; None if the options ask for others.

    Raises:
        click.UsageError: they contradict one another, or two sources would be written to one file.
    """
    fields = [name for name in ("images", "label_maps") if options[name]]
    if not fields or content_type_of(options["out"]) is not None:
        return None
    check_sources({name: options[name] for name in FLAGS}, options)
    field, path = fields[0], Path(options["out"])
    options = {**options, "styles": tuple(files_of(options["styles"]))}
    targets = name_targets(options[field], path)
    if len(targets) == 1 and len(options["seeds"] or options["styles"]) > 1:
        return None  # one label map in several ways: its images are named by their seeds
    check_pairs(FLAGS[field], len(targets), options)
    check_format(None, is_animation=False, **options)
    for target in targets.values():
        check_not_overwritten(target, list(targets))
    return SourceFolder(path, field, targets, options)


def name_targets(paths: tuple[Path, ...], folder: Path) -> dict[Path, Path]:
    """Return the file for each source: its name, and its place in the folder that was given."""
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for path in paths:
        for source in images_below(path) if path.is_dir() else [path]:
            name = source.relative_to(path) if path.is_dir() else Path(source.name)
            target = (folder / name).with_suffix(".png")
            if (other := taken.setdefault(target, source)) != source:
                raise click.UsageError(f"{other} and {source} would both be written to {target}.")
            targets[source] = target
    return targets


def check_pairs(flag: str, count: int, options: Mapping[str, Any]) -> None:
    """Check that there is one seed or style for all sources, or one for each."""
    for name in ("latents", "interpolate"):
        if options[name]:
            message = f"--{name} with {flag} takes a file as --out, e.g. images.zip."
            raise click.UsageError(message)
    for name, what in (("seeds", "seed"), ("styles", "style")):
        given = len(options[name] or ())
        if given > 1 and given != count:
            found = f"{pluralize(given, what)} for {pluralize(count, 'image')}"
            message = f"{found} of {flag}: give one for all, or one for each."
            raise click.UsageError(message)


def write_folder(folder: SourceFolder, client: FaceClient, is_streamed: bool = False) -> None:
    """Request every image and write it under its source's name, and print where they are.

    Args:
        folder: Sources and targets.
        client: Of the model.
        is_streamed: Whether each file is written as soon as its image is there. Otherwise nothing
            is written if one of them fails.
    """
    made: dict[Path, bytes] = {}
    for source, output in folder.outputs():
        content = output.enlarge(fetch_one(source, output, client))
        if is_streamed:
            click.echo(f"{output.write(content)}")
        else:
            made[output.path] = content
    try:
        write_all_atomic(made)
    except OSError as cause:
        raise OutputError(f"{folder.path} cannot be written: {reason_of(cause)}.") from cause
    click.echo(f"{folder.path}: {pluralize(len(folder.targets), 'image')}.")


def fetch_one(source: Path, output: FaceOutput, client: FaceClient) -> bytes:
    """Return the image of one source; an error names it."""
    try:
        return client.invoke(output.request, PNG)
    except FaceGANError as error:
        raise type(error)(f"{source}: {error.message}", error.hint) from error
