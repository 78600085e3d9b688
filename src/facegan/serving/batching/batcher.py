"""Collects the requests of many callers into batches for one model.

The model's worker threads compute; callers wait. While batches are drawn, the next one collects. So
a lone caller waits for nobody, and batches grow with the load: no timer, nothing to tune. Large
requests are drawn in slices, and small ones that arrive meanwhile are served in between.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from facegan.errors import DeadlineMissed, Draining, FaceGANError, Overloaded, RequestError
from facegan.serving.batching.deadline import Deadline
from facegan.synthesis import InputBatch
from facegan.wire import Images

log = logging.getLogger(__name__)

STUCK_SECONDS = 60.0  # a batch that takes longer never ends
RETRY_SECONDS = 1.0  # the shortest wait that is advised


class BatchObserver:
    """Receives a batcher's measurements, from its threads and from callers'; this one ignores them.

    ``drawn`` is called on the caller's own thread. The reasons of ``rejected`` are overload,
    deadline, draining and gone.
    """

    def watch(self, batcher: "Batcher") -> None:
        """Observe how many images wait from now on."""

    def batch(self, images: int, seconds: float, peak_waiting: int) -> None:
        """Record a batch, its duration, and how many images waited at most before it."""

    def drawn(self, waited_seconds: float, seconds: float) -> None:
        """Record how long a request waited, and how long it took from then on."""

    def rejected(self, reason: str) -> None:
        """Count a request that was refused or dropped."""


@dataclass(eq=False)
class QueuedRequest:
    """One caller's request, and what was drawn for it so far."""

    inputs: InputBatch
    deadline: Deadline
    count: int  # samples
    sample_bytes: int = 0  # of one sample's inputs
    started: int = 0  # samples that were given to the model
    slices: dict[int, Images] = field(default_factory=dict)  # drawn images by their first sample
    error: Exception | None = None
    queued_at: float = field(default_factory=time.monotonic)
    started_at: float = 0.0  # of time.monotonic()
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def images(self) -> Images:
        """The images in the order of the samples."""
        slices = [self.slices[start] for start in sorted(self.slices)]
        return slices[0] if len(slices) == 1 else np.concatenate(slices)

    def finish(self, error: Exception | None = None) -> None:
        """Wake the caller."""
        self.error = error
        self.done.set()


@dataclass(frozen=True)
class Slice:
    """Consecutive samples of a request, drawn in one batch."""

    request: QueuedRequest
    start: int
    count: int
    inputs: InputBatch


class Worker:
    """A thread that draws batches."""

    def __init__(self, work: Callable[["Worker"], None], number: int) -> None:
        self.batch_began: float | None = None
        self.thread = threading.Thread(
            target=work, args=(self,), name=f"model-{number}", daemon=True
        )

    @property
    def is_healthy(self) -> bool:
        """Whether the thread is alive and not stuck in a batch."""
        began = self.batch_began
        is_stuck = began is not None and time.monotonic() - began > STUCK_SECONDS
        return self.thread.is_alive() and not is_stuck


