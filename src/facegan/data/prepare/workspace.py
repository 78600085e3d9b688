"""The folder a data set is made in: whose it is, whether it is there already, who works on it."""

import contextlib
import errno
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facegan.data.prepare.packed_format import MANIFEST
from facegan.data.prepare.writer import STATE
from facegan.errors import DatasetError, OutputError
from facegan.files import write_atomic

PLAN = "plan.json"
HARMLESS = {STATE, "lost+found"}  # the second is on every new ext4 volume
FOLDER_HINT = "Name another folder, or remove this one first."


def find_finished(out: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of this very data set, if it is there already; None where it is to be made.

    Raises:
        DatasetError: the folder holds something else, or a part of another data set.
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
        check_same_plan(out, "holds the beginning of another data set", begun_as, plan)
    elif out.is_dir() and any(child.name not in HARMLESS for child in out.iterdir()):
        raise DatasetError(f"{out} is not empty.", FOLDER_HINT)
    return None


def check_same_plan(out: Path, problem: str, found: dict[str, Any], plan: dict[str, Any]) -> None:
    """Say in what two plans differ, if they do."""
    for name in (*plan, *(name for name in found if name not in plan)):
        if found.get(name) != plan.get(name):
            there, here = found.get(name), plan.get(name)
            raise DatasetError(
                f"{out} {problem}: {name} is {there!r} there, and {here!r} here.",
                FOLDER_HINT,
            )


def read_json(path: Path) -> dict[str, Any]:
    """A file of ours; empty where it is not one."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


@contextlib.contextmanager
def locked_folder(out: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Hold a folder for one process, and say of a disk's errors what to do.

    Raises:
        DatasetError: another process works there, the disk is full, or the folder is read-only.
    """
    try:
        (out / STATE).mkdir(parents=True, exist_ok=True)
        with (out / STATE / "lock").open("wb") as lock:
            if not take(lock.fileno()):
                raise DatasetError(f"Another process prepares {out}.", "Wait for it, or stop it.")
            write_atomic(out / STATE / PLAN, json.dumps(plan).encode())
            yield
    except sqlite3.Error as cause:
        raise DatasetError(
            f"The temporary folder cannot hold the list of images seen: {cause}.",
            "Name another by the variable SQLITE_TMPDIR, then repeat the command.",
        ) from cause
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatasetError(
                f"The disk of {out} is full.",
                "Free some space, then repeat the command: finished shards are kept.",
            ) from cause
        raise OutputError(f"{out} cannot be written: {cause.strerror or cause}.") from cause


def remove_leftovers(out: Path) -> None:
    """Leave nothing of a data set that came to nothing."""
    shutil.rmtree(out / STATE, ignore_errors=True)
    for empty in (out / "images", out):
        with contextlib.suppress(OSError):  # a folder that was there before, or is not
            empty.rmdir()


def take(descriptor: int) -> bool:
    """Whether a file could be locked; it stays so until the process ends, however it does."""
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
