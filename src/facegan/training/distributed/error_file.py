"""The files in which a process reports its failure, or that it was stopped, to its launcher."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegan import errors
from facegan.errors import FaceGANError

STOPPED = "stopped"  # a file beside the error file


def note_stop(error_file: Path) -> None:
    """Record that this process was stopped, which is not a failure."""
    error_file.with_name(STOPPED).touch()


def write_error(file: Path, error: FaceGANError) -> None:
    """Write an error in the format of torch's elastic agent."""
    now = time.time()
    facts = {"kind": type(error).__name__, "hint": error.hint, "moment": now, "timestamp": now}
    file.write_text(json.dumps({"message": {"message": error.message, "extraInfo": facts}}))


def error_from(message: Mapping[str, Any]) -> tuple[FaceGANError, float]:
    """Return the error that :func:`write_error` wrote, and its time."""
    facts = message["extraInfo"]
    return getattr(errors, facts["kind"])(message["message"], facts["hint"]), facts["moment"]
