"""Gathers the wishes of many callers into batches for one model, and gives each its own images.

A model's threads compute, one or a few; callers wait. While batches are drawn the next one gathers,
so a lone caller waits for nobody and batches grow by themselves as load does: no timer, nothing to
tune. Large wishes are drawn in slices, and whoever comes in between is served in between.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facegan.errors import DeadlineMissed, Draining, FaceGANError, Overloaded, RequestError
from facegan.synthesis import LatentBatch

log = logging.getLogger(__name__)

Images = npt.NDArray[np.uint8]  # (N, H, W, 3)
STUCK_SECONDS = 60.0  # a batch that takes longer never ends
RETRY_SECONDS = 1.0  # the shortest wait that is advised


class BatchObserver(Protocol):
    """Whoever counts what a batcher does; called from its thread and from callers'."""

    def queued(self, images: int) -> None:
        """So many images wait now."""

    def batch(self, images: int, seconds: float) -> None:
        """So many were drawn together, in so long."""

    def drawn(self, waited_seconds: float, seconds: float) -> None:
        """A caller's wish was drawn: how long it waited, and how long it took from then on.

        Called on the caller's own thread.
        """

    def rejected(self, reason: str) -> None:
        """A wish was not taken, or was dropped: overload, deadline, draining or gone."""


class Unobserved:
    """Counts nothing."""

    def queued(self, images: int) -> None: ...

    def batch(self, images: int, seconds: float) -> None: ...

    def drawn(self, waited_seconds: float, seconds: float) -> None: ...

    def rejected(self, reason: str) -> None: ...


