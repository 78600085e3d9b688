"""What is told of every request: one line in the log, and its share of the metrics.

Nothing of what callers send or get is logged: sizes, types and times only.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flask

from facegan.errors import RequestError
from facegan.serving.telemetry.emf import EmbeddedMetrics
from facegan.serving.telemetry.logs import REQUEST_ID, REQUESTS
from facegan.serving.telemetry.metrics import Metrics

log = logging.getLogger(REQUESTS)

# What a caller may call its request, so that its log and ours can be joined; else we name it.
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=;+/-]{0,127}")
# InvokeEndpoint's CustomAttributes: up to 1,024 visible characters of ASCII, blanks between them.
ATTRIBUTES = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
QUIET = {"/ping", "/metrics"}  # asked every few seconds: a line each would fill the log
FACTS_OF_HEADERS = {  # what is logged of them; cut to 128 characters, as callers write them
    "content_type": "Content-Type",
    "accept": "Accept",
    "inference_id": "X-Amzn-SageMaker-Inference-Id",
    "trace_id": "X-Amzn-Trace-Id",
}


class Telemetry:
    """Counts for one app; the observer of its batcher, and of the worker in front of it."""

    def __init__(self, emf: EmbeddedMetrics | None = None) -> None:
        self.is_ready: Callable[[], bool] = lambda: True  # what /ping would say
        self.metrics = Metrics(lambda: self.is_ready())
        self.emf = emf

    def queued(self, images: int) -> None:
        """So many images wait now."""
        self.metrics.queue_images.set(images)
        if self.emf:
            self.emf.queued(images)

    def batch(self, images: int, seconds: float) -> None:
        """So many images were drawn together, in so long."""
        self.metrics.batch_images.observe(images)
        self.metrics.batch_seconds.observe(seconds)
        self.metrics.images.inc(images)
        if self.emf:
            self.emf.count("Images", images)
            self.emf.sample("BatchSize", images)
            self.emf.sample("BatchTime", seconds * 1000)

    def drawn(self, waited_seconds: float, seconds: float) -> None:
        """The wish of the request under way was drawn."""
        self.metrics.queue_seconds.observe(waited_seconds)
        note(queue_ms=round(waited_seconds * 1000, 2), model_ms=round(seconds * 1000, 2))

    def rejected(self, reason: str) -> None:
        """A wish was not taken, or was dropped."""
        self.metrics.rejections.labels(reason).inc()
        if self.emf:
            self.emf.count("Rejections")

    def turned_away(self, status: int, reason: str) -> None:
        """A request was refused before it reached the app; its line names no route."""
        self.rejected(reason)
        self.metrics.request("none", status, 0.0)
        facts = {"route": "none", "status": status, "error": reason}
        log.info("%s %s", status, reason, extra={"facts": facts})

    def answered(self, route: str, facts: dict[str, object], status: int, seconds: float) -> None:
        """A request was answered, to its last byte."""
        self.metrics.request(route, status, seconds)
        if self.emf and route not in QUIET:
            self.emf.count("Requests")
            self.emf.sample("Latency", seconds * 1000)
            if status >= 400:
                self.emf.count("Faults" if status >= 500 else "Refusals")
        level = logging.DEBUG if route in QUIET and status == 200 else logging.INFO
        if log.isEnabledFor(level):
            facts = {"route": route, "status": status, "ms": round(seconds * 1000, 2)} | facts
            log.log(level, "%s %s", status, route, extra={"facts": facts})


def install_telemetry(app: flask.Flask, *, emf: bool = False) -> Telemetry:
    """Watch an app: call it before other handlers are registered, so that it sees all of them.

    Adds ``GET /metrics``, X-Request-Id to every reply, and SageMaker's custom attributes to the
    replies of those who sent some. The worker finds it in ``app.extensions``.

    Args:
        app: The app.
        emf: Whether to write CloudWatch's embedded metrics, a line a minute.

    Returns:
        The observer to hand to the batcher. Set its ``is_ready`` once it can be told.
    """
    telemetry = Telemetry(EmbeddedMetrics() if emf else None)
    metrics = telemetry.metrics
    if telemetry.emf:
        telemetry.emf.write_regularly()
    app.extensions["facegan.telemetry"] = telemetry
    app.before_request(begin)
    app.after_request(lambda response: finish(telemetry, response))

    @app.get("/metrics")
    def tell_metrics() -> flask.Response:
        """Prometheus' own format, whatever Accept says."""
        return flask.Response(metrics.render(), content_type=metrics.content_type)

    return telemetry


def note(**facts: object) -> None:
    """Add facts to the line of the request under way; nothing happens outside of one.

    Known names: ``images``, ``bytes_in``, ``queue_ms``, ``model_ms``, ``error``.
    """
    if flask.has_request_context():
        flask.g.facts.update(facts)


def begin() -> None:
    """Give a request its id and its clock.

    Raises:
        RequestError: the custom attributes are none that SageMaker would pass on.
    """
    headers = flask.request.headers
    asked = headers.get("X-Request-Id", "")
    flask.g.request_id = asked if SANE_ID.fullmatch(asked) else uuid.uuid4().hex
    flask.g.facts, flask.g.began = {}, time.perf_counter()
    flask.g.attributes = None
    REQUEST_ID.set(flask.g.request_id)
    flask.current_app.extensions["facegan.telemetry"].metrics.in_flight.inc()
    attributes = headers.get(CUSTOM)
    if attributes is not None and not ATTRIBUTES.fullmatch(attributes):
        raise RequestError(
            f"{CUSTOM} is not 1 to 1024 visible ASCII characters.", "Shorten or encode it."
        )
    flask.g.attributes = attributes


def finish(telemetry: Telemetry, response: flask.Response) -> flask.Response:
    """Complete a reply's headers, and tell of it once it is sent."""
    g, request = flask.g, flask.request
    response.headers["X-Request-Id"] = g.request_id
    if g.attributes is not None:
        response.headers[CUSTOM] = g.attributes
    route = request.url_rule.rule if request.url_rule else "unknown"
    facts, began, status, request_id = g.facts, g.began, response.status_code, g.request_id
    if route not in QUIET:
        describe(facts, request)
        count_bytes(facts, response)

    def tell() -> None:
        REQUEST_ID.set(request_id)
        telemetry.metrics.in_flight.dec()
        telemetry.answered(route, facts, status, time.perf_counter() - began)
        REQUEST_ID.set("")

    response.call_on_close(tell)
    return response


def describe(facts: dict[str, object], request: flask.Request) -> None:
    """What a request's headers say of it."""
    facts["method"] = request.method
    headers = request.environ
    for name, header in FACTS_OF_HEADERS.items():
        key = "CONTENT_TYPE" if header == "Content-Type" else ENVIRON_NAMES[header]
        if value := headers.get(key):
            facts[name] = value[:128]
    facts.setdefault("bytes_in", request.content_length)


ENVIRON_NAMES = {x: "HTTP_" + x.upper().replace("-", "_") for x in FACTS_OF_HEADERS.values()}


def count_bytes(facts: dict[str, object], response: flask.Response) -> None:
    """How long a reply is; of a streamed one, as it is sent."""
    facts["reply_type"] = response.mimetype
    if not response.is_streamed:
        facts["bytes_out"] = response.calculate_content_length()
        return

    def counted(parts: Iterable[Any]) -> Iterator[Any]:
        total = 0
        try:
            for part in parts:
                total += len(part)
                yield part
        finally:
            facts["bytes_out"] = total
            getattr(parts, "close", lambda: None)()

    response.response = counted(response.response)