class Batcher:
    """Draws the requests of many callers on its own threads.

    Args:
        draw_batch: A batch of one kind → uint8 images (N, H, W, 3); called by all workers.
        max_batch_size: The largest batch, in images.
        workers: How many batches may be drawn at the same time.
        max_images: How many may wait; a larger request is accepted when nothing else waits.
        max_bytes: How many bytes the inputs of those that wait may have; likewise.
        max_requests: How many requests may wait.
        observer: Receives the measurements.
    """

    def __init__(
        self,
        draw_batch: Callable[[InputBatch], Images],
        *,
        max_batch_size: int = 16,
        workers: int = 1,
        max_images: int = 512,
        max_bytes: int = 64 * 2**20,
        max_requests: int = 64,
        observer: BatchObserver | None = None,
    ) -> None:
        self.draw_batch, self.max_batch_size = draw_batch, max_batch_size
        self.max_images, self.max_bytes = max_images, max_bytes
        self.max_requests = max_requests
        self.observer = observer or BatchObserver()
        self.queue: deque[QueuedRequest] = deque()
        self.waiting = 0  # images
        self.waiting_bytes = 0  # of their inputs
        self.peak_waiting = 0  # since the last batch
        self.under_way = 0  # requests, those that are being drawn included
        self.images_per_second = 0.0  # a moving average
        # Images and bytes of the last request, if it was refused.
        self.refused, self.refused_bytes = 0, 0
        self.is_closing = False
        self.changed = threading.Condition()
        self.workers = [Worker(self.work, number) for number in range(workers)]
        for worker in self.workers:
            worker.thread.start()

    # --- for callers ----------------------------------------------------------------------------

    def draw(self, inputs: InputBatch, deadline: Deadline) -> Images:
        """Draw a batch of one kind → uint8 images (N, H, W, 3); block until they are done.

        Raises:
            Overloaded: too much waits already, or more than can be drawn before the deadline.
            DeadlineMissed: it could not be drawn in time.
            Draining: the batcher has been closed.
        """
        arrays = list(inputs.arrays.values())
        size = sum(array[:1].nbytes for array in arrays)
        request = QueuedRequest(inputs, deadline, len(arrays[0]), size)
        self.enqueue(request)
        try:
            if not request.done.wait(deadline.seconds_left):
                self.drop(request)
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()
        if request.error is not None:
            raise request.error
        images, waited = request.images, request.started_at - request.queued_at
        self.observer.drawn(waited, time.monotonic() - request.started_at)
        return images

    def enqueue(self, request: QueuedRequest) -> None:
        """Accept a request, or refuse it at once."""
        with self.changed:
            refusal = self.refusal_of(request)
            is_refused = isinstance(refusal, Overloaded)
            self.refused = request.count if is_refused else 0
            self.refused_bytes = request.count * request.sample_bytes if is_refused else 0
            if refusal is None:
                self.queue.append(request)
                self.count_waiting(request, request.count)
                self.peak_waiting = max(self.peak_waiting, self.waiting)
                self.under_way += 1
                self.changed.notify()
        if refusal is not None:
            self.observer.rejected("draining" if isinstance(refusal, Draining) else "overload")
            raise refusal

    def refusal_of(self, request: QueuedRequest) -> FaceGANError | None:
        """Return why a request is refused; None if it is accepted."""
        if self.is_closing or not self.is_alive:
            return Draining()
        seconds = self.seconds_for(self.waiting + request.count)
        size = request.count * request.sample_bytes
        is_late = time.monotonic() + seconds > request.deadline.expires
        if self.is_full(request.count, size) or is_late:
            wait = self.retry_seconds()
            return Overloaded(
                f"The server is busy: {self.waiting} images wait.",
                f"Retry in {wait:.0f} s.",
                retry_seconds=wait,
            )
        return None

    def count_waiting(self, request: QueuedRequest, images: int) -> None:
        """Count images of a request as waiting, or fewer as no longer; the lock is held."""
        self.waiting += images
        self.waiting_bytes += images * request.sample_bytes

    def is_full(self, images: int, size: int = 0) -> bool:
        """Return whether the queue has no room for so many more images, of `size` bytes in all."""
        is_too_much = self.waiting > 0 and (
            self.waiting + images > self.max_images or self.waiting_bytes + size > self.max_bytes
        )
        return self.under_way >= self.max_requests or is_too_much

    def busy_seconds(self) -> float | None:
        """Return the seconds until a new request can be accepted; None if it can be now.

        After the first refusal, requests of its size are refused without being read: reading one
        takes longer than drawing an image, and an overloaded server would do it all the time.
        """
        is_full = self.is_full(max(1, self.refused), self.refused_bytes)
        return self.retry_seconds() if is_full else None

    def retry_seconds(self) -> float:
        """Return how long a refused caller should wait: until the queue is drawn."""
        return max(RETRY_SECONDS, self.seconds_for(self.waiting))

    def seconds_for(self, images: int) -> float:
        """Return how long so many images take; 0 before the first batch."""
        return images / self.images_per_second if self.images_per_second else 0.0

    def drop(self, request: QueuedRequest) -> None:
        """Forget a request whose deadline has passed."""
        with self.changed:
            self.remove(request)
            if not request.done.is_set():
                request.finish(missed())
                self.observer.rejected("deadline")

    def remove(self, request: QueuedRequest) -> None:
        """Take a request out of the queue; the lock is held."""
        if request in self.queue:
            self.queue.remove(request)
            self.count_waiting(request, request.started - request.count)

    @property
    def is_alive(self) -> bool:
        """Whether any worker is alive."""
        return any(worker.thread.is_alive() for worker in self.workers)

    @property
    def is_healthy(self) -> bool:
        """Whether all workers are alive and none is stuck in a batch."""
        return all(worker.is_healthy for worker in self.workers)

    def close(self, seconds: float = 20.0) -> bool:
        """Accept nothing more and draw what was accepted; return whether that was done in time."""
        ends = time.monotonic() + seconds
        with self.changed:
            self.is_closing = True
            self.changed.notify_all()
            while self.under_way and (left := ends - time.monotonic()) > 0:
                self.changed.wait(left)
            is_done = not self.under_way
        for worker in self.workers:
            worker.thread.join(max(0.0, ends - time.monotonic()))
        return is_done

    # --- the workers ----------------------------------------------------------------------------

    def work(self, worker: Worker) -> None:
        """Draw batch after batch until the batcher is closed and empty."""
        while batch := self.wait_for_batch():
            worker.batch_began = began = time.monotonic()
            self.draw_slices(batch)
            seconds = time.monotonic() - began
            at_once = sum(other.batch_began is not None for other in self.workers)
            worker.batch_began = None
            self.record_speed(sum(part.count for part in batch), seconds, at_once)

    def wait_for_batch(self) -> list[Slice]:
        """Wait for requests and take the next batch; empty once the batcher is closed."""
        with self.changed:
            while True:
                while not self.queue:
                    if self.is_closing:
                        return []
                    self.changed.wait()
                if batch := self.next_batch():
                    if self.queue:  # too much for one batch: another worker may be idle
                        self.changed.notify()
                    return batch

    def next_batch(self) -> list[Slice]:
        """Take samples of the oldest request's kind, oldest first; other kinds stay queued."""
        batch: list[Slice] = []
        passed: list[QueuedRequest] = []
        # A share of what waits: the rest is for the other workers, now or in a moment.
        share = max(1, math.ceil(self.waiting / len(self.workers)))
        room = min(self.max_batch_size, share)
        while self.queue and room:
            request = self.queue.popleft()
            if (error := reason_to_drop(request.deadline)) is not None:
                self.count_waiting(request, request.started - request.count)
                self.observer.rejected("gone" if isinstance(error, CallerGone) else "deadline")
                request.finish(error)
                continue
            if batch and request.inputs.kind != batch[0].request.inputs.kind:
                passed.append(request)
                continue
            start, inputs = request.started, request.inputs
            count = min(room, request.count - start)
            request.started_at = request.started_at or time.monotonic()
            part = inputs if count == request.count else inputs[start : start + count]
            batch.append(Slice(request, start, count, part))
            request.started += count
            self.count_waiting(request, -count)
            room -= count
            if request.started < request.count:
                passed.append(request)  # behind those that wait already
        self.queue.extendleft(reversed([request for request in passed if not request.started]))
        self.queue.extend(request for request in passed if request.started)
        return batch

    def draw_slices(self, batch: list[Slice]) -> None:
        """Draw a batch; if it fails, draw each slice alone, so that one harms no other."""
        try:
            parts = [part.inputs for part in batch]
            images = self.draw_batch(parts[0] if len(parts) == 1 else InputBatch.join(parts))
        except Exception as error:
            if len(batch) == 1:
                with self.changed:
                    self.remove(batch[0].request)
                    batch[0].request.finish(error)
            else:
                log.warning("A batch failed and is drawn again, request by request: %r", error)
                for part in batch:
                    self.draw_slices([part])
            return
        start, drawn = 0, []
        with self.changed:
            for part in batch:
                request = part.request
                request.slices[part.start] = images[start : start + part.count]
                start += part.count
                is_drawn = sum(map(len, request.slices.values())) == request.count
                if is_drawn and not request.done.is_set():
                    drawn.append(request)
        for request in drawn:
            request.finish()

    def record_speed(self, images: int, seconds: float, at_once: int) -> None:
        """Update the moving average of whole batches' speed, which predicts waiting times."""
        speed = at_once * images / max(seconds, 1e-6)
        known = self.images_per_second
        self.images_per_second = speed if not known else known + 0.1 * (speed - known)
        peak, self.peak_waiting = self.peak_waiting, self.waiting
        self.observer.batch(images, seconds, peak)


class CallerGone(RequestError):  # not the server's fault
    """The client has closed its connection."""


def reason_to_drop(deadline: Deadline) -> FaceGANError | None:
    """Return why nothing should be drawn for a request; None if it should."""
    if time.monotonic() > deadline.expires:
        return missed()
    is_gone = deadline.is_connected is not None and not deadline.is_connected()
    return CallerGone("The caller has hung up.") if is_gone else None


def missed() -> DeadlineMissed:
    """Return the error of a request whose deadline has passed."""
    return DeadlineMissed("The images were not drawn in time.", "Retry.")
