"""One thread that computes for all models, batch after batch, so that none shuts another out.

torch runs each batch on all cores, so two at once would only fight for them. A lock would do for
that, but not for fairness: who has let go may be the first to take it again. And every thread that
computes has helpers of its own (OpenMP's): those of the last turn may still spin while those of
the next want the cores. A model's batcher has one batch under way at most, so a queue of batches
goes round the models that have work: each waits for one batch of every other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class SerialExecutor:
    """Runs functions of many threads one at a time, first come, first served."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def serialize(self, function: Callable[[A], B]) -> Callable[[A], B]:
        """The same function, run when its turn has come; the caller waits."""
        return lambda argument: self.executor.submit(function, argument).result()
