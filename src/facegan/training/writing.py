"""What a run cannot write ends it with a sentence that names the file, never with a traceback."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facegan.errors import RunError

INTACT = "Earlier checkpoints are intact: {}, then go on with --resume."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(path: Path, hint: str = "") -> Iterator[None]:
    """Around every write of a file or folder of a run.

    Raises:
        RunError: the disk is full, the folder read-only, the file too large for a limit.
    """
    try:
        yield
    except OSError as cause:
        mend = (
            "free some space" if cause.errno in FULL else "mend what lies there, or its permissions"
        )
        told = f"{path} cannot be written: {cause.strerror or cause}."
        raise RunError(told, hint or INTACT.format(mend)) from cause
