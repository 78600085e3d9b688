"""What a run cannot write ends it with a sentence that names the file, never with a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facegan.errors import OutputError, RunError
from facegan.files import check_writable
from facegan.training.plan import PLAN_NAME

HINT = "Earlier checkpoints are intact: free some space, then go on with --resume."


@contextmanager
def writing(path: Path, hint: str = HINT) -> Iterator[None]:
    """Around every write of a file or folder of a run.

    Raises:
        RunError: the disk is full, the folder read-only, the file too large for a limit.
    """
    try:
        yield
    except OSError as cause:
        raise RunError(f"{path} cannot be written: {cause.strerror or cause}.", hint) from cause


def check_free(folder: Path) -> None:
    """Refuse a folder for a new run that is taken or cannot be written; needs no torch.

    Raises:
        RunError: it already holds a run, or something else.
        OutputError: it cannot be made or written.
    """
    try:
        if (folder / PLAN_NAME).exists():
            raise RunError(
                f"{folder} already holds a run.",
                "Go on with it by --resume, name another --out, or delete the folder.",
            )
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file, not a folder.", "Name another --out.")
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} exists and is not empty.", "Name another --out.")
        check_writable(folder)
    except OSError as cause:
        told = (cause.strerror or str(cause)).lower()
        raise OutputError(
            f"{folder} cannot be written: {told}.",
            f"Name another --out, or check {cause.filename or folder}.",
        ) from cause
