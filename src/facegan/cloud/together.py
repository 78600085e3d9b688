"""Work in threads that ends as one: at the first failure, or Ctrl-C, nobody begins anything new."""

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, as_completed
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(
    pool: Executor, work: Callable[[T], R], items: Iterable[T], stop: Event
) -> Iterator[tuple[T, R]]:
    """Results as they come.

    Args:
        pool: Its threads do the work.
        work: What is done with each item; looks at `stop` where it takes long.
        items: All of them.
        stop: Set when one failed, or the caller was interrupted or needs no more.

    Raises:
        BaseException: whatever the first failed by.
    """
    running = {pool.submit(work, item): item for item in items}
    try:
        for done in as_completed(running):
            yield running[done], done.result()
    except BaseException:
        stop.set()
        for future in running:
            future.cancel()
        raise


class Body(io.BytesIO):
    """Bytes on their way to S3, which stop in the middle when all stops.

    What is raised is no Exception: botocore would take that for a lost connection, and try again.
    """

    def __init__(self, content: bytes, stop: Event) -> None:
        super().__init__(content)
        self.stop = stop

    def read(self, size: int | None = -1, /) -> bytes:
        """Some of the bytes.

        Raises:
            KeyboardInterrupt: all stops.
        """
        if self.stop.is_set():
            raise KeyboardInterrupt
        return super().read(size)