@dataclass(eq=False)
class Job:
    """One caller's wish."""

    batch: LatentBatch
    deadline: float  # of time.monotonic()
    is_wanted: Callable[[], bool]
    began: int = 0  # samples that were given to the model
    parts: dict[int, Images] = field(default_factory=dict)  # that came back, by their first row
    error: Exception | None = None
    entered: float = field(default_factory=time.monotonic)
    first_taken: float = 0.0  # by the model, likewise of time.monotonic()
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> int:
        """Return how many samples have not been started."""
        return len(self.batch) - self.began

    @property
    def is_drawn(self) -> bool:
        """Whether all images have come back."""
        return sum(map(len, self.parts.values())) == len(self.batch)

    @property
    def images(self) -> Images:
        """What was drawn, in the order of the samples."""
        parts = [self.parts[start] for start in sorted(self.parts)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def end(self, error: Exception | None = None) -> None:
        """Let the caller go on."""
        self.error = error
        self.over.set()


@dataclass(frozen=True)
class Part:
    """Part of a job's samples, from `start` on."""

    job: Job
    start: int
    batch: LatentBatch


class Hand:
    """One thread that draws, and when its batch began."""

    def __init__(self, work: Callable[["Hand"], None], number: int) -> None:
        self.began: float | None = None
        self.thread = threading.Thread(
            target=work, args=(self,), name=f"model-{number}", daemon=True
        )

    @property
    def is_healthy(self) -> bool:
        """Whether its thread lives, and is not stuck in a batch."""
        began = self.began
        is_stuck = began is not None and time.monotonic() - began > STUCK_SECONDS
        return self.thread.is_alive() and not is_stuck


class Batcher:
    """Draws for many callers on threads of its own.

    Args:
        draw: A batch of one kind → uint8 images (N, H, W, 3); called by `hands` threads.
        most: The largest batch, in images.
        hands: How many batches may be drawn at the same time.
        max_images: How many may wait; one wish is taken even if it is larger, when nobody waits.
        max_jobs: How many callers may wait.
        observer: Is told what happens.
    """

    def __init__(
        self,
        draw: Callable[[LatentBatch], Images],
        *,
        most: int = 16,
        hands: int = 1,
        max_images: int = 512,
        max_jobs: int = 64,
        observer: BatchObserver | None = None,
    ) -> None:
        self.draw_batch, self.most = draw, most
        self.max_images, self.max_jobs = max_images, max_jobs
        self.observer = observer or Unobserved()
        self.jobs: deque[Job] = deque()
        self.waiting = self.under_way = 0  # images; callers, those being drawn for included
        self.images_per_second = 0.0  # of late
        self.refused = 0  # images of the last wish that found no room, until one finds some
        self.is_closing = False
        self.changed = threading.Condition()
        self.hands = [Hand(self.work, number) for number in range(hands)]
        for hand in self.hands:
            hand.thread.start()

    # --- for callers ----------------------------------------------------------------------------

    def draw(
        self, batch: LatentBatch, deadline: float, is_wanted: Callable[[], bool] = lambda: True
    ) -> Images:
        """Draw N ≥ 1 images, batched with other callers'; blocks until it is done.

        Args:
            batch: Of one kind.
            deadline: By ``time.monotonic()``; nothing is drawn for a caller after it.
            is_wanted: Asked before work is done for the caller; False once it has hung up.

        Returns:
            uint8 images (N, H, W, 3).

        Raises:
            Overloaded: too much waits already, or more than can be drawn before the deadline.
            DeadlineMissed: it could not be drawn in time.
            Draining: the batcher has been closed.
        """
        job = Job(batch, deadline, is_wanted)
        self.enter(job)
        try:
            if not job.over.wait(seconds_until(deadline)):
                self.drop(job, DeadlineMissed("The images were not drawn in time.", "Ask again."))
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()
        if job.error is not None:
            raise job.error
        waited, now = job.first_taken - job.entered, time.monotonic()
        self.observer.drawn(waited, now - job.first_taken)
        return job.images

    def enter(self, job: Job) -> None:
        """Take a job, or refuse it at once."""
        with self.changed:
            refusal = self.refusal_of(job)
            self.refused = len(job.batch) if isinstance(refusal, Overloaded) else 0
            if refusal is None:
                self.jobs.append(job)
                self.waiting += len(job.batch)
                self.under_way += 1
                self.changed.notify()
            waiting = self.waiting
        if refusal is not None:
            self.observer.rejected("draining" if isinstance(refusal, Draining) else "overload")
            raise refusal
        self.observer.queued(waiting)

    def refusal_of(self, job: Job) -> FaceGANError | None:
        """Why a job is not taken; None if it is."""
        if self.is_closing or not self.is_alive:
            return Draining("The server is about to end.", "Ask again in a few seconds.")
        if self.is_full(len(job.batch)) or time.monotonic() + self.seconds_for(job) > job.deadline:
            wait = self.advised_seconds()
            return Overloaded(
                f"The server is busy: {self.waiting} images wait.",
                f"Ask again in {wait:.0f} s.",
                retry_seconds=wait,
            )
        return None

    def is_full(self, images: int) -> bool:
        """Whether there is no room for so many more."""
        is_too_much = self.waiting > 0 and self.waiting + images > self.max_images
        return self.under_way >= self.max_jobs or is_too_much

    def busy_seconds(self) -> float | None:
        """How long the next caller should stay away, before its wish is read; None: it may come.

        Once a wish found no room, others like it need not be read to know that there is none: that
        takes longer than to draw an image, and an overloaded server does it all the time.
        """
        return self.advised_seconds() if self.is_full(max(1, self.refused)) else None

    def advised_seconds(self) -> float:
        """How long to stay away: until what waits is drawn."""
        speed = self.images_per_second
        return max(RETRY_SECONDS, self.waiting / speed if speed else 0.0)

    def seconds_for(self, job: Job) -> float:
        """How long a job would take, with all that waits before it."""
        speed = self.images_per_second
        return (self.waiting + len(job.batch)) / speed if speed else 0.0

    def drop(self, job: Job, error: FaceGANError) -> None:
        """Forget a job whose caller waits no longer."""
        with self.changed:
            if job in self.jobs:
                self.jobs.remove(job)
                self.waiting -= job.left
            if not job.over.is_set():
                job.end(error)
                self.observer.rejected("deadline")

    @property
    def is_alive(self) -> bool:
        """Whether any of the model's threads lives."""
        return any(hand.thread.is_alive() for hand in self.hands)

    @property
    def is_healthy(self) -> bool:
        """Whether all of the model's threads live, and none is stuck in a batch."""
        return all(hand.is_healthy for hand in self.hands)

    def close(self, seconds: float = 20.0) -> bool:
        """Take nothing more, and draw what was accepted; whether that was done in time."""
        ends = time.monotonic() + seconds
        with self.changed:
            self.is_closing = True
            self.changed.notify_all()
            while self.under_way and (left := ends - time.monotonic()) > 0:
                self.changed.wait(left)
            is_done = not self.under_way
        for hand in self.hands:
            hand.thread.join(max(0.0, ends - time.monotonic()))
        return is_done

    # --- the model's threads --------------------------------------------------------------------

    def work(self, hand: Hand) -> None:
        """Draw batch after batch until closed and empty."""
        while parts := self.gather():
            hand.began = began = time.monotonic()
            self.serve(parts)
            seconds = time.monotonic() - began
            at_once = sum(other.began is not None for other in self.hands)
            hand.began = None
            self.remember(sum(len(part.batch) for part in parts), seconds, at_once)

    def gather(self) -> list[Part]:
        """Wait for work, then take what fits into one batch: jobs' next samples."""
        with self.changed:
            while True:
                while not self.jobs:
                    if self.is_closing:
                        return []
                    self.changed.wait()
                if parts := self.take():
                    if self.jobs:  # too much for one batch: another hand may be idle
                        self.changed.notify()
                    return parts

    def take(self) -> list[Part]:
        """The next batch: the oldest job's kind, in order of arrival, those of others left."""
        parts: list[Part] = []
        passed: list[Job] = []
        # A share of what waits: the rest is for the other hands, now or in a moment.
        room, kind = min(self.most, max(1, math.ceil(self.waiting / len(self.hands)))), None
        while self.jobs and room:
            job = self.jobs.popleft()
            if (error := reason_to_drop(job)) is not None:
                self.waiting -= job.left
                self.observer.rejected("gone" if isinstance(error, CallerGone) else "deadline")
                job.end(error)
                continue
            kind = kind or job.batch.kind
            if job.batch.kind != kind:
                passed.append(job)
                continue
            count = min(room, job.left)
            job.first_taken = job.first_taken or time.monotonic()
            parts.append(Part(job, job.began, job.batch[job.began : job.began + count]))
            job.began += count
            self.waiting -= count
            room -= count
            if job.left:
                passed.append(job)  # behind those that wait already
        rest = [job for job in passed if not job.began]
        self.jobs.extendleft(reversed(rest))
        self.jobs.extend(job for job in passed if job.began)
        return parts

    def serve(self, parts: list[Part]) -> None:
        """Draw a batch; if it fails, each of its jobs alone, so that one harms no other."""
        try:
            images = self.draw_batch(LatentBatch.join([part.batch for part in parts]))
        except Exception as error:
            if len(parts) == 1:
                self.fail(parts[0].job, error)
            else:
                log.warning("A batch failed and is drawn again, job by job: %r", error)
                for part in parts:
                    self.serve([part])
            return
        start, done = 0, []
        with self.changed:
            for part in parts:
                part.job.parts[part.start] = images[start : start + len(part.batch)]
                start += len(part.batch)
                if part.job.is_drawn and not part.job.over.is_set():
                    done.append(part.job)
        for job in done:
            job.end()

    def fail(self, job: Job, error: Exception) -> None:
        """End a job that cannot be drawn."""
        with self.changed:
            if job in self.jobs:
                self.jobs.remove(job)
                self.waiting -= job.left
            job.end(error)

    def remember(self, images: int, seconds: float, at_once: int) -> None:
        """Follow the speed: a moving average of whole batches, by which waits are foretold."""
        speed = at_once * images / max(seconds, 1e-6)
        known = self.images_per_second
        self.images_per_second = speed if not known else known + 0.1 * (speed - known)
        self.observer.batch(images, seconds)
        self.observer.queued(self.waiting)


class CallerGone(RequestError):  # not our fault, whoever may read it
    """Nobody is there any more to read the answer."""


def reason_to_drop(job: Job) -> FaceGANError | None:
    """Why nothing should be drawn for a job; None if it should."""
    if time.monotonic() > job.deadline:
        return DeadlineMissed("The images were not drawn in time.", "Ask again.")
    if not job.is_wanted():
        return CallerGone("The caller has hung up.")
    return None


def seconds_until(deadline: float) -> float:
    """The time left, as far ahead as a lock can wait."""
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
