"""Examples on all cores: batches go out to processes and come back in the order they went."""

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
from facegan.data.prepare.pixels import Box, open_source_image
from facegan.data.prepare.sources import Entry, read_file
from facegan.errors import DatasetError, FaceGANError

T = TypeVar("T")
BATCH_BYTES = 2**21  # of files that a process gets, or of pixels that it hands back, at once
BATCH = 64


@dataclass(frozen=True)
class Task:
    """An example on its way through the pool."""

    index: int  # its place among the source's
    example: Example
    names: str  # digest of all names up to it

    @property
    def name(self) -> str:
        """What to call it."""
        return next(entry.name for entry in self.example if entry is not None)


@dataclass(frozen=True)
class PrepareSpec:
    """What a process must know."""

    resolution: int
    crop: str
    modalities: tuple[Modality, ...] = (Modality(),)
    everything: bool = False  # also what says that facegan generated it


Load = Path | bytes | str  # a file to read, bytes that were read, or why there are none
Loads = tuple[Load, ...]  # one a side
# The pixels of every side with the sha256 of them all; or of every side what is wrong with it,
# nothing where it is a partner that fails.
Prepared = tuple[list[bytes], bytes] | list[str]


def load_modalities(example: Example) -> Loads:
    """What a process needs to prepare an example; a file that two sides share is read once."""
    loads = {entry: load(entry) if entry else "" for entry in dict.fromkeys(example)}
    return tuple(loads[entry] for entry in example)


def load(entry: Entry) -> Load:
    """What a process needs to prepare an image: the path of a file, else its bytes.

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
    """Tasks with what was read for them, in order; several are read at once if that may be."""
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
    """What became of every task, in the order of the tasks, whatever the number of workers.

    Raises:
        DatasetError: a process was killed.
        FaceGANError: the source has failed; all that came before is given first.
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
    """Items up to the failure of what gives them, which is noted."""
    try:
        yield from items
    except FaceGANError as failure:
        failures.append(failure)


def prepare_batches(
    batches: Iterator[list[tuple[Task, Loads]]], spec: PrepareSpec, workers: int
) -> Generator[tuple[Task, Prepared], None, None]:
    """The same, of batches."""
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
    """Lists of `size` items, of fewer where those were read and are large; the last of the rest."""
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
    """A batch's tasks with what became of them."""
    try:
        done = future.result()
    except BrokenProcessPool as cause:
        first, last = batch[0][0].name, batch[-1][0].name
        raise DatasetError(
            f"A process ended early (killed, for want of memory?) between {first} and {last}.",
            "Repeat the command with fewer --workers: finished shards are kept.",
        ) from cause
    yield from zip((task for task, _ in batch), done, strict=True)


def prepare_batch(spec: PrepareSpec, batch: list[Loads]) -> list[Prepared]:
    """Pixels of some examples, and why others have none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata; what matters is raised
        return [prepare_one(spec, loads) for loads in batch]


def prepare_one(spec: PrepareSpec, loads: Loads) -> Prepared:
    """Pixels of an example with their digest; or what is wrong with each side."""
    done = crop_modalities(spec, loads)
    pixels = [content for content in done if isinstance(content, bytes)]
    if len(pixels) < len(done):
        return [content if isinstance(content, str) else "" for content in done]
    return pixels, hashlib.sha256(b"".join(pixels)).digest()


def crop_modalities(spec: PrepareSpec, loads: Loads) -> list[bytes | str]:
    """The pixels of every side, cut as the first is; or what is wrong with it, or nothing."""
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
    """What a function makes of an image; or why it can make nothing of it."""
    try:
        return work(*args)
    except Exception as cause:  # inside a decoder a broken file may raise anything
        return reason_of(cause)


def open_modality(spec: PrepareSpec, modality: Modality, loaded: Load) -> Image.Image | str:
    """One side of an example, upright and whole; the reason if there is nothing to open."""
    if isinstance(loaded, str):
        return loaded
    content = loaded if isinstance(loaded, bytes) else read_file(loaded)
    with open_source_image(content, spec.everything) as image:
        return modality.open(image, draft_size(spec.crop, spec.resolution))


def crop_modality(
    spec: PrepareSpec, modality: Modality, image: Image.Image, box: Box, size: tuple[int, int]
) -> bytes:
    """The pixels of what one side keeps, given the first side's box and size."""
    return modality.cut(image, partner_box(box, size, image.size), spec.resolution).tobytes()


def reason_of(cause: Exception) -> str:
    """Why an image cannot be used, in the same words every time: without addresses or paths."""
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    message = str(cause).strip()
    if not message or " at 0x" in message:
        return type(cause).__name__
    if isinstance(cause, (ValueError, OSError)):
        return message
    return f"{type(cause).__name__}: {message}"


def init_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()


def exit_with_parent(parent: BaseProcess) -> None:
    """End when the parent does."""
    parent.join()
    os._exit(1)
