"""Sends this process's heartbeat and monitors the others'.

A process that waits in a collective does not notice that another host is lost. So a thread of every
process writes a heartbeat to a common store each second, and reads whether the others are alive and
whether one has failed. If so, this process ends too; it is killed if the main thread is stuck.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable

from torch.distributed import DistError, Store

from facegan.errors import FaceGANError, PeerLost, first_line
from facegan.training.distributed.process_group import ProcessGroup

HEARTBEAT_SECONDS = 1.0
# A process without a heartbeat for so long is lost. Long work in C, or a stalled disk, may delay
# heartbeats: 20 s were too few for two containers on two busy cores, in two of seven runs.
TIMEOUT_SECONDS = 60.0
SUSPECT_SECONDS = 4.0  # the same, after a broken connection
GRACE_SECONDS = 3.0  # for the main thread to end by itself
FAILURE_KEY = "failure"  # holds the first failure's message and hint
RESUME_HINT = "Start the run again with --resume: it goes on from its last checkpoint."


def heartbeat_key(rank: int) -> str:
    """Return the store's key of a rank's heartbeat."""
    return f"beat/{rank}"


def report_failure(store: Store, message: str, hint: str) -> None:
    """Record why the run ends, unless a failure is recorded already."""
    store.compare_set(FAILURE_KEY, "", json.dumps([message, hint]))


def reported_failure(store: Store) -> PeerLost | None:
    """Return why the run ends, if that is recorded."""
    return PeerLost(*json.loads(store.get(FAILURE_KEY))) if store.check([FAILURE_KEY]) else None


class Watchdog:
    """One process's heartbeat, and its monitor of the others'.

    Rank 0 monitors every rank and reports failures to all; the others monitor rank 0.

    Args:
        store: Holds all heartbeats; used by the watchdog alone, because calls may take long.
        group: The processes of the run.
        on_fatal: Called with the error before this process is killed; returns the exit code.
        launcher: The process id of our launcher; this process ends if it is gone.
    """

    def __init__(
        self,
        store: Store,
        group: ProcessGroup,
        on_fatal: Callable[[FaceGANError], int],
        launcher: int | None,
    ) -> None:
        self.store, self.group, self.on_fatal = store, group, on_fatal
        self.launcher = launcher
        self.monitored = list(range(group.size)) if group.is_main_process else [0]
        self.last_beats: dict[int, tuple[bytes, float]] = {}  # rank: its beat, and when it changed
        self.store_answered = time.monotonic()
        self.timeout = TIMEOUT_SECONDS
        self.error: PeerLost | None = None
        self.failed, self.stopped = threading.Event(), threading.Event()
        loops = self.heartbeat_loop, self.kill_loop
        self.threads = [threading.Thread(target=loop, daemon=True) for loop in loops]

    def start(self) -> None:
        """Start both threads."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Stop both threads: the run has ended."""
        self.stopped.set()
        for thread in self.threads:  # a thread ended inside torch would abort the process
            thread.join(GRACE_SECONDS)

    def announce(self, error: BaseException) -> None:
        """Report to the other processes why this one ends."""
        self.stop()
        message, hint = repr(error), ""
        if isinstance(error, FaceGANError):
            message, hint = error.message, error.hint
        name = self.group.rank_name(self.group.rank)
        with contextlib.suppress(RuntimeError):  # the store is gone already
            report_failure(self.store, f"{name} failed: {message}", hint)

    def find_cause(self, error: BaseException) -> PeerLost | None:
        """Return which other process caused an error of this one; None: it is its own.

        A broken connection does not say which process is gone, so wait until its heartbeat is
        overdue. On a single host the launcher knows, and there is no need to wait.
        """
        if isinstance(error, FaceGANError) or not isinstance(error, RuntimeError):
            return None
        if not (self.failed.is_set() or is_broken_connection(error)):
            return None
        with contextlib.suppress(RuntimeError):
            self.check_others()  # a process that failed by itself has reported it
        self.monitored, self.timeout = list(range(self.group.size)), SUSPECT_SECONDS
        if self.launcher is None or len(self.group.local_main_ranks) > 1:
            self.failed.wait(SUSPECT_SECONDS + 5 * HEARTBEAT_SECONDS)
        return self.error or PeerLost(f"Another process was lost: {first_line(error)}", RESUME_HINT)

    def heartbeat_loop(self) -> None:
        """Send a heartbeat every second, and check the others'."""
        count = 0
        while not self.stopped.wait(HEARTBEAT_SECONDS):
            count += 1
            try:
                self.store.set(heartbeat_key(self.group.rank), str(count))
                self.check_others()
                self.store_answered = time.monotonic()
            except RuntimeError:  # the store is gone; the kill loop counts the seconds
                self.timeout = SUSPECT_SECONDS

    def check_others(self) -> None:
        """Read the recorded failure, and report ranks whose heartbeat is overdue."""
        if error := reported_failure(self.store):
            self.fail(error)
            return
        now = time.monotonic()
        ranks = list(self.monitored)
        beats = self.store.multi_get([*map(heartbeat_key, ranks)])
        for rank, beat in zip(ranks, beats, strict=True):
            if rank not in self.last_beats or self.last_beats[rank][0] != beat:
                self.last_beats[rank] = beat, now
            elif now - self.last_beats[rank][1] > self.timeout:
                report_failure(self.store, self.lost_message(rank), RESUME_HINT)

    def lost_message(self, rank: int) -> str:
        """Return the message for a rank whose heartbeat is overdue."""
        return f"{self.group.rank_name(rank)} was lost: no sign of life for {self.timeout:.0f} s."

    def kill_loop(self) -> None:
        """Kill this process after a failure if its main thread does not end: it may be stuck."""
        while not self.stopped.wait(HEARTBEAT_SECONDS):
            if time.monotonic() - self.store_answered > self.timeout:
                self.fail(PeerLost(self.lost_message(0), RESUME_HINT))  # rank 0 holds the store
            if self.launcher is not None and os.getppid() != self.launcher:
                self.fail(PeerLost("The process that started this one is gone.", RESUME_HINT))
            if self.error and not self.stopped.wait(GRACE_SECONDS):
                os._exit(self.on_fatal(self.error))

    def fail(self, error: PeerLost) -> None:
        """End the run for this process; the first error counts."""
        self.error = self.error or error
        self.failed.set()


def is_broken_connection(error: RuntimeError) -> bool:
    """Return whether a collective failed because another process ended.

    gloo and NCCL have no error type for it, only these words.
    """
    words = ("onnection", "roken pipe", "gloo", "NCCL", "socket", "imed out")
    return isinstance(error, DistError) or any(word in str(error) for word in words)
