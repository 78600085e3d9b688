"""Opens a model's file: a plain one, that lies where it says."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path, folder: Path | None = None) -> BinaryIO:
    """Open a plain file for reading.

    Args:
        path: The file; links are followed.
        folder: Where links must not lead out of.

    Raises:
        OSError: it is missing, elsewhere, or no plain file (a device, a pipe).
    """
    real = Path(os.path.realpath(path, strict=True))  # resolve() tells of loops by RuntimeError
    if folder is not None and not real.is_relative_to(folder.resolve()):
        raise OSError(errno.EPERM, "it is a link that leads out of the model's folder")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    if not stat.S_ISREG(real.stat().st_mode):  # opened, a device could do something
        raise OSError(errno.EINVAL, "it is not a regular file")
    descriptor = os.open(real, flags | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file
