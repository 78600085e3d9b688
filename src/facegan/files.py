"""A file is written whole or not at all: what every room that writes one relies on."""

import contextlib
import os
from pathlib import Path


def write_aside(path: Path, content: bytes) -> None:
    """Write a file aside in its own folder, wait until it is on the disk, then rename it.

    The folder is made if it is missing; a file of that name is replaced.

    Raises:
        OSError: it cannot be written (a full disk, a folder that is a file); no partial file stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
