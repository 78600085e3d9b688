"""Runs the batches of all models on one thread, in turn, so that no model blocks the others.

torch uses all cores for a batch, so two at once would only compete for them. A lock would prevent
that, but would not be fair: the thread that released it may be the first to take it again. And each
thread that computes has helper threads (OpenMP's), which may still spin while those of the next
thread want the cores. Each model's batcher has at most one batch under way, so each model waits for
one batch of every other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class SerialExecutor:
    """Runs the functions of many threads one at a time, in the order of their calls."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def serialize(self, function: Callable[[A], B]) -> Callable[[A], B]:
        """Return a function that runs the given one in its turn; callers wait."""
        return lambda argument: self.executor.submit(function, argument).result()
