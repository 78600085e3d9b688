"""Checks the paths on a command line before anything is imported: what was found, what to run next.

Each command names the kind of path that it takes (``DATA``, ``MODEL`` …) as click's type. What is
clearly something else is refused here, with the command that takes it. What can only be told by
reading it whole is told by its reader.
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
    """Refuse what `facegan data prepare` cannot take: it takes archives too.

    Raises:
        DatasetError: it says what was found there, and the next command.
    """
    is_celeba = found.inside is not None and found.inside.name == "img_align_celeba.zip"
    # A data set may be one of plain images, which the reader of manifests knows.
    known = ("zip", "tar", "images", "data set", "data set below")
    if found.kind not in known and not is_celeba:
        refuse_data(found, wanted="a folder or an archive of images")


def check_source(source: str | None) -> None:
    """Refuse a path that is not a source of images; addresses on S3 and words are passed over.

    Raises:
        DatasetError: it says what was found there, and the next command.
    """
    if source is not None and source != "split" and not source.startswith(S3):
        refuse_source(describe_path(source))


def refuse_unprepared(found: PathInfo) -> None:
    """Refuse what is no data set that `facegan data` wrote.

    Raises:
        DatasetError: it says what was found there, and the next command.
    """
    if found.kind != "data set":
        raise not_prepared_error(found)


def refuse_part(found: PathInfo) -> None:
    """Refuse what is no part of a data set; a folder of parts stands for all in it.

    Raises:
        DatasetError: it says what was found there, and the next command.
    """
    if found.kind != "data set below" or not any(found.path.glob("*/dataset.json")):
        refuse_unprepared(found)


def refuse_model(found: PathInfo) -> None:
    """Refuse what is no model; an archive is opened by its reader.

    Raises:
        ArtifactError: it says what was found there, and the next command.
    """
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
    """Refuse a path that is not a run's folder.

    Raises:
        RunError: it says what was found there, and the next command.
    """
    if found.kind in ("run", "unfinished run"):
        return
    parent = found.path.absolute().parent
    if found.kind == "missing":
        raise RunError(
            f"{found.path} does not exist, so it is not a run.",
            similar_path(found.path) or "Name the folder that was given to facegan train as --out.",
        )
    if found.kind == "unreadable":
        raise RunError(f"{found.path} cannot be read: {found.text}.", "Check its permissions.")
    if (parent / "run.json").is_file():
        hint = f"Name the folder of the run: {shlex.quote(str(parent))}."
    elif found.kind in ("runs", "data set"):
        hint = next_command(found)
    else:
        hint = "Name the folder that was given to facegan train as --out."
    raise RunError(f"{found.path} is {found.text}; it holds no run (no run.json).", hint)


def refuse_latents(found: PathInfo) -> None:
    """Refuse what is no .npy file.

    Raises:
        ConfigError: it says what was found there.
    """
    if found.kind == "npy":
        return
    what = {"missing": "does not exist", "unreadable": f"cannot be read: {found.text}"}
    raise ConfigError(
        f"--latents {found.path} {what.get(found.kind, f'is {found.text}, no .npy file')}.",
        similar_path(found.path)
        if found.kind == "missing"
        else "Latents are what numpy.save writes of an array (N, width), one row per image.",
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
    # TOML may begin as JSON does, with a bracket. What is in it, its reader says.
    is_text = found.kind == "json" and found.path.suffix != ".json"
    if is_text or found.kind in ("text", "empty file"):
        return
    init = f"Write one: facegan init --out {shlex.quote(str(found.path))}"
    if found.kind == "missing":
        hint = similar_path(found.path) or init
        raise RunFileError(f"--config {found.path} does not exist.", hint)
    if found.kind == "unreadable":
        raise RunFileError(f"{found.path} cannot be read: {found.text}.", "Check its permissions.")
    hint = (
        "Settings of a run are in a run.toml: `facegan init` writes one, and every run keeps one."
    )
    raise RunFileError(f"{found.path} is {found.text}, not a run.toml.", hint)


class InputPath(click.ParamType):  # type: ignore[type-arg]
    """A path on the command line that is refused where something else lies there.

    Args:
        name: click's name of the type.
        refuse: Raises the error.
        remote: Whether an s3:// address may stand for it.
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
        """The path; whatever else lies there is refused."""
        if self.remote and str(value).startswith(S3):
            return value
        self.refuse(describe_path(value))
        return str(value) if self.as_text else Path(value)

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        """What stands for it in the help where the option names nothing."""
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
    """A server's address, with http:// or https:// before it."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address; one without a scheme is refused with the one that works."""
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
    """Refuse an output that cannot be written, before work is done for it; nothing is left there.

    Raises:
        OutputError: it says why.
    """
    try:
        check_writable(path)
    except OSError as cause:
        raise OutputError(
            f"{path} cannot be written: {(cause.strerror or str(cause)).lower()}.",
            f"Name another {what}, or check the permissions of {cause.filename or path}.",
        ) from cause
