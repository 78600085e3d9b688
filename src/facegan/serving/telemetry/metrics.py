"""The Prometheus metrics of one app: requests, queue, batches and refusals."""

from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128)


class Metrics:
    """The metrics of one app, in a registry of its own, so that several apps do not mix.

    Args:
        is_ready: Whether the app would answer /ping with 200.
        waiting: Returns how many images wait.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, is_ready: Callable[[], bool], waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "facegan"}
        self.request_seconds = Histogram(
            "request_seconds", "From a request's arrival to the end of its reply.",
            ["route", "status"], buckets=SECONDS, **own,
        )  # fmt: skip
        self.in_flight = Gauge("requests_in_flight", "Requests that are being answered.", **own)
        self.queue_images = Gauge("queue_images", "Images that wait for the model.", **own)
        self.queue_seconds = Histogram(
            "queue_seconds", "How long a request waited for the model.", buckets=SECONDS, **own
        )
        self.batch_images = Histogram(
            "batch_images", "Images that were drawn together.", buckets=SIZES, **own
        )
        self.batch_seconds = Histogram(
            "batch_seconds", "How long the model took for a batch.", buckets=SECONDS, **own
        )
        self.images = Counter("images", "Images drawn.", **own)
        self.rejections = Counter(
            "rejections", "Requests refused or dropped, by reason.", ["reason"], **own
        )
        self.ready = Gauge("ready", "1 while /ping says 200.", **own)
        self.queue_images.set_function(waiting)
        self.ready.set_function(lambda: float(is_ready()))
        ProcessCollector(registry=self.registry)
        self.of_route: dict[tuple[str, int], Histogram] = {}

    def new_route(self, route: str, status: int) -> Histogram:
        """Return the histogram of a route and status; finding it again by labels is slow."""
        child = self.of_route[route, status] = self.request_seconds.labels(route, str(status))
        return child

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
