"""Locks a run's folder, so that one process at a time trains in it.

``RUN/.lock`` records the owner: pid, host and start time. The lock itself is ``flock`` on that
file, which the kernel releases when the process ends: a file left behind, or a copy, locks nothing.
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
# Processes whose launcher was killed notice it, and release the lock, within a few seconds.
WAIT_SECONDS = 5.0
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)  # EACCES: SMB
NAME_ANOTHER = "Check its permissions, or name another --out."

held: set[int] = set()  # descriptors of this process, to be closed in its forked children


def forget_locks() -> None:
    """Close the descriptors that a forked child has inherited: it does not own the locks."""
    while held:
        os.close(held.pop())


os.register_at_fork(after_in_child=forget_locks)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; create the folder, and remove it again if it stays empty.

    Raises:
        RunError: another process holds the lock, or the folder cannot be written.
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
                with contextlib.suppress(OSError):  # while locked, so it is ours
                    (folder / LOCK_NAME).unlink()
                held.discard(descriptor)
                os.close(descriptor)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()


def refuse_if_locked(folder: Path) -> None:
    """Raise RunError, naming the process, if another one trains in the folder."""
    refuse_other_lock(folder / LOCK_NAME)
    with contextlib.suppress(OSError), (folder / LOCK_NAME).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(folder) from None


def check_no_run(folder: Path) -> None:
    """Raise RunError if the folder already holds a run."""
    if (folder / PLAN_NAME).exists():
        raise RunError(
            f"{folder} already holds a run.",
            f"Continue it by `facegan train --out {shlex.quote(str(folder))} --resume`, name "
            "another --out, or delete the folder.",
        )


def check_empty(folder: Path) -> None:
    """Raise RunError if the folder holds anything but the lock."""
    check_no_run(folder)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file, not a folder.", "Name another --out.")
    if folder.exists() and any(path.name != LOCK_NAME for path in folder.iterdir()):
        raise RunError(f"{folder} exists and is not empty.", "Name another --out.")


def check_free(folder: Path) -> None:
    """Check that a folder can take a new run; needs no torch.

    Raises:
        RunError: another process trains there, or the folder is not empty.
        OutputError: it cannot be created or written.
    """
    try:
        refuse_if_locked(folder)
        check_empty(folder)
        check_writable(folder)
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise OutputError(
            f"{folder} cannot be written: {reason}.",
            f"Name another --out, or check {cause.filename or folder}.",
        ) from cause


def in_use(folder: Path) -> RunError:
    """Return the error for a folder in which another process trains."""
    return RunError(
        f"{folder} is in use: {owner_of(folder / LOCK_NAME)} trains there.",
        "Wait until it ends, stop it, or name another --out.",
    )


def refuse_other_lock(file: Path) -> None:
    """Raise RunError if the path of a lock is a folder, a link or a pipe."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise RunError(f"{file} is not a file, so it is not the lock of a run.", "Delete it.")


def acquire(file: Path) -> int:
    """Lock a file, record the owner in it, and return its open descriptor.

    Raises:
        RunError: another process holds the lock, or the file cannot be written.
    """
    until = time.monotonic() + WAIT_SECONDS
    while True:
        refuse_other_lock(file)
        with as_run_error(file, NAME_ANOTHER):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            if lock(descriptor, file):
                with as_run_error(file, NAME_ANOTHER):
                    record_owner(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > until:
            raise in_use(file.parent)
        time.sleep(0.1)


def lock(descriptor: int, file: Path) -> bool:
    """Lock an open file, if its file system has locks; return False if another process holds it.

    A previous owner's record is logged.
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
        is_current = os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        is_current = False
    if not is_current:  # its owner has just removed it; the next attempt creates another
        return False
    if os.fstat(descriptor).st_size:
        logger.warning(
            "%s was left by %s, which did not end normally (or this is a copy); continuing.",
            *(file.parent, owner_of(file)),
        )
    return True


def record_owner(descriptor: int) -> None:
    """Write this process's pid, host and time into the lock."""
    record = {"pid": os.getpid(), "host": socket.gethostname(), "since": round(time.time(), 3)}
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode() + b"\n", 0)


def owner_of(file: Path) -> str:
    """Describe the process that a lock's file names."""
    try:
        record = read_json(file, 4096)
        pid, host, since = int(record["pid"]), str(record["host"])[:255], float(record["since"])
        age = timedelta(seconds=max(round(time.time() - since), 0))
        return f"pid {pid} on host {host!r} (since {datetime.fromtimestamp(since):%F %T}, {age})"
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return "another process"
