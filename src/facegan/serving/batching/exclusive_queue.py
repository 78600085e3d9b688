"""Runs custom code, and parses large bodies, for one caller at a time; refuses more than can wait.

A body of megabytes is parsed in one call that holds the GIL: with several at a time, no other
thread would run, not even that of ``/ping``. So they take turns, with pauses.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from facegan.errors import DeadlineMissed, Overloaded
from facegan.serving.batching.batcher import STUCK_SECONDS
from facegan.serving.batching.deadline import Deadline

LARGE_BYTES = 64 * 1024  # a smaller body is parsed within a millisecond or two
MAX_PARSING = 8  # large bodies, with those that wait for their turn
MAX_DECODING = 64  # requests with large images, likewise; they only hold a body while they wait
MAX_PAUSE_SECONDS = 0.1


class ExclusiveQueue:
    """A lock with a bounded queue.

    Args:
        max_callers: Callers that hold the lock or wait for it.
    """

    def __init__(self, max_callers: int) -> None:
        self.max_callers = max_callers
        self.callers = 0
        self.counting, self.inside = threading.Lock(), threading.Lock()
        self.began: float | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the lock has not been held for longer than anything takes."""
        began = self.began
        return began is None or time.monotonic() - began < STUCK_SECONDS

    @contextlib.contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Hold the lock for a block.

        Raises:
            Overloaded: too many wait.
            DeadlineMissed: the turn did not come in time, or the client has disconnected.
        """
        with self.counting:
            if self.callers >= self.max_callers:
                raise Overloaded(f"The server is busy: {self.callers} requests wait.", "Retry.")
            self.callers += 1
        try:
            self.enter(deadline)
            try:
                yield
            finally:
                self.began = None
                self.inside.release()
        finally:
            with self.counting:
                self.callers -= 1

    def enter(self, deadline: Deadline) -> None:
        """Wait for the lock."""
        if not self.inside.acquire(timeout=deadline.seconds_left):
            raise DeadlineMissed("The request's turn did not come in time.", "Retry.")
        self.began = time.monotonic()
        if deadline.is_connected is not None and not deadline.is_connected():
            self.began = None
            self.inside.release()
            raise DeadlineMissed("The caller has hung up.")


LARGE_BODIES = ExclusiveQueue(MAX_PARSING)  # of all models of this process
LARGE_IMAGES = ExclusiveQueue(MAX_DECODING)  # whose pixels take memory while they are decoded


@contextlib.contextmanager
def parsing(size: int, deadline: Deadline) -> Iterator[None]:
    """Parse a body: a large one alone, with a pause after it, so that other threads can run."""
    if size < LARGE_BYTES:
        yield
        return
    with LARGE_BODIES.turn(deadline):
        began = time.monotonic()
        try:
            yield
        finally:
            time.sleep(min(MAX_PAUSE_SECONDS, time.monotonic() - began))
