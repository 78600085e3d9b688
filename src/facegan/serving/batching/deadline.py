"""Until when a request must be answered, and whether its client is still connected."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A point of ``time.monotonic()``, and a check of the client's connection if there is one."""

    expires: float = math.inf
    is_connected: Callable[[], bool] | None = None

    @property
    def seconds_left(self) -> float:
        """The time that is left, as long as a lock can wait."""
        return min(max(0.0, self.expires - time.monotonic()), threading.TIMEOUT_MAX)
