"""Checks the paths on a command line before anything is imported.

Each command declares the kind of path that it takes (``DATA``, ``MODEL`` …) as a click type. A path
that is clearly something else is refused here, with the command to run instead. Damage that only
shows when the file is read is reported by its reader.
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from facegan.errors import ArtifactError, ConfigError, OutputError, RunError, RunFileError
from facegan.files import check_writable
from facegan.path_kinds import (
    PathInfo,
    describe_path,
    next_command,
    not_prepared_error,
    refuse_data,
    similar_path,
)

S3 = "s3://"


def refuse_source(found: PathInfo) -> None:
    """Raise DatasetError if `facegan data prepare` cannot read this; it reads archives too."""
    is_celeba = found.inside is not None and found.inside.name == "img_align_celeba.zip"
    # A data set may be one of plain images, which the reader of manifests knows.
    known = ("zip", "tar", "images", "data set", "data set below")
    if found.kind not in known and not is_celeba:
        refuse_data(found, wanted="a folder or an archive of images")


def check_source(source: str | None) -> None:
    """Raise DatasetError if a path is not a source of images; S3 addresses are not checked."""
    if source is not None and source != "split" and not source.startswith(S3):
        refuse_source(describe_path(source))


def refuse_unprepared(found: PathInfo) -> None:
    """Raise DatasetError if this is not a data set that `facegan data` wrote."""
    if found.kind != "data set":
        raise not_prepared_error(found)


def refuse_part(found: PathInfo) -> None:
    """Raise DatasetError if this is not a part of a data set, or a folder of parts."""
    if found.kind != "data set below" or not any(found.path.glob("*/dataset.json")):
        refuse_unprepared(found)


def refuse_model(found: PathInfo) -> None:
    """Raise ArtifactError if this is not a model; the content of an archive is not checked."""
    if found.kind in ("model", "model folder", "run", "tar"):
        return
    if found.kind == "missing":
        raise ArtifactError(
            f"There is no model at {found.path}: it does not exist.",
            similar_path(found.path)
            or "Train one, which ends as RUN/model.tar.gz: facegan train --data DIR --out RUN",
        )
    if found.kind == "unreadable":
        raise ArtifactError(f"{found.path} cannot be read: {found.text}.", "Check its permissions.")
    hint = next_command(found)
    if found.kind in ("images", "data set"):
        data = shlex.quote(str(found.path))
        hint = (
            "Train one on it, which ends as runs/first/model.tar.gz: "
            f"facegan train --data {data} --out runs/first"
        )
    elif found.kind == "pickle":
        hint = "Pickled models are never loaded. A model is the model.tar.gz of a run."
    elif found.kind not in ("unfinished run", "runs"):
        hint = "A model is the model.tar.gz that a run ends with, or its folder."
    raise ArtifactError(f"{found.path} is {found.text}, not a model.", hint)


def refuse_run(found: PathInfo) -> None:
    """Raise RunError if this is not the folder of a run."""
    if found.kind in ("run", "unfinished run"):
        return
    parent = found.path.absolute().parent
    if found.kind == "missing":
        raise RunError(
            f"{found.path} does not exist, so it is not a run.",
            similar_path(found.path) or "Name the --out folder of facegan train.",
        )
    if found.kind == "unreadable":
        raise RunError(f"{found.path} cannot be read: {found.text}.", "Check its permissions.")
    if (parent / "run.json").is_file():
        hint = f"Name the folder of the run: {shlex.quote(str(parent))}."
    elif found.kind in ("runs", "data set"):
        hint = next_command(found)
    else:
        hint = "Name the --out folder of facegan train."
    raise RunError(f"{found.path} is {found.text}, not a run (it has no run.json).", hint)


def refuse_latents(found: PathInfo) -> None:
    """Raise ConfigError if this is not a .npy file."""
    if found.kind == "npy":
        return
    what = {"missing": "does not exist", "unreadable": f"cannot be read: {found.text}"}
    raise ConfigError(
        f"--latents {found.path} {what.get(found.kind, f'is {found.text}, not a .npy file')}.",
        similar_path(found.path)
        if found.kind == "missing"
        else "Write latents with numpy.save: an array (N, width), one row per image.",
    )


def refuse_other_than_images(flag: str) -> Callable[[PathInfo], None]:
    """Return what refuses a path that is neither an image nor a folder of images.

    Args:
        flag: Whose path it is, for the message.

    Returns:
        A function that raises ConfigError, which says what was found there.
    """

    def refuse(found: PathInfo) -> None:
        if found.kind in ("image", "images"):
            return
        what = {"missing": "does not exist", "unreadable": f"cannot be read: {found.text}"}
        raise ConfigError(
            f"{flag} {found.path} {what.get(found.kind, f'is {found.text}, not an image')}.",
            (similar_path(found.path) if found.kind == "missing" else "")
            or "Name an image (PNG, JPEG or WebP), or a folder of images.",
        )

    return refuse


def refuse_run_file(found: PathInfo) -> None:
    """Raise RunFileError if this is not a text file, as a run.toml is."""
    # TOML may start with a bracket, like JSON. Its reader checks the content.
    is_text = found.kind == "json" and found.path.suffix != ".json"
    if is_text or found.kind in ("text", "empty file"):
        return
    init = f"Write one: facegan init --out {shlex.quote(str(found.path))}"
    if found.kind == "missing":
        hint = similar_path(found.path) or init
        raise RunFileError(f"--config {found.path} does not exist.", hint)
    if found.kind == "unreadable":
        raise RunFileError(f"{found.path} cannot be read: {found.text}.", "Check its permissions.")
    hint = "`facegan init` writes a run.toml, and every run folder has one."
    raise RunFileError(f"{found.path} is {found.text}, not a run.toml.", hint)


class InputPath(click.ParamType):  # type: ignore[type-arg]
    """A path on the command line whose kind is checked.

    Args:
        name: The placeholder in the help.
        refuse: Raises an error if the path is of another kind.
        remote: Whether an s3:// address is accepted too.
        as_text: Whether the value is a str instead of a Path.
    """

    def __init__(
        self,
        name: str,
        refuse: Callable[[PathInfo], None],
        remote: bool = False,
        as_text: bool = False,
    ) -> None:
        self.name, self.refuse, self.remote, self.as_text = name, refuse, remote, as_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, after checking it."""
        if self.remote and str(value).startswith(S3):
            return value
        self.refuse(describe_path(value))
        return str(value) if self.as_text else Path(value)

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        """Return the placeholder in the help of an option without a metavar."""
        return self.name


