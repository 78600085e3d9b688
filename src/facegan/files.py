"""Writes files atomically, and opens only regular files within size limits."""

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

JSON_BYTES = 2**24  # of a JSON file at most: ours are a thousandth of that
LOG_BYTES = 2**30  # of a run's metrics.jsonl at most
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # an OSError's errno


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it.

    The folder is created if it is missing; an existing file is replaced.

    Raises:
        OSError: it cannot be written (a full disk, a folder that is a file); no partial file stays.
    """
    write_all_atomic({path: content})


def check_writable(path: Path) -> None:
    """Check that a file or folder can be created at a path, by a temporary file.

    Raises:
        OSError: no permission, a file instead of a folder, a read-only file system.
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


def write_all_atomic(contents: Mapping[Path, bytes]) -> None:
    """Write several files under temporary names, and rename them once all are on the disk.

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
    """Write a file and flush it to the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_regular(
    path: Path, folder: Path | None = None, *, follows_links: bool = True
) -> BufferedReader:
    """Open a regular file for reading; never a pipe or a device.

    Args:
        path: The file.
        folder: Links must not lead out of this folder.
        follows_links: Whether it may be a symbolic link.

    Raises:
        OSError: it is missing, outside the folder, or not a regular file.
    """
    if not follows_links and path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    real = Path(os.path.realpath(path, strict=True))  # resolve() raises RuntimeError for loops
    if folder is not None and not real.is_relative_to(folder.resolve()):
        raise OSError(errno.EPERM, "it is a link that leads out of its folder", str(path))
    if not stat.S_ISREG(real.stat().st_mode):  # opening a device could have effects
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    stream = os.fdopen(os.open(real, flags | getattr(os, "O_BINARY", 0)), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # it was replaced meanwhile
        stream.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return stream


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file that is not a symbolic link.

    Args:
        path: The file.
        most: Its maximum size in bytes.

    Raises:
        OSError: it cannot be read, or is not a regular file.
        ValueError: it is larger.
    """
    with open_regular(path, follows_links=False) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, more than {most:,}")
        return stream.read(size)


def read_json(path: Path, most: int = JSON_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file; its values may still be of any type.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a JSON object; one line says why.
    """
    return parse_json(read_regular(path, most))


def parse_json(content: bytes | str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        ValueError: it is not UTF-8, not JSON, nested too deeply, or not an object.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        if not text.strip(" \t\r\n\0"):
            raise ValueError("it is empty")
        found = json.loads(text)
        if "\\ud" in text.lower():  # half a character could not be printed or written
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except UnicodeDecodeError as cause:
        raise ValueError(f"no UTF-8 at byte {cause.start}") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    return found
