"""Prepares examples in a pool of processes; results come back in the order of the source."""

import hashlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from facegan.data.prepare.crops import CROPS, draft_size, partner_box
from facegan.data.prepare.examples import Example
from facegan.data.prepare.modalities import Modality
from facegan.data.prepare.pixels import open_source_image
from facegan.data.prepare.sources import Entry, read_file
from facegan.errors import DatasetError, FaceGANError
from facegan.square_images import Box

T = TypeVar("T")
BATCH_BYTES = 2**21  # of files sent to a process, or of pixels it returns, per batch
BATCH = 64


@dataclass(frozen=True)
class Task:
    """An example to prepare."""

    index: int  # its position in the source
    example: Example
    names: str  # digest of all names up to this one

    @property
    def name(self) -> str:
        """The name of its first file."""
        return next(entry.name for entry in self.example if entry is not None)


@dataclass(frozen=True)
class PrepareSpec:
    """How examples are prepared; sent to every process."""

    resolution: int
    crop: str
    modalities: tuple[Modality, ...] = (Modality(),)
    everything: bool = False  # accept images that facegan generated


Load = Path | bytes | str  # a file to read, its bytes, or the reason why there are none
Loads = tuple[Load, ...]  # one per modality
# The pixels of every modality and the sha256 of them all; or per modality the reason why it cannot
# be used, empty if only its partner cannot.
Prepared = tuple[list[bytes], bytes] | list[str]


def load_modalities(example: Example) -> Loads:
    """Return an example's files or bytes; a file that two modalities share is read once."""
    loads = {entry: load(entry) if entry else "" for entry in dict.fromkeys(example)}
    return tuple(loads[entry] for entry in example)


def load(entry: Entry) -> Load:
    """Return an image's path if it is a file, else its bytes, else the reason why there are none.

    Raises:
        FaceGANError: the source as a whole has failed.
    """
    if entry.problem:
        return entry.problem
    if entry.path is not None:
        return Path(entry.path)
    assert entry.read is not None  # an entry has one of the three
    try:
        return entry.read()
    except FaceGANError:
        raise
    except Exception as cause:  # a damaged member of an archive may raise anything
        return reason_of(cause)


