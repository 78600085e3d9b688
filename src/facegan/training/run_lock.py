"""Keeps a run's folder to one trainer, by a lock that the kernel releases when its owner ends.

``RUN/.lock`` says who holds it: pid, host, since when. The lock itself is ``flock`` on that file,
so a file that a killed process has left behind locks nobody out, and neither does a copy of it.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from facegan.errors import OutputError, RunError
from facegan.files import check_writable, read_json
from facegan.training.io_errors import as_run_error

logger = logging.getLogger(__name__)

PLAN_NAME = "run.json"
LOCK_NAME = ".lock"
# Seconds to wait for an owner that is just ending: processes whose launcher was killed notice it
# within a few.
PATIENCE = 5.0
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)  # EACCES: SMB
NAME_ANOTHER = "Check its permissions, or name another --out."

held: set[int] = set()  # descriptors of this process, to be closed in its forked children


def forget_locks() -> None:
    """Close what a forked child has inherited: it owns nothing."""
    while held:
        os.close(held.pop())


os.register_at_fork(after_in_child=forget_locks)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Own a run's folder; it is made if it is missing, and removed again if nothing was put in it.

    Raises:
        RunError: another process owns it, which is named; or it cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with as_run_error(folder, NAME_ANOTHER):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = acquire(folder / LOCK_NAME)
        held.add(descriptor)
        try:
            yield
        finally:
            if descriptor in held:  # not in a forked child
                with contextlib.suppress(OSError):  # while it is locked: nobody else's is removed
                    (folder / LOCK_NAME).unlink()
                held.discard(descriptor)
                os.close(descriptor)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # it holds a run
                path.rmdir()


def refuse_if_locked(folder: Path) -> None:
    """Refuse a folder in which another trainer is at work now.

    Raises:
        RunError: it names the process.
    """
    refuse_other_lock(folder / LOCK_NAME)
    with contextlib.suppress(OSError), (folder / LOCK_NAME).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(folder) from None


def check_no_run(folder: Path) -> None:
    """Refuse a folder for a new run that already holds one.

    Raises:
        RunError: it does.
    """
    if (folder / PLAN_NAME).exists():
        raise RunError(
            f"{folder} already holds a run.",
            f"Continue it by `facegan train --out {shlex.quote(str(folder))} --resume`, name "
            "another --out, or delete the folder.",
        )


def check_empty(folder: Path) -> None:
    """Refuse a folder for a new run that holds anything but the lock.

    Raises:
        RunError: it already holds a run, or something else.
    """
    check_no_run(folder)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, not a folder.", "Name another --out.")
    if folder.exists() and any(path.name != LOCK_NAME for path in folder.iterdir()):
        raise RunError(f"{folder} exists and is not empty.", "Name another --out.")


def check_free(folder: Path) -> None:
    """Refuse a folder for a new run that is in use, taken, or cannot be written; needs no torch.

    Raises:
        RunError: somebody trains there, or it holds a run or something else.
        OutputError: it cannot be made or written.
    """
    try:
        refuse_if_locked(folder)
        check_empty(folder)
        check_writable(folder)
    except OSError as cause:
        told = (cause.strerror or str(cause)).lower()
        raise OutputError(
            f"{folder} cannot be written: {told}.",
            f"Name another --out, or check {cause.filename or folder}.",
        ) from cause


def in_use(folder: Path) -> RunError:
    """What is said where another process trains in a folder."""
    return RunError(
        f"{folder} is in use: {owner_of(folder / LOCK_NAME)} trains there.",
        "Wait for its end, stop it, or name another --out.",
    )


def refuse_other_lock(file: Path) -> None:
    """Refuse what lies in a lock's place and is none: a folder, a link, a pipe.

    Raises:
        RunError: it is.
    """
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise RunError(f"{file} is no file, so it is not the lock of a run.", "Delete it.")


def acquire(file: Path) -> int:
    """Lock a file and write down who holds it; its descriptor, open for as long as it is held.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    until = time.monotonic() + PATIENCE
    while True:
        refuse_other_lock(file)
        with as_run_error(file, NAME_ANOTHER):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            if lock(descriptor, file):
                with as_run_error(file, NAME_ANOTHER):
                    sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > until:
            raise in_use(file.parent)
        time.sleep(0.1)


def lock(descriptor: int, file: Path) -> bool:
    """Lock an open file where its file system can; False where another process has locked it.

    Whose record is in it already is logged.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno in TAKEN:
            return False
        last = f" The last one was {owner_of(file)}." if os.fstat(descriptor).st_size else ""
        logger.warning(
            "The file system of %s has no locks (%s): make sure that no second process trains "
            "there.%s",
            *(file.parent, cause.strerror, last),
        )
        return True
    try:
        is_there = os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        is_there = False
    if not is_there:  # its owner has just removed it; the next one is another file
        return False
    if os.fstat(descriptor).st_size:
        logger.warning(
            "%s was left by %s, which ended without leaving it (or this is a copy); going on.",
            *(file.parent, owner_of(file)),
        )
    return True


def sign(descriptor: int) -> None:
    """Write down who holds the lock."""
    record = {"pid": os.getpid(), "host": socket.gethostname(), "since": round(time.time(), 3)}
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode() + b"\n", 0)


def owner_of(file: Path) -> str:
    """The process that a lock's file names, for people."""
    try:
        record = read_json(file, 4096)
        pid, host, since = int(record["pid"]), str(record["host"])[:255], float(record["since"])
        age = timedelta(seconds=max(round(time.time() - since), 0))
        return f"pid {pid} on host {host!r} (since {datetime.fromtimestamp(since):%F %T}, {age})"
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return "another process"
