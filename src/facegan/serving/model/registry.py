"""Holds many models in one process: loads, lends, evicts and lets go of them, within a budget.

Nothing here knows of HTTP. A model is loaded on a thread of its own while others answer; its name
is taken from the first moment, so two loads of one name make one model. Who has borrowed a model
when it is unloaded finishes with it; the last to give it back closes it.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from facegan.errors import LoadTimeout, Overloaded, RequestError, is_out_of_memory
from facegan.serving.batching.batcher import BatchObserver, Unobserved
from facegan.serving.model.loading import load_within
from facegan.serving.model.paths import model_folder
from facegan.serving.model.registry_entry import (
    Entry,
    Loaded,
    about_to_end,
    mib,
    needed,
    no_room,
    shown,
    taken,
    unknown,
)
from facegan.serving.model.served_model import Served
from facegan.synthesis import MemoryEstimate, estimate_memory

log = logging.getLogger(__name__)

UNLOAD_SECONDS = 20.0  # for those who still draw


class ModelRegistry:
    """The models of one process; every method may be called from any thread.

    Args:
        folder: All models lie below it.
        open_model: Loads the model of a folder; it has drawn when this returns.
        budget: The bytes that all models may take together.
        is_evicting: Whether those used longest ago make room for new ones. SageMaker does that
            itself when it is told that there is no room, and must not find a model gone.
        size_of: What a model will take, before it is loaded.
        seconds_of: How long a model may take to load; None for as long as it takes.
        max_users: How many may borrow models at the same time. Each model has a bound of its own;
            this one is of all, so that threads are left to refuse, to load and to unload.
    """

    def __init__(
        self,
        folder: Path,
        open_model: Callable[[Path], Served],
        *,
        budget: int,
        is_evicting: bool = False,
        size_of: Callable[[Path], MemoryEstimate] = estimate_memory,
        seconds_of: Callable[[Path], float | None] = lambda folder: None,
        max_users: int = 64,
    ) -> None:
        self.folder, self.open_model, self.size_of = folder, open_model, size_of
        self.budget, self.is_evicting, self.seconds_of = budget, is_evicting, seconds_of
        self.entries: dict[str, Entry] = {}
        self.leaving: list[Entry] = []
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.is_closing = False
        self.max_users, self.users = max_users, 0
        self.observer: BatchObserver = Unobserved()  # of all models' batches

    # --- load and unload ------------------------------------------------------------------------

    def load(self, name: str, url: str) -> Loaded:
        """Load a model under a name; others answer meanwhile.

        Raises:
            RequestError: the name or the url is none, or the url lies elsewhere.
            UnknownModel: there is no such folder.
            ModelLoaded: the name is taken.
            Draining: the server ends.
            MemoryExceeded: there is no room for it.
            LoadTimeout: it takes too long; its room is taken until it ends.
            ArtifactError: the folder holds no model, or a damaged one.
            OwnCodeError: the model's own code is forbidden or does not load.
        """
        if name in self.entries:  # told before its folder is looked at
            raise taken(name)
        model_dir = model_folder(url, self.folder)
        what, seconds = f"The model {shown(name)}", self.seconds_of(model_dir)
        try:
            footprint = load_within(seconds, what, lambda: self.size_of(model_dir))
        except Exception as error:
            if is_out_of_memory(error):
                raise no_room(f"Memory ran out while {shown(name)} was looked at.") from error
            raise
        entry = self.reserve(name, footprint)
        try:
            served = load_within(
                seconds,
                what,
                lambda: self.open_model(model_dir),
                lambda late: self.let_go_late(entry, late),
            )
        except BaseException as error:
            with self.lock:
                del self.entries[name]
                if isinstance(error, LoadTimeout) and not entry.gone.is_set():
                    self.leaving.append(entry)  # its thread goes on, and holds memory
            if is_out_of_memory(error):
                raise no_room(f"Memory ran out while {shown(name)} was loaded.") from error
            raise
        served.watch(self.observer)
        with self.lock:
            entry.loaded = Loaded(name, url, served, entry.footprint)
            entry.used = time.monotonic()
        log.info("Loaded %s: %s; %s.", shown(name), mib(entry.footprint.weights), self.tell())
        return entry.loaded

    def reserve(self, name: str, footprint: MemoryEstimate) -> Entry:
        """Take a name and room for its model."""
        with self.lock:
            if self.is_closing:
                raise about_to_end()
            if name in self.entries:
                raise taken(name)
            entry = Entry(next(self.numbers), footprint)
            evicted = self.make_room(name, footprint)
            self.entries[name] = entry
        for old in evicted:
            self.let_go(old)
        return entry

    def make_room(self, name: str, footprint: MemoryEstimate) -> list[Entry]:
        """Take out, if that is allowed, as many idle models as it takes; those used last stay."""
        staying = dict(self.entries)
        idle = [key for key, entry in staying.items() if entry.loaded and not entry.users]
        idle.sort(key=lambda key: staying[key].used, reverse=True)
        while needed([*staying.values(), *self.leaving], footprint) > self.budget:
            if not (self.is_evicting and idle):
                size, budget = footprint.weights + footprint.activations, self.budget
                raise no_room(f"{shown(name)} needs {mib(size)} of {mib(budget)} for all.")
            del staying[idle.pop()]
        names = [key for key in self.entries if key not in staying]
        return [self.take_out(key) for key in names]

    def unload(self, name: str, seconds: float = UNLOAD_SECONDS) -> bool:
        """Let go of a model; whether its memory is free when this returns.

        Whoever draws with it finishes, for which this waits, but not for longer than `seconds`.

        Raises:
            UnknownModel: no such model is loaded.
        """
        with self.lock:
            entry = self.entries.get(name)
            if entry is None or entry.loaded is None:
                raise unknown(name)
            self.take_out(name)
        self.let_go(entry)
        is_gone = entry.gone.wait(seconds)
        log.info("Unloaded %s%s.", shown(name), "" if is_gone else ", which is still in use")
        return is_gone

    def take_out(self, name: str) -> Entry:
        """Take a model out of the table: nobody new gets it. The lock is held."""
        entry = self.entries.pop(name)
        entry.is_leaving = True
        self.leaving.append(entry)
        return entry

    def let_go(self, entry: Entry) -> None:
        """Close a model that was taken out, unless someone has it; then they will."""
        with self.lock:
            if entry.users or entry not in self.leaving or entry.loaded is None:
                return
            loaded, entry.loaded = entry.loaded, None
        try:
            loaded.served.close()
        finally:
            with self.lock:
                self.leaving.remove(entry)
            entry.gone.set()

    def let_go_late(self, entry: Entry, late: "Future[Served]") -> None:
        """Close a model that came after its load was given up, and free its room."""
        try:
            if late.exception() is None:
                late.result().close()
        finally:
            with self.lock:
                entry.gone.set()
                if entry in self.leaving:
                    self.leaving.remove(entry)

    def stop_loading(self) -> None:
        """The server is about to end: load nothing more; those that are loaded still answer."""
        with self.lock:
            self.is_closing = True

    def close(self, seconds: float = UNLOAD_SECONDS) -> bool:
        """Load nothing more, and let go of all; whether that was done in time."""
        ends = time.monotonic() + seconds
        self.stop_loading()
        with self.lock:
            names = [key for key, entry in self.entries.items() if entry.loaded]
            gone = [self.take_out(key) for key in names]
        for name, entry in zip(names, gone, strict=True):
            self.let_go(entry)
            log.info("Unloaded %s.", shown(name))
        return all([entry.gone.wait(max(0.0, ends - time.monotonic())) for entry in gone])

    # --- look and use ---------------------------------------------------------------------------

    def get(self, name: str) -> Loaded:
        """A model by its name.

        Raises:
            UnknownModel: no such model is loaded.
        """
        entry = self.entries.get(name)
        if entry is None or (loaded := entry.loaded) is None:
            raise unknown(name)
        return loaded

    @contextlib.contextmanager
    def lend(self, name: str) -> Iterator[Loaded]:
        """Borrow a model: it stays until it is given back.

        Raises:
            UnknownModel: no such model is loaded.
            Overloaded: too many have borrowed one.
            Draining: the server ends.
        """
        with self.lock:
            if self.is_closing and name not in self.entries:
                raise about_to_end()  # it may well have been one of those let go
            loaded = self.get(name)
            if self.users >= self.max_users:
                self.observer.rejected("overload")
                told = f"The server is busy: {self.users} requests are under way."
                raise Overloaded(told, "Ask again in a second.")
            entry = self.entries[name]
            entry.users += 1
            self.users += 1
            entry.used = time.monotonic()
        try:
            yield loaded
        finally:
            with self.lock:
                entry.users -= 1
                self.users -= 1
                is_last = entry.is_leaving and not entry.users
            if is_last:
                self.let_go(entry)

    def page(self, count: int, token: str = "") -> tuple[list[Loaded], str]:
        """Some of the models, in the order of loading, and the token of the next page, or "".

        Models that come and go between two pages shift nothing: a token is a place in the order.

        Raises:
            RequestError: the token is none of ours.
        """
        if token and not (token.isascii() and token.isdigit() and len(token) < 20):
            raise RequestError("The next_page_token is none of this server's.", "Leave it out.")
        with self.lock:
            after = [e for e in self.entries.values() if e.loaded and e.number > int(token or 0)]
        after.sort(key=lambda entry: entry.number)
        shown = after[:count]
        following = str(shown[-1].number) if len(after) > count else ""
        return [entry.loaded for entry in shown if entry.loaded], following

    @property
    def is_healthy(self) -> bool:
        """Whether every model answers."""
        with self.lock:
            loaded = [entry.loaded for entry in self.entries.values() if entry.loaded]
        return all(model.served.is_healthy for model in loaded)

    def tell(self) -> str:
        """How full it is, for a log."""
        with self.lock:
            size = needed([*self.entries.values(), *self.leaving])
            return f"{len(self.entries)} models, {mib(size)} of {mib(self.budget)}"
