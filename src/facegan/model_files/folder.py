"""A model's files, in a folder or an archive: read whole, and written all or none."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from facegan.errors import ArtifactError, OutputError
from facegan.files import file_digest, write_all_aside
from facegan.model_files.archive import pack, read_archive
from facegan.model_files.card import CARD_NAME, WEIGHTS_NAME, ModelCard, parse_card

ARCHIVE_NAME = "model.tar.gz"


def read_card(source: Path | str) -> ModelCard:
    """The card of a model; its weights are not looked at.

    Raises:
        ArtifactError: it is missing, damaged or of a newer schema.
    """
    path = Path(source)
    return parse_card(read_files(path, [CARD_NAME])[CARD_NAME], path)


def read_files(source: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Some of a model's files by name; a folder with only a model.tar.gz is read through it.

    Raises:
        ArtifactError: one is missing or cannot be read, or the archive is damaged or hostile.
    """
    archive = source / ARCHIVE_NAME if source.is_dir() else source
    if source.is_dir() and ((source / CARD_NAME).exists() or not archive.is_file()):
        return {name: read_file(source / name) for name in names}
    if not archive.is_file():
        read_file(archive)  # raises, naming why
    files = read_archive(archive)
    wanted = tuple(names)
    for name in wanted:
        if name not in files:
            raise ArtifactError(f"{archive} holds no {name}.", "It was not packed by facegan.")
    return {name: files[name] for name in wanted}


def read_file(path: Path) -> bytes:
    """A file's bytes, or an error that names it."""
    try:
        return path.read_bytes()
    except OSError as cause:
        raise unreadable(path, cause) from cause


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    try:
        return file_digest(path)
    except OSError as cause:
        raise unreadable(path, cause) from cause


def unreadable(path: Path, cause: OSError) -> ArtifactError:
    """The error of a file that is missing or cannot be read."""
    return ArtifactError(
        f"{path} cannot be read: {cause.strerror}.",
        f"A model is a folder with {WEIGHTS_NAME} and {CARD_NAME}, or a {ARCHIVE_NAME} of one.",
    )


def copy_artifact(model_dir: Path | str, target: Path | str) -> None:
    """Copy a model's files into another folder, all or none.

    Raises:
        ArtifactError: the folder holds no model.
        OutputError: the other cannot be written.
    """
    files = read_files(Path(model_dir), read_card(model_dir).files)
    write({Path(target) / name: content for name, content in files.items()})


def pack_artifact(model_dir: Path | str, archive: Path | str) -> Path:
    """Make ``model.tar.gz`` of a model's folder; the same folder gives the same bytes.

    Raises:
        ArtifactError: the folder holds no model.
        OutputError: the archive cannot be written.
    """
    files = read_files(Path(model_dir), read_card(model_dir).files)
    write({Path(archive): pack(files)})
    return Path(archive)


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, all or none.

    Raises:
        OutputError: one cannot be written.
    """
    try:
        write_all_aside(contents)
    except OSError as cause:
        names = " and ".join(map(str, contents))
        raise OutputError(
            f"{names} cannot be written: {cause.strerror}.", "Free some space, or check the folder."
        ) from cause
