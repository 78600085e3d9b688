"""Writes CloudWatch's embedded metric format: one log line per minute, no agent needed.

Format: docs.aws.amazon.com/AmazonCloudWatch, "Specification: Embedded metric format". Its one
dimension is fixed, so that requests cannot multiply the metrics that are billed.
"""

import atexit
import json
import logging
import random
import threading
import time
from typing import Any

from facegan.serving.telemetry.logs import EMF

log = logging.getLogger(EMF)

NAMESPACE = "facegan"
MAX_VALUES = 100  # of one metric in one line, by the specification
COUNTS = ("Requests", "Faults", "Refusals", "Images", "Rejections")  # sums over the period
SAMPLES = {"Latency": "Milliseconds", "BatchSize": "Count", "BatchTime": "Milliseconds"}
PERIOD_SECONDS = 60.0


class EmbeddedMetrics:
    """Counts and samples over a period, then writes one line. Safe to call from all threads.

    Of more than 100 values per period, a uniform sample is kept: percentiles hold, the number of
    values does not; ``Requests`` counts.
    """

    def __init__(self, service: str = "facegan") -> None:
        self.service = service
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin a period."""
        self.counts = dict.fromkeys(COUNTS, 0)
        self.samples: dict[str, list[float]] = {name: [] for name in SAMPLES}
        self.seen = dict.fromkeys(SAMPLES, 0)
        self.deepest_queue = 0

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of ``COUNTS``."""
        with self.lock:
            self.counts[name] += number

    def sample(self, name: str, value: float) -> None:
        """Add a value to one of ``SAMPLES`` (Vitter's algorithm R beyond 100)."""
        with self.lock:
            kept = self.samples[name]
            self.seen[name] += 1
            if len(kept) < MAX_VALUES:
                kept.append(round(value, 3))
            elif (place := int(random.random() * self.seen[name])) < MAX_VALUES:
                kept[place] = round(value, 3)

    def queued(self, images: int) -> None:
        """Record how many images wait; the line has the period's maximum."""
        self.deepest_queue = max(self.deepest_queue, images)

    def take_line(self, now: float | None = None) -> str:
        """Return the period's line, and begin the next period."""
        with self.lock:
            values: dict[str, Any] = dict(self.counts)
            values["QueueImages"] = self.deepest_queue
            values |= {name: kept for name, kept in self.samples.items() if kept}
            self.reset()
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [["Service"]],
            "Metrics": [{"Name": name, "Unit": SAMPLES.get(name, "Count")} for name in values],
        }
        milliseconds = int((time.time() if now is None else now) * 1000)
        aws = {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": aws, "Service": self.service} | values)

    def write_regularly(self, seconds: float = PERIOD_SECONDS) -> None:
        """Start a thread that writes a line every period, and one when the process ends."""

        def write() -> None:
            while True:
                time.sleep(seconds)
                log.info("%s", self.take_line())

        threading.Thread(target=write, name="embedded metrics", daemon=True).start()
        atexit.register(lambda: log.info("%s", self.take_line()))
