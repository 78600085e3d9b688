"""Measures how long an endpoint takes, for the page's status line."""

from collections import deque
from statistics import median

REMEMBERED = 50


class Latency:
    """The seconds of the last replies."""

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, seconds: float) -> None:
        """Add a reply."""
        self.seconds.append(seconds)

    @property
    def summary(self) -> str:
        """One line of text."""
        if not self.seconds:
            return "No answer yet."
        last, count = f"Last answer in {shown(self.seconds[-1])}", len(self.seconds)
        middle = f" (median of the last {count}: {shown(median(self.seconds))})"
        return last + (middle if count > 1 else "")


def shown(seconds: float) -> str:
    """Return a readable duration."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
