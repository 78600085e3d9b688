"""Holds many models in one process: loads, evicts and releases them within a memory budget.

Nothing here depends on HTTP. A model is loaded on a thread of its own while others answer; its name
is in use from the first moment, so two loads of one name make one model. Requests that use a model
when it is unloaded finish with it; the last one closes it.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from facegan.errors import Draining, LoadTimeout, Overloaded, RequestError, is_out_of_memory
from facegan.serving.batching.batcher import BatchObserver
from facegan.serving.model.loading import load_within
from facegan.serving.model.paths import model_folder
from facegan.serving.model.registry_entry import (
    RegistryEntry,
    already_loaded,
    bytes_needed,
    mib,
    not_loaded,
    out_of_memory,
    shown,
)
from facegan.serving.model.served_model import ServedModel
from facegan.synthesis import MemoryEstimate, estimate_memory

log = logging.getLogger(__name__)

UNLOAD_SECONDS = 20.0  # for requests that still use a model


class ModelRegistry:
    """The models of one process; every method may be called from any thread.

    Args:
        folder: All models lie below it.
        open_model: Loads the model of a folder; it has drawn when this returns.
        budget: The bytes that all models may take together.
        is_evicting: Whether the least recently used models make room for new ones. SageMaker evicts
            models itself when it gets 507, and must not find one gone.
        size_of: Estimates the memory of a model, before it is loaded.
        seconds_of: How long a model may take to load; None for as long as it takes.
        max_users: How many requests may use models at the same time. Each model has a limit of its
            own; this one is for all, so that threads are left to refuse, to load and to unload.
    """

    def __init__(
        self,
        folder: Path,
        open_model: Callable[[Path], ServedModel],
        *,
        budget: int,
        is_evicting: bool = False,
        size_of: Callable[[Path], MemoryEstimate] = estimate_memory,
        seconds_of: Callable[[Path], float | None] = lambda folder: None,
        max_users: int = 64,
    ) -> None:
        self.folder, self.open_model, self.size_of = folder, open_model, size_of
        self.budget, self.is_evicting, self.seconds_of = budget, is_evicting, seconds_of
        self.entries: dict[str, RegistryEntry] = {}
        self.leaving: list[RegistryEntry] = []
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.is_closing = False
        self.max_users, self.users = max_users, 0
        self.observer = BatchObserver()  # of all models' batches

    # --- load and unload ------------------------------------------------------------------------

    def load(self, name: str, url: str) -> RegistryEntry:
        """Load a model under a name; others answer meanwhile.

        Raises:
            RequestError: the name or the url is invalid, or the url lies outside the folder.
            UnknownModel: there is no such folder.
            ModelLoaded: the name is in use.
            Draining: the server is stopping.
            MemoryExceeded: there is no room for it.
            LoadTimeout: it takes too long; its room is in use until it ends.
            ArtifactError: the folder holds no model, or a damaged one.
            OwnCodeError: the model's own code is forbidden or does not load.
        """
        if name in self.entries:  # before its folder is read
            raise already_loaded(name)
        model_dir = model_folder(url, self.folder)
        what, seconds = f"The model {shown(name)}", self.seconds_of(model_dir)
        with memory_errors(f"Memory ran out while {shown(name)} was looked at."):
            estimate = load_within(seconds, what, lambda: self.size_of(model_dir))
        entry = self.reserve(name, url, estimate)
        try:
            with memory_errors(f"Memory ran out while {shown(name)} was loaded."):
                served = load_within(
                    seconds,
                    what,
                    lambda: self.open_model(model_dir),
                    lambda late: self.release_late(entry, late),
                )
        except BaseException as error:
            with self.lock:
                del self.entries[name]
                if isinstance(error, LoadTimeout) and not entry.gone.is_set():
                    self.leaving.append(entry)  # its thread goes on, and holds memory
            raise
        served.observe(self.observer)
        with self.lock:
            entry.served, entry.last_used = served, time.monotonic()
        log.info("Loaded %s: %s; %s.", shown(name), mib(entry.estimate.weights), self.usage())
        return entry

    def reserve(self, name: str, url: str, estimate: MemoryEstimate) -> RegistryEntry:
        """Register a name and evict what must make room for its model."""
        with self.lock:
            if self.is_closing:
                raise Draining()
            if name in self.entries:
                raise already_loaded(name)
            entry = RegistryEntry(name, url, next(self.numbers), estimate)
            evicted = self.make_room(entry)
            self.entries[name] = entry
        for old in evicted:
            self.release(old)
        return entry

    def make_room(self, new: RegistryEntry) -> list[RegistryEntry]:
        """Evict idle models, if that is allowed, the least recently used first."""
        kept = [*self.entries.values(), *self.leaving, new]
        idle = [entry for entry in self.entries.values() if entry.served and not entry.users]
        idle.sort(key=lambda entry: entry.last_used, reverse=True)
        evicted = []
        while bytes_needed(kept) > self.budget:
            if not (self.is_evicting and idle):
                size = mib(new.estimate.weights + new.estimate.activations)
                raise out_of_memory(
                    f"{shown(new.name)} needs {size} of {mib(self.budget)} for all."
                )
            evicted.append(idle.pop())
            kept.remove(evicted[-1])
        return [self.evict(entry.name) for entry in evicted]

    def unload(self, name: str, seconds: float = UNLOAD_SECONDS) -> bool:
        """Unload a model; return whether its memory is free.

        Waits for the requests that use it, but not longer than `seconds`.
        """
        with self.lock:
            self.get(name)
            entry = self.evict(name)
        self.release(entry)
        is_gone = entry.gone.wait(seconds)
        log.info("Unloaded %s%s.", shown(name), "" if is_gone else ", which is still in use")
        return is_gone

    def evict(self, name: str) -> RegistryEntry:
        """Remove a model from the table: new requests do not find it. The lock is held."""
        entry = self.entries.pop(name)
        entry.is_leaving = True
        self.leaving.append(entry)
        return entry

    def release(self, entry: RegistryEntry) -> None:
        """Close an evicted model, unless a request uses it; then that request will."""
        with self.lock:
            if entry.users or entry not in self.leaving or entry.served is None:
                return
            served, entry.served = entry.served, None
        try:
            served.close()
        finally:
            with self.lock:
                self.leaving.remove(entry)
            entry.gone.set()

    def release_late(self, entry: RegistryEntry, late: "Future[ServedModel]") -> None:
        """Close a model that was loaded after its timeout, and free its room."""
        try:
            if late.exception() is None:
                late.result().close()
        finally:
            with self.lock:
                entry.gone.set()
                if entry in self.leaving:
                    self.leaving.remove(entry)

    def stop_loading(self) -> None:
        """Load nothing more, as the server stops; loaded models still answer."""
        with self.lock:
            self.is_closing = True

    def close(self, seconds: float = UNLOAD_SECONDS) -> bool:
        """Load nothing more and release all models; return whether that was done in time."""
        ends = time.monotonic() + seconds
        self.stop_loading()
        with self.lock:
            loaded = [entry.name for entry in self.entries.values() if entry.served]
            evicted = [self.evict(name) for name in loaded]
        for entry in evicted:
            self.release(entry)
            log.info("Unloaded %s.", shown(entry.name))
        return all([entry.gone.wait(max(0.0, ends - time.monotonic())) for entry in evicted])

    # --- look up and use ------------------------------------------------------------------------

    def get(self, name: str) -> RegistryEntry:
        """Return the entry of a loaded model."""
        entry = self.entries.get(name)
        if entry is None or entry.served is None:
            raise not_loaded(name)
        return entry

    @contextlib.contextmanager
    def acquire(self, name: str) -> Iterator[ServedModel]:
        """Use a model: it stays loaded until the block ends."""
        with self.lock:
            if self.is_closing and name not in self.entries:
                raise Draining()  # the model may have been unloaded for it
            entry = self.get(name)
            served = entry.served
            assert served is not None
            if self.users >= self.max_users:
                self.observer.rejected("overload")
                message = f"The server is busy: {self.users} requests are under way."
                raise Overloaded(message, "Retry in a second.")
            entry.users += 1
            self.users += 1
            entry.last_used = time.monotonic()
        try:
            yield served
        finally:
            with self.lock:
                entry.users -= 1
                self.users -= 1
                is_last = entry.is_leaving and not entry.users
            if is_last:
                self.release(entry)

    def page(self, count: int, token: str = "") -> tuple[list[RegistryEntry], str]:
        """Return some of the models in the order of loading, and the next page's token or "".

        A token is a number in that order: models that come and go between two pages shift nothing.
        """
        if token and not (token.isascii() and token.isdigit() and len(token) < 20):
            raise RequestError("The next_page_token is not from this server.", "Leave it out.")
        with self.lock:
            after = [e for e in self.entries.values() if e.served and e.number > int(token or 0)]
        after.sort(key=lambda entry: entry.number)
        return after[:count], str(after[count - 1].number) if len(after) > count else ""

    @property
    def is_healthy(self) -> bool:
        """Whether every model answers."""
        with self.lock:
            served = [entry.served for entry in self.entries.values() if entry.served]
        return all(model.is_healthy for model in served)

    def usage(self) -> str:
        """Describe how full the registry is."""
        with self.lock:
            size = bytes_needed([*self.entries.values(), *self.leaving])
            return f"{len(self.entries)} models, {mib(size)} of {mib(self.budget)}"


@contextlib.contextmanager
def memory_errors(message: str) -> Iterator[None]:
    """Raise MemoryExceeded in place of errors that mean that memory ran out."""
    try:
        yield
    except BaseException as error:
        if is_out_of_memory(error):
            raise out_of_memory(message) from error
        raise