def load_ahead(tasks: Iterator[Task], readers: int) -> Iterator[tuple[Task, Loads]]:
    """Yield tasks with their files or bytes, in order; `readers` of them are read at once."""
    if readers == 1:
        yield from ((task, load_modalities(task.example)) for task in tasks)
        return
    pool = ThreadPoolExecutor(readers)
    waiting: deque[tuple[Task, Future[Loads]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.submit(load_modalities, task.example)))
            if len(waiting) >= 2 * readers:
                first, loading = waiting.popleft()
                yield first, loading.result()
        while waiting:
            first, loading = waiting.popleft()
            yield first, loading.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def prepare_all(
    tasks: Iterator[Task], spec: PrepareSpec, readers: int, workers: int
) -> Generator[tuple[Task, Prepared], None, None]:
    """Yield every task with its result, in the order of the tasks.

    Raises:
        DatasetError: a process was killed.
        FaceGANError: the source has failed; the results before that come first.
    """
    channels = sum(modality.channels for modality in spec.modalities)
    size = max(min(BATCH_BYTES // (spec.resolution**2 * channels), BATCH), 1)
    failures: list[FaceGANError] = []
    batches = batched(until_failure(load_ahead(tasks, readers), failures), size)
    with closing(prepare_batches(batches, spec, workers)) as done:
        yield from done
    for failure in failures:
        raise failure


def until_failure(
    items: Iterator[tuple[Task, Loads]], failures: list[FaceGANError]
) -> Iterator[tuple[Task, Loads]]:
    """Yield items until their iterator fails; append the error to `failures`."""
    try:
        yield from items
    except FaceGANError as failure:
        failures.append(failure)


def prepare_batches(
    batches: Iterator[list[tuple[Task, Loads]]], spec: PrepareSpec, workers: int
) -> Generator[tuple[Task, Prepared], None, None]:
    """Yield every task of every batch with its result, in order."""
    if workers == 1:
        for batch in batches:
            done = prepare_batch(spec, [loaded for _, loaded in batch])
            yield from zip((task for task, _ in batch), done, strict=True)
        return
    spawn = multiprocessing.get_context("spawn")  # forking a process that runs threads may hang it
    pool = ProcessPoolExecutor(workers, spawn, init_worker)
    going: deque[tuple[list[tuple[Task, Loads]], Future[list[Prepared]]]] = deque()
    try:
        for batch in batches:
            going.append((batch, pool.submit(prepare_batch, spec, [x for _, x in batch])))
            if len(going) >= 4 * workers:
                yield from batch_results(*going.popleft())
        while going:
            yield from batch_results(*going.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def batched(items: Iterator[tuple[Task, Loads]], size: int) -> Iterator[list[tuple[Task, Loads]]]:
    """Yield lists of up to `size` items; a list ends early when its bytes reach BATCH_BYTES."""
    batch, read = list[tuple[Task, Loads]](), 0
    for item in items:
        batch.append(item)
        read += sum(len(loaded) for loaded in item[1] if isinstance(loaded, bytes))
        if len(batch) >= size or read >= BATCH_BYTES:
            yield batch
            batch, read = [], 0
    if batch:
        yield batch


def batch_results(
    batch: list[tuple[Task, Loads]], future: "Future[list[Prepared]]"
) -> Iterator[tuple[Task, Prepared]]:
    """Yield a batch's tasks with their results."""
    try:
        done = future.result()
    except BrokenProcessPool as cause:
        first, last = batch[0][0].name, batch[-1][0].name
        raise DatasetError(
            f"A process was killed between {first} and {last}, perhaps for lack of memory.",
            "Repeat the command with fewer --workers: finished shards are kept.",
        ) from cause
    yield from zip((task for task, _ in batch), done, strict=True)


def prepare_batch(spec: PrepareSpec, batch: list[Loads]) -> list[Prepared]:
    """Prepare a batch of examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata; errors are raised
        return [prepare_one(spec, loads) for loads in batch]


def prepare_one(spec: PrepareSpec, loads: Loads) -> Prepared:
    """Return an example's pixels and their digest; or per modality what is wrong with it."""
    done = crop_modalities(spec, loads)
    pixels = [content for content in done if isinstance(content, bytes)]
    if len(pixels) < len(done):
        return [content if isinstance(content, str) else "" for content in done]
    return pixels, hashlib.sha256(b"".join(pixels)).digest()


def crop_modalities(spec: PrepareSpec, loads: Loads) -> list[bytes | str]:
    """Return each modality's pixels, cropped like the first; or what is wrong with it, or ""."""
    pairs = zip(spec.modalities, loads, strict=True)
    opened = [attempt(open_modality, spec, *pair) for pair in pairs]
    images = [image for image in opened if not isinstance(image, str)]
    if len(images) < len(opened):
        return [image if isinstance(image, str) else "" for image in opened]
    box = attempt(CROPS[spec.crop], images[0])
    if isinstance(box, str):
        return [box, *[""] * (len(images) - 1)]
    return [
        attempt(crop_modality, spec, modality, image, box, images[0].size)
        for modality, image in zip(spec.modalities, images, strict=True)
    ]


def attempt(work: Callable[..., T], *args: Any) -> T | str:
    """Return a function's result, or the reason why it failed."""
    try:
        return work(*args)
    except Exception as cause:  # decoders may raise anything for a broken file
        return reason_of(cause)


def open_modality(spec: PrepareSpec, modality: Modality, loaded: Load) -> Image.Image | str:
    """Return one modality of an example, decoded and upright; or why there is nothing to open."""
    if isinstance(loaded, str):
        return loaded
    content = loaded if isinstance(loaded, bytes) else read_file(loaded)
    with open_source_image(content, spec.everything) as image:
        return modality.open(image, draft_size(spec.crop, spec.resolution))


def crop_modality(
    spec: PrepareSpec, modality: Modality, image: Image.Image, box: Box, size: tuple[int, int]
) -> bytes:
    """Return the pixels of one modality, given the box and size of the first."""
    return modality.cut(image, partner_box(box, size, image.size), spec.resolution).tobytes()


def reason_of(cause: Exception) -> str:
    """Return why an image cannot be used, without addresses or paths: always the same text."""
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    message = str(cause).strip()
    if not message or " at 0x" in message:
        return type(cause).__name__
    if isinstance(cause, (ValueError, OSError)):
        return message
    return f"{type(cause).__name__}: {message}"


def init_worker() -> None:
    """Leave Ctrl-C to the parent process, and exit when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()


def exit_with_parent(parent: BaseProcess) -> None:
    """Exit when the parent process has ended."""
    parent.join()
    os._exit(1)
