"""How far bytes have come, their rate and the time left: one line on a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any, Self

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 30.0  # between two lines


class Progress:
    """A line that is told of bytes, from any thread.

    Args:
        title: What is done, as "Uploading".
        total: How many bytes are to come.
        stream: Where lines go.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        title: str,
        total: int,
        stream: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.clock = title, total, clock
        self.stream = stream or sys.stderr
        self.is_terminal = self.stream.isatty()
        self.pause = TERMINAL_SECONDS if self.is_terminal else LOG_SECONDS
        self.done, self.lock = 0, Lock()
        self.begun = self.told = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_terminal and self.told > self.begun:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __call__(self, size: int) -> None:
        """So many bytes more; fewer than none where some have to come again."""
        with self.lock:
            self.done += size
            if (now := self.clock()) - self.told >= self.pause:
                self.told = now
                start, end = ("\r\x1b[K", "") if self.is_terminal else ("", "\n")
                self.stream.write(start + self.line(now) + end)
                self.stream.flush()

    def line(self, now: float) -> str:
        """The line, as it is now."""
        rate = self.done / max(now - self.begun, 1e-9)
        share = f"{self.done / max(self.total, 1):4.0%}"
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        amount = f"{amount_of(self.done)} of {amount_of(self.total)}"
        return f"{self.title} {share}  {amount}  {amount_of(rate)}/s  {duration(left)} left"


def amount_of(size: float) -> str:
    """Bytes for people: ``1.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for people: ``1:02:03``."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
