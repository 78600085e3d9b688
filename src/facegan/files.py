"""A file is written whole or not at all, and known by its digest: what every room relies on."""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_aside(path: Path, content: bytes) -> None:
    """Write a file aside in its own folder, wait until it is on the disk, then rename it.

    The folder is made if it is missing; a file of that name is replaced.

    Raises:
        OSError: it cannot be written (a full disk, a folder that is a file); no partial file stays.
    """
    write_all_aside({path: content})


def check_writable(path: Path) -> None:
    """Try whether a file or folder can be made at a path, really; nothing is left behind.

    Raises:
        OSError: it cannot: no permission, a file on the way, a file system that is read-only.
    """
    folder = path if path.is_dir() else path.parent
    while not folder.is_dir():
        if folder.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as cause:
        raise type(cause)(cause.errno, cause.strerror, str(folder)) from None


def write_all_aside(contents: Mapping[Path, bytes]) -> None:
    """Write several files aside, and rename them only when all are on the disk.

    Raises:
        OSError: one cannot be written; none is replaced, and no partial file stays.
    """
    partials = {path: path.with_name(f".{path.name}.partial") for path in contents}
    try:
        for path, partial in partials.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(partial, contents[path])
        for path, partial in partials.items():
            os.replace(partial, path)
    finally:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
