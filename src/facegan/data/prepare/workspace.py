"""The output folder of a data set: checks what it holds, and locks it for one process."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facegan.data.prepare.packed_format import MANIFEST
from facegan.data.prepare.writer import STATE
from facegan.errors import DatasetError, FaceGANError, OutputError
from facegan.files import DISK_FULL, write_atomic

PLAN = "plan.json"
HARMLESS = {STATE, "lost+found"}  # the second is on every new ext4 volume
FOLDER_HINT = "Name another folder, or remove this one first."


def find_finished(out: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """Return the manifest if the folder already holds this data set; None if it must be made.

    Raises:
        DatasetError: the folder holds something else, or another unfinished data set.
    """
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file.", "Name a folder.")
    if (out / MANIFEST).exists():
        manifest = read_json(out / MANIFEST)
        made_as = {"resolution": manifest.get("resolution"), **manifest.get("protocol", {})}
        check_same_plan(out, "holds another data set", made_as, plan)
        return manifest
    if (out / STATE / PLAN).exists():
        begun_as = read_json(out / STATE / PLAN)
        check_same_plan(out, "holds another, unfinished data set", begun_as, plan)
    elif out.is_dir() and any(child.name not in HARMLESS for child in out.iterdir()):
        raise DatasetError(f"{out} is not empty.", FOLDER_HINT)
    return None


def check_same_plan(out: Path, problem: str, found: dict[str, Any], plan: dict[str, Any]) -> None:
    """Raise DatasetError if two plans differ, naming the first difference."""
    for name in (*plan, *(name for name in found if name not in plan)):
        existing, requested = found.get(name), plan.get(name)
        if existing != requested:
            raise DatasetError(
                f"{out} {problem}: its {name} is {existing!r}, not {requested!r}.", FOLDER_HINT
            )


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


@contextlib.contextmanager
def locked_folder(out: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Lock a folder for one process, and turn errors of the disk into ours.

    Raises:
        DatasetError: another process works there, the disk is full, or the folder is read-only.
    """
    try:
        (out / STATE).mkdir(parents=True, exist_ok=True)
        with (out / STATE / "lock").open("wb") as lock:
            if not try_lock(lock.fileno()):
                raise DatasetError(
                    f"Another process is preparing {out}.", "Wait for it, or stop it."
                )
            write_atomic(out / STATE / PLAN, json.dumps(plan).encode())
            yield
    except sqlite3.Error as cause:
        raise DatasetError(
            f"The temporary folder cannot hold the list of images seen: {cause}.",
            "Set SQLITE_TMPDIR to another folder, then repeat the command.",
        ) from cause
    except OSError as cause:
        hint = "then repeat the command: finished shards are kept."
        raise write_error(out, cause, hint) from cause


def write_error(out: Path, cause: OSError, hint: str) -> FaceGANError:
    """Return the error for a data set's folder that cannot be written."""
    if cause.errno in DISK_FULL:
        return DatasetError(
            f"The disk is full: {out} could not be completed.", f"Free some space, {hint}"
        )
    return OutputError(f"{out} cannot be written: {cause.strerror or cause}.")


def remove_leftovers(out: Path) -> None:
    """Delete what a data set without images has left in its folder."""
    shutil.rmtree(out / STATE, ignore_errors=True)
    for empty in (out / "images", out):
        with contextlib.suppress(OSError):  # it has other content, or does not exist
            empty.rmdir()


def try_lock(descriptor: int) -> bool:
    """Lock a file until the process ends; return False if another process holds the lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