DATA = InputPath("DIR", refuse_data, remote=True, as_text=True)
DATA_FOLDER = InputPath("DIR", refuse_data)
PART = InputPath("PARTS", refuse_part)
PREPARED = InputPath("DIR", refuse_unprepared)
MODEL = InputPath("MODEL", refuse_model)
RUN = InputPath("RUN", refuse_run)
LATENTS = InputPath("FILE.npy", refuse_latents)
RUN_FILE = InputPath("FILE", refuse_run_file)
IMAGE, LABEL_MAP, STYLE = (
    InputPath("PATH", refuse_other_than_images(flag))
    for flag in ("--image", "--label-map", "--style")
)


class EndpointUrl(click.ParamType):  # type: ignore[type-arg]
    """The address of a server, starting with http:// or https://."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address; one without a scheme is refused with the right one."""
        text = str(value).strip()
        if text.lower().startswith(("http://", "https://")):
            return text
        if "://" in text:
            self.fail(f"{text!r}: use http:// or https://.", param, ctx)
        return self.fail(
            f"{text!r} is not a server's address. Add http://: http://{text}.", param, ctx
        )


URL = EndpointUrl()


def check_output(path: Path, what: str = "--out") -> None:
    """Raise OutputError if a path cannot be written; nothing is left there."""
    try:
        check_writable(path)
    except OSError as cause:
        raise OutputError(
            f"{path} cannot be written: {(cause.strerror or str(cause)).lower()}.",
            f"Name another {what}, or check the permissions of {cause.filename or path}.",
        ) from cause
