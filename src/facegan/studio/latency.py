"""How long an endpoint takes, for the page's status line."""

from collections import deque
from statistics import median

REMEMBERED = 50


class Latency:
    """The seconds that the last answers took."""

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, seconds: float) -> None:
        """One more answer."""
        self.seconds.append(seconds)

    @property
    def told(self) -> str:
        """A line for people."""
        known = list(self.seconds)
        if not known:
            return "No answer yet."
        count = f"median of the last {len(known)}: " if len(known) > 1 else ""
        middle = f" ({count}{milliseconds(median(known))})" if count else ""
        return f"Last answer in {milliseconds(known[-1])}{middle}"


def milliseconds(seconds: float) -> str:
    """A time as people read it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
