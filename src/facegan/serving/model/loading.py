"""Loads on a thread of its own, and waits no longer than it may."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from facegan.errors import LoadTimeout

T = TypeVar("T")


def load_within(
    seconds: float | None,
    what: str,
    load: Callable[[], T],
    when_late: Callable[["Future[T]"], None] = lambda late: None,
) -> T:
    """Return what `load` returns; with its thread end the threads that torch (OpenMP) gave it.

    Args:
        seconds: How long to wait; None for as long as it takes. A thread cannot be stopped: what
            comes later comes to `when_late`, and until then its memory is in use.
        what: What is loaded, for the message.
        load: Reads, compiles and draws once.
        when_late: Called with the future of a load that was given up, once that is done.

    Raises:
        LoadTimeout: it took longer.
    """
    loading: Future[T] = Future()

    def run() -> None:
        try:
            loading.set_result(load())
        except BaseException as error:  # whoever waits raises it
            loading.set_exception(error)

    threading.Thread(target=run, name="load", daemon=True).start()
    try:
        return loading.result(seconds)
    except TimeoutError:
        if loading.done():  # a TimeoutError of its own
            raise
    loading.add_done_callback(when_late)
    raise LoadTimeout(
        f"{what} was not loaded within {seconds:g} s, and was given up.",
        "The machine is too slow or too busy for it, or it is no honest model; "
        "FACEGAN_LOAD_SECONDS allows more.",
    )
