"""WSGI middleware that logs one line per request and updates the metrics.

Contents are never logged, only sizes, types and times. Middleware costs half of what Flask's hooks
would.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import flask

from facegan.serving.batching.batcher import Batcher, BatchObserver
from facegan.serving.telemetry.emf import EmbeddedMetrics
from facegan.serving.telemetry.ids import CUSTOM, is_echoed, name_request
from facegan.serving.telemetry.logs import REQUEST_ID, REQUESTS
from facegan.serving.telemetry.metrics import Metrics
from facegan.wire import bare_type
from facegan.wire.content_types import FORMATS

log = logging.getLogger(REQUESTS)

Environ = dict[str, Any]
CUSTOM_KEY = "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES"
# The facts of the current request in this thread; also while its reply is streamed, when Flask has
# no request any more.
FACTS: ContextVar[dict[str, Any] | None] = ContextVar("facts", default=None)
QUIET = {"/ping", "/metrics"}  # called every few seconds: a line each would fill the log
LOGGED_HEADERS = {  # cut to 128 characters, as clients write them
    "content_type": "CONTENT_TYPE",
    "accept": "HTTP_ACCEPT",
    "inference_id": "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID",
    "trace_id": "HTTP_X_AMZN_TRACE_ID",
}


class Telemetry(BatchObserver):
    """Counts for one app; observes its batcher and the worker in front of it."""

    def __init__(self, emf: EmbeddedMetrics | None = None) -> None:
        self.is_ready: Callable[[], bool] = lambda: True  # what /ping replies
        self.batchers: WeakSet[Batcher] = WeakSet()
        self.metrics = Metrics(lambda: self.is_ready(), self.count_waiting)
        self.emf = emf

    def count_waiting(self) -> int:
        """Return how many images wait in all queues."""
        return sum(batcher.waiting for batcher in self.batchers)

    def watch(self, batcher: Batcher) -> None:
        """Add a batcher whose queue is reported."""
        self.batchers.add(batcher)

    def batch(self, images: int, seconds: float, peak_waiting: int) -> None:
        """Record a batch and its duration."""
        self.metrics.batch_images.observe(images)
        self.metrics.batch_seconds.observe(seconds)
        self.metrics.images.inc(images)
        if self.emf:
            self.emf.count("Images", images)
            self.emf.sample("BatchSize", images)
            self.emf.sample("BatchTime", seconds * 1000)
            self.emf.queued(peak_waiting)

    def drawn(self, waited_seconds: float, seconds: float) -> None:
        """Record how long the current request waited, and how long it took."""
        self.metrics.queue_seconds.observe(waited_seconds)
        if (facts := FACTS.get()) is not None:  # a stream is drawn in slices
            facts["queue_ms"] = round(facts.get("queue_ms", 0.0) + waited_seconds * 1000, 2)
            facts["model_ms"] = round(facts.get("model_ms", 0.0) + seconds * 1000, 2)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused or dropped."""
        self.metrics.rejections.labels(reason).inc()
        if self.emf:
            self.emf.count("Rejections")

    def turned_away(self, status: int, reason: str, own_id: str) -> None:
        """Log and count a request that was refused before it reached the app."""
        self.rejected(reason)
        self.metrics.new_route("none", status).observe(0.0)
        facts = {"route": "none", "status": status, "error": reason}
        token = REQUEST_ID.set(own_id)
        log.info("%s %s", status, reason, extra={"facts": facts})
        REQUEST_ID.reset(token)

    def answered(self, route: str, facts: dict[str, object], status: int, seconds: float) -> None:
        """Log and count a request whose reply was sent."""
        child = self.metrics.of_route.get((route, status))
        (child or self.metrics.new_route(route, status)).observe(seconds)
        if self.emf and route not in QUIET:
            self.emf.count("Requests")
            self.emf.sample("Latency", seconds * 1000)
            if status >= 400:
                self.emf.count("Faults" if status >= 500 else "Refusals")
        level = logging.DEBUG if route in QUIET and status == 200 else logging.INFO
        if log.isEnabledFor(level):
            line = {"route": route, "status": status, "ms": round(seconds * 1000, 2), **facts}
            log.log(level, "%s %s", status, route, extra={"facts": line})


