"""Reads a model's files from a folder or an archive, and writes them all or none."""

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
    COPY_HINT,
    LIMITS,
    MAX_WEIGHTS_BYTES,
    missing_error,
    pack,
    read_archive,
    read_archive_card,
    read_archive_header,
)
from facegan.model_files.card import CARD_NAME, WEIGHTS_NAME, ModelCard, parse_card
from facegan.model_files.weights import WeightsHeader, read_header

ARCHIVE_NAME = "model.tar.gz"


def read_card(source: Path | str) -> ModelCard:
    """Return the card of a model; its weights are not read.

    Raises:
        ArtifactError: it is missing, damaged or of a newer schema.
    """
    path = Path(source)
    archive = find_archive(path)
    return parse_card(read_archive_card(archive) if archive else read_file(path / CARD_NAME), path)


def read_weights_header(source: Path | str) -> WeightsHeader:
    """Return the header of a model's weights."""
    path = Path(source)
    if archive := find_archive(path):
        return read_archive_header(archive)
    with open_model_file(path / WEIGHTS_NAME) as file:
        try:
            return read_header(file, os.fstat(file.fileno()).st_size)[0]
        except (ValueError, EOFError) as cause:
            raise ArtifactError(f"{path}: {first_line(cause)}.", COPY_HINT) from cause


def read_files(source: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return some of a model's files; a folder may hold them in a model.tar.gz."""
    wanted = tuple(names)
    archive = find_archive(source)
    if archive is None:
        return {name: read_file(source / name) for name in wanted}
    files = read_archive(archive, wanted)
    for name in wanted:
        if name not in files:
            raise missing_error(archive, name)
    return {name: files[name] for name in wanted}


def map_files(source: Path, names: Iterable[str]) -> dict[str, bytes | mmap.mmap]:
    """Return some of a model's files; those of a folder are memory-mapped."""
    if find_archive(source):
        return {**read_files(source, names)}
    return {name: map_file(source / name) for name in names}


def map_file(path: Path) -> bytes | mmap.mmap:
    """Map a model's file into memory."""
    with open_model_file(path) as file:
        is_empty = check_size(file, path) == 0  # which mmap refuses
        return b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def find_archive(source: Path) -> Path | None:
    """Return the archive that a model is read from; None if its files are in a folder."""
    if not source.is_dir():
        try:
            open_regular(source).close()
        except OSError as cause:
            raise read_error(source, cause) from cause
        return source
    archive = source / ARCHIVE_NAME
    return archive if archive.is_file() and not (source / CARD_NAME).exists() else None


def read_file(path: Path) -> bytes:
    """Return the bytes of a model's file."""
    with open_model_file(path) as file:
        return file.read(check_size(file, path))  # read(limit) would allocate as much


def check_size(file: BufferedReader, path: Path) -> int:
    """Return a model file's size; refuse one over its limit."""
    size, limit = os.fstat(file.fileno()).st_size, LIMITS.get(path.name, MAX_WEIGHTS_BYTES)
    if size > limit:
        raise ArtifactError(f"{path} has {size:,} bytes, over {limit:,}.", COPY_HINT)
    return size


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a model's file, read in chunks."""
    with open_model_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_model_file(path: Path) -> Iterator[BufferedReader]:
    """Open a plain file of a model's folder; links out of the folder are refused."""
    try:
        with open_regular(path, path.parent) as file:
            yield file
    except OSError as cause:
        raise read_error(path, cause) from cause


def read_error(path: Path, cause: OSError) -> ArtifactError:
    """Return the error of a file that is missing or cannot be read."""
    return ArtifactError(
        f"{path} cannot be read: {cause.strerror}.",
        f"A model is a folder with {WEIGHTS_NAME} and {CARD_NAME}, or a {ARCHIVE_NAME} of one.",
    )


def copy_artifact(model_dir: Path | str, target: Path | str) -> None:
    """Copy a model's files into another folder, all or none.

    Raises:
        ArtifactError: the folder has no model.
        OutputError: the target cannot be written.
    """
    files = read_files(Path(model_dir), read_card(model_dir).files)
    write({Path(target) / name: content for name, content in files.items()})


def pack_artifact(model_dir: Path | str, archive: Path | str) -> Path:
    """Pack a model's folder as ``model.tar.gz``; the same folder gives the same bytes.

    Raises:
        ArtifactError: the folder has no model.
        OutputError: the archive cannot be written.
    """
    files = read_files(Path(model_dir), read_card(model_dir).files)
    write({Path(archive): pack({CARD_NAME: files[CARD_NAME], **files})})  # the card is read first
    return Path(archive)


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, all or none; OutputError if one cannot be written."""
    try:
        write_all_atomic(contents)
    except OSError as cause:
        names = " and ".join(map(str, contents))
        raise OutputError(
            f"{names} cannot be written: {cause.strerror}.", "Free some space, or check the folder."
        ) from cause
