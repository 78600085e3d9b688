"""The file by which a process tells its launcher why it failed, or that it was stopped."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegan import errors
from facegan.errors import FaceGANError

STOPPED = "stopped"  # a file beside the error file


def note_stop(error_file: Path) -> None:
    """Record that this process was stopped gently, which is not a failure."""
    error_file.with_name(STOPPED).touch()


def write_error(file: Path, error: FaceGANError) -> None:
    """Write an error where torch's elastic agent looks for it, in the form that it reads."""
    now = time.time()
    facts = {"kind": type(error).__name__, "hint": error.hint, "moment": now, "timestamp": now}
    file.write_text(json.dumps({"message": {"message": error.message, "extraInfo": facts}}))


def error_from(message: Mapping[str, Any]) -> tuple[FaceGANError, float]:
    """Return the error that :func:`write_error` wrote, and when it did."""
    facts = message["extraInfo"]
    return getattr(errors, facts["kind"])(message["message"], facts["hint"]), facts["moment"]
