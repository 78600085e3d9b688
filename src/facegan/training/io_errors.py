"""Turns a failed write into a RunError that names the file and the fix."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facegan.errors import RunError
from facegan.files import DISK_FULL


@contextmanager
def as_run_error(path: Path, hint: str = "") -> Iterator[None]:
    """Raise a RunError that names the path if a write within the block fails."""
    try:
        yield
    except OSError as cause:
        fix = "fix what lies there, or its permissions"
        if cause.errno in DISK_FULL:
            fix = "free some space"
        raise RunError(
            f"{path} cannot be written: {cause.strerror or cause}.",
            hint or f"Earlier checkpoints are intact: {fix}, then go on with --resume.",
        ) from cause
