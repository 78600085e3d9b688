"""Notices that another process of a run is gone, also while this one waits for it in vain.

A process that waits in a collective hears nothing of a lost host: no packet says that none will
come. So each process tells a common store every second that it lives, from a thread of its own, and
hears there whether the others do and whether one has failed. What it hears ends this process too,
by force where the main thread is stuck.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable

from torch.distributed import DistError, Store

from facegan.errors import FaceGANError, PeerLost, first_line
from facegan.training.world import World

BEAT = 1.0  # seconds from one sign of life to the next
# Seconds, of a process that is then lost. Long work in C, or a stalled disk, may keep one from
# speaking: 20 were too few for two containers on a busy machine of two cores, in two of seven runs.
SILENCE = 60.0
SUSPICION = 4.0  # the same, once a broken connection says that somebody is gone
GRACE = 3.0  # for the main thread to end by itself
FAILURE = "failure"  # where the store keeps who ended the run, and why
GO_ON = "Start the run again with --resume: it goes on from its last checkpoint."


def beat_of(rank: int) -> str:
    """Where the store keeps a rank's signs of life."""
    return f"beat/{rank}"


def tell(store: Store, message: str, hint: str) -> None:
    """Let every process know why the run ends; the first to tell is believed."""
    store.compare_set(FAILURE, "", json.dumps([message, hint]))


def told(store: Store) -> PeerLost | None:
    """Why the run ends, where somebody has told."""
    return PeerLost(*json.loads(store.get(FAILURE))) if store.check([FAILURE]) else None


class Watch:
    """One process's signs of life, and its ear for those of the others.

    The first rank listens to all, the others to the first, which tells them what it has heard.

    Args:
        store: For this watch alone, because a call on it may take long; it holds every rank's beat.
        world: Who takes part.
        last_words: Called with the error before the process is ended by force; gives its exit code.
        launcher: The process without which this one is to end; None where there is none.
    """

    def __init__(
        self,
        store: Store,
        world: World,
        last_words: Callable[[FaceGANError], int],
        launcher: int | None,
    ) -> None:
        self.store, self.world, self.last_words = store, world, last_words
        self.launcher = launcher
        self.listens_to = list(range(world.size)) if world.leads else [0]
        self.heard: dict[int, tuple[bytes, float]] = {}  # a rank's last word, and when it was new
        self.answered = time.monotonic()  # when the store did so last
        self.silence = SILENCE
        self.error: PeerLost | None = None
        self.found, self.over = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=w, daemon=True) for w in (self.talk, self.guard)]

    def start(self) -> None:
        """Speak and listen from now on."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """The run has ended: speak and listen no more."""
        self.over.set()
        for thread in self.threads:  # one that Python ended inside torch would abort the process
            thread.join(GRACE)

    def announce(self, error: BaseException) -> None:
        """Tell the others why this process ends."""
        self.stop()
        message, hint = repr(error), ""
        if isinstance(error, FaceGANError):
            message, hint = error.message, error.hint
        name = self.world.name(self.world.rank)
        with contextlib.suppress(RuntimeError):  # the store went first
            tell(self.store, f"{name} failed: {message}", hint)

    def explain(self, error: BaseException) -> PeerLost | None:
        """Who is to blame for an error of this process; None where it is its own.

        A broken connection says that somebody is gone but not who: wait until it is heard. On a
        single host there is no need to: the launcher sees who is gone.
        """
        if isinstance(error, FaceGANError) or not isinstance(error, RuntimeError):
            return None
        if not (self.found.is_set() or is_broken_connection(error)):
            return None
        with contextlib.suppress(RuntimeError):
            self.listen()  # one that failed by itself has told before it went
        self.listens_to, self.silence = list(range(self.world.size)), SUSPICION
        if self.launcher is None or len(self.world.host_leaders) > 1:
            self.found.wait(SUSPICION + 5 * BEAT)
        return self.error or PeerLost(f"Another process was lost: {first_line(error)}", GO_ON)

    # --- the threads ------------------------------------------------------------------------------

    def talk(self) -> None:
        """Every second: live, and listen."""
        count = 0
        while not self.over.wait(BEAT):
            count += 1
            try:
                self.store.set(beat_of(self.world.rank), str(count))
                self.listen()
                self.answered = time.monotonic()
            except RuntimeError:  # nobody holds the store any more; the guard counts the seconds
                self.silence = SUSPICION

    def listen(self) -> None:
        """Hear of a failure, and whether those listened to still live."""
        if error := told(self.store):
            self.conclude(error)
            return
        now = time.monotonic()
        ranks = list(self.listens_to)
        for rank, word in zip(ranks, self.store.multi_get([*map(beat_of, ranks)]), strict=True):
            if rank not in self.heard or self.heard[rank][0] != word:
                self.heard[rank] = word, now
            elif now - self.heard[rank][1] > self.silence:
                tell(self.store, self.lost(rank), GO_ON)

    def lost(self, rank: int) -> str:
        """What to say of a rank that is no more heard of."""
        return f"{self.world.name(rank)} was lost: no sign of life for {self.silence:.0f} s."

    def guard(self) -> None:
        """End the process where the main thread does not: it may wait for one who is gone."""
        while not self.over.wait(BEAT):
            if time.monotonic() - self.answered > self.silence:
                self.conclude(PeerLost(self.lost(0), GO_ON))  # with the first rank went the store
            if self.launcher is not None and os.getppid() != self.launcher:
                self.conclude(PeerLost("The process that started this one is gone.", GO_ON))
            if self.error and not self.over.wait(GRACE):
                os._exit(self.last_words(self.error))

    def conclude(self, error: PeerLost) -> None:
        """The run is over for this process too."""
        self.error = self.error or error
        self.found.set()


def is_broken_connection(error: RuntimeError) -> bool:
    """Whether a collective ended because another process did: gloo and NCCL have words only."""
    words = ("onnection", "roken pipe", "gloo", "NCCL", "socket", "imed out")
    return isinstance(error, DistError) or any(word in str(error) for word in words)
