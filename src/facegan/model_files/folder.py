"""A model's files, in a folder or an archive: read whole, and written all or none."""

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from facegan.errors import ArtifactError, OutputError, first_line
from facegan.files import open_regular, write_all_atomic
from facegan.model_files.archive import (
    AGAIN,
    LIMITS,
    MAX_WEIGHTS_BYTES,
    card_in,
    header_in,
    lacks,
    pack,
    read_archive,
)
from facegan.model_files.card import CARD_NAME, WEIGHTS_NAME, ModelCard, parse_card
from facegan.model_files.weights import WeightsHeader, read_header

ARCHIVE_NAME = "model.tar.gz"


def read_card(source: Path | str) -> ModelCard:
    """Return the card of a model; its weights are not looked at.

    Raises:
        ArtifactError: it is missing, damaged or of a newer schema.
    """
    path = Path(source)
    archive = archive_of(path)
    return parse_card(card_in(archive) if archive else read_file(path / CARD_NAME), path)


def read_weights_header(source: Path | str) -> WeightsHeader:
    """Return what a model's weights say that they are, without reading them.

    Raises:
        ArtifactError: they are missing, or not a file of weights.
    """
    path = Path(source)
    if archive := archive_of(path):
        return header_in(archive)
    with opened_file(path / WEIGHTS_NAME) as file:
        try:
            return read_header(file, os.fstat(file.fileno()).st_size)[0]
        except (ValueError, EOFError) as cause:
            raise ArtifactError(f"{path}: {first_line(cause)}.", AGAIN) from cause


def read_files(source: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return some of a model's files by name; a folder with only a model.tar.gz is read through it.

    Raises:
        ArtifactError: one is missing or cannot be read, or the archive is damaged or hostile.
    """
    wanted = tuple(names)
    archive = archive_of(source)
    if archive is None:
        return {name: read_file(source / name) for name in wanted}
    files = read_archive(archive, wanted)
    for name in wanted:
        if name not in files:
            raise lacks(archive, name)
    return {name: files[name] for name in wanted}


def map_files(source: Path, names: Iterable[str]) -> dict[str, bytes | mmap.mmap]:
    """Return some of a model's files; a folder's are mapped, and take memory where they are read.

    Raises:
        ArtifactError: as :func:`read_files`.
    """
    if archive_of(source):
        return {**read_files(source, names)}
    return {name: map_file(source / name) for name in names}


def map_file(path: Path) -> bytes | mmap.mmap:
    """Return a model's file, mapped.

    Raises:
        ArtifactError: as :func:`read_file`.
    """
    with opened_file(path) as file:
        is_empty = size_within_limit(file, path) == 0  # that cannot be mapped
        return b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def archive_of(source: Path) -> Path | None:
    """Return the archive that a model is read from; None where its files lie in a folder.

    Raises:
        ArtifactError: there is neither.
    """
    if not source.is_dir():
        try:
            open_regular(source).close()
        except OSError as cause:
            raise unreadable(source, cause) from cause
        return source
    archive = source / ARCHIVE_NAME
    return archive if archive.is_file() and not (source / CARD_NAME).exists() else None


def read_file(path: Path) -> bytes:
    """Return the bytes of a model's file.

    Raises:
        ArtifactError: it is missing, too large, not a plain file, or a link out of its folder.
    """
    with opened_file(path) as file:
        return file.read(size_within_limit(file, path))  # read(limit) would allocate as much


def size_within_limit(file: BufferedReader, path: Path) -> int:
    """Return how many bytes a model's file has.

    Raises:
        ArtifactError: they are too many.
    """
    size, limit = os.fstat(file.fileno()).st_size, LIMITS.get(path.name, MAX_WEIGHTS_BYTES)
    if size > limit:
        raise ArtifactError(f"{path} has {size:,} bytes, over {limit:,}.", AGAIN)
    return size


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a model's file, read in pieces.

    Raises:
        ArtifactError: it is missing, not a plain file, or a link out of its folder.
    """
    with opened_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened_file(path: Path) -> Iterator[BufferedReader]:
    """Yield a file in a model's folder, open for reading.

    Raises:
        ArtifactError: it is missing, not a plain file, or a link out of its folder.
    """
    try:
        with open_regular(path, path.parent) as file:
            yield file
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
    write({Path(archive): pack({CARD_NAME: files[CARD_NAME], **files})})  # the card is read first
    return Path(archive)


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, all or none.

    Raises:
        OutputError: one cannot be written.
    """
    try:
        write_all_atomic(contents)
    except OSError as cause:
        names = " and ".join(map(str, contents))
        raise OutputError(
            f"{names} cannot be written: {cause.strerror}.", "Free some space, or check the folder."
        ) from cause
