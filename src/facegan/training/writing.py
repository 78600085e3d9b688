"""What a run cannot write ends it with a sentence that names the file, never with a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facegan.errors import RunError

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
