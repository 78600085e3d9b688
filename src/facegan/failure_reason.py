"""Why a program failed, told so that its first thousand characters are enough for a person."""

import traceback
from pathlib import Path

from facegan.errors import FaceGANError

HOUSE = Path(__file__).parent
MAX_MESSAGE = 500  # of an exception's own text, so that what follows it is still read


def failure_reason(error: BaseException) -> str:
    """The reason to write where SageMaker shows 1,024 characters (``FailureReason``).

    Args:
        error: One of ours is its sentence and hint. Any other is a fault of this package: a
            sentence that names it and the line, and then the traceback.
    """
    if isinstance(error, FaceGANError):
        return str(error)
    message = " ".join(str(error).split())[:MAX_MESSAGE]
    sentence = f"facegan failed by a fault of its own, {place_of(error)}: {name_of(error)}"
    traced = "".join(traceback.format_exception(error))
    return f"{sentence}: {message}\n\n{traced}" if message else f"{sentence}\n\n{traced}"


def name_of(error: BaseException) -> str:
    """The exception's class, with its package where that is not Python itself."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def place_of(error: BaseException) -> str:
    """The innermost line of this package that the error came through; of any, where none is."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(HOUSE)]
    if not frames:
        return "outside of any function"
    frame = (ours or frames)[-1]
    file = Path(frame.filename)
    shown = file.relative_to(HOUSE.parent) if ours else file.name
    return f"at {shown}:{frame.lineno} in {frame.name}"
