"""Formats why a program failed, so that the first thousand characters are enough for a person."""

import traceback
from pathlib import Path

from facegan.errors import FaceGANError

PACKAGE = Path(__file__).parent
MAX_MESSAGE = 500  # of an exception's own text, so that what follows it is still read


def failure_reason(error: BaseException) -> str:
    """Return the text for ``FailureReason``, of which SageMaker shows 1,024 characters.

    A FaceGANError is its message and hint. Any other is a bug: a sentence with the error and its
    line, then the traceback.
    """
    if isinstance(error, FaceGANError):
        return str(error)
    message = " ".join(str(error).split())[:MAX_MESSAGE]
    sentence = f"facegan failed because of a bug, {line_of(error)}: {name_of(error)}"
    traced = "".join(traceback.format_exception(error))
    return f"{sentence}: {message}\n\n{traced}" if message else f"{sentence}\n\n{traced}"


def name_of(error: BaseException) -> str:
    """Return the exception's class, with its module unless it is a builtin."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def line_of(error: BaseException) -> str:
    """Return the innermost line of this package in the traceback, or else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    if not frames:
        return "outside of any function"
    frame = (ours or frames)[-1]
    file = Path(frame.filename)
    shown = file.relative_to(PACKAGE.parent) if ours else file.name
    return f"at {shown}:{frame.lineno} in {frame.name}"
