"""Loads a model on a thread of its own, with a timeout."""

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
    """Return what `load` returns, or raise LoadTimeout.

    When the thread ends, so do the threads that torch (OpenMP) started for it.

    Args:
        seconds: How long to wait; None for as long as it takes. A thread cannot be stopped: a late
            result goes to `when_late`, and until then its memory is in use.
        what: What is loaded, for the message.
        load: Reads, compiles and draws once.
        when_late: Called with the future of a load that timed out, once that is done.
    """
    loading: Future[T] = Future()

    def run() -> None:
        try:
            loading.set_result(load())
        except BaseException as error:  # raised by the thread that waits
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
        "The machine is too slow or too busy, or the model is hostile; "
        "FACEGAN_LOAD_SECONDS allows more time.",
    )