def install_telemetry(app: flask.Flask, *, emf: bool = False) -> Telemetry:
    """Add telemetry to an app; return the observer for its batcher.

    Adds ``GET /metrics``, X-Request-Id to every reply, and SageMaker's custom attributes to the
    replies to requests with some. The worker finds the observer in ``app.extensions``; its
    ``is_ready`` is to be set.
    """
    telemetry = Telemetry(EmbeddedMetrics() if emf else None)
    if telemetry.emf:
        telemetry.emf.write_regularly()
    app.extensions["facegan.telemetry"] = telemetry
    app.wsgi_app = Middleware(app, telemetry)  # type: ignore[method-assign]  # as Flask advises

    @app.get("/metrics")
    def metrics() -> flask.Response:
        """Return Prometheus' own format, whatever Accept says."""
        return flask.Response(
            telemetry.metrics.render(), content_type=telemetry.metrics.content_type
        )

    return telemetry


def note(**facts: object) -> None:
    """Add facts to the current request's log line; do nothing outside of a request.

    Known names: ``images``, ``bytes_in``, ``queue_ms``, ``model_ms``, ``error``.
    """
    if (known := FACTS.get()) is not None:
        known.update(facts)


def request_id() -> str:
    """Return the current request's id; empty outside of a request."""
    return REQUEST_ID.get()


class Middleware:
    """A Flask app as WSGI that names, times and logs every request."""

    def __init__(self, app: flask.Flask, telemetry: Telemetry) -> None:
        self.app, self.inner, self.telemetry = app, app.wsgi_app, telemetry
        self.plain_routes: set[str] = set()
        self.patterns: list[tuple[re.Pattern[str], str]] = []

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        own_id = name_request(environ.get("HTTP_X_REQUEST_ID"))
        REQUEST_ID.set(own_id)
        reply = Reply(self, environ, own_id, start_response)
        self.telemetry.metrics.in_flight.inc()
        try:
            reply.parts = self.inner(environ, reply.start)
        except BaseException:
            reply.close()
            raise
        return reply

    def route_of(self, path: str) -> str:
        """Return the route of a path, or "unknown": a small set, whatever clients request."""
        if not self.plain_routes:  # all are registered once requests come
            for rule in self.app.url_map.iter_rules():
                if "<" in rule.rule:
                    text = re.sub(r"<[^>]+>", "[^/]+", re.sub(r"<path:[^>]+>", ".+", rule.rule))
                    self.patterns.append((re.compile(text), rule.rule))
            self.plain_routes = {x.rule for x in self.app.url_map.iter_rules() if "<" not in x.rule}
        if path in self.plain_routes:
            return path
        return next((rule for pattern, rule in self.patterns if pattern.fullmatch(path)), "unknown")


class Reply:
    """One reply: completes its headers, counts its bytes, and logs it when it was sent."""

    def __init__(self, middleware: Middleware, environ: Environ, own_id: str, start: Any) -> None:
        self.middleware, self.environ = middleware, environ
        self.own_id, self.start_response = own_id, start
        self.facts: dict[str, object] = {}
        FACTS.set(self.facts)
        self.parts: Iterable[bytes] = ()
        self.began, self.status, self.bytes_out, self.is_closed = time.perf_counter(), 500, 0, False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Complete the headers; the app calls this as its ``start_response``."""
        self.status = int(status[:3])
        headers.append(("X-Request-Id", self.own_id))
        attributes = self.environ.get(CUSTOM_KEY)
        if attributes is not None and is_echoed(attributes):
            headers.append((CUSTOM, attributes))
        return self.start_response(status, headers, exc_info)

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.bytes_out += len(part)
            yield part

    def close(self) -> None:
        """Log the reply, which was sent, or whose client is gone."""
        if self.is_closed:
            return
        self.is_closed = True
        if (close := getattr(self.parts, "close", None)) is not None:
            close()
        telemetry = self.middleware.telemetry
        telemetry.metrics.in_flight.dec()
        path = self.environ.get("PATH_INFO", "")
        middleware = self.middleware
        route = path if path in middleware.plain_routes else middleware.route_of(path)
        if route not in QUIET:
            self.describe()
        REQUEST_ID.set(self.own_id)
        seconds = time.perf_counter() - self.began
        telemetry.answered(route, self.facts, self.status, seconds)
        REQUEST_ID.set("")
        FACTS.set(None)

    def describe(self) -> None:
        """Add what the request's head says to the facts."""
        facts, environ = self.facts, self.environ
        facts["method"] = environ.get("REQUEST_METHOD", "")[:16]
        for name, key in LOGGED_HEADERS.items():
            if value := environ.get(key):
                facts[name] = value[:128]
        if (media_type := bare_type(environ.get("CONTENT_TYPE"))) in FORMATS:
            facts["content_type"] = media_type  # its parameters are a request's fields
        if "bytes_in" not in facts:
            length = environ.get("CONTENT_LENGTH") or ""
            facts["bytes_in"] = int(length) if length.isdecimal() else None
        facts["bytes_out"] = self.bytes_out
