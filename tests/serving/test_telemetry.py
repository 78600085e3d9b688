"""Telemetry: one log line per request, Prometheus metrics, CloudWatch's embedded metrics."""

import io
import json
import logging
import logging.config
import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.serving import create_app
from facegan.serving.telemetry.emf import EmbeddedMetrics
from facegan.serving.telemetry.logs import (
    REQUEST_ID,
    REQUESTS,
    JsonFormatter,
    TextFormatter,
    logging_settings,
)
from facegan.synthesis import InputBatch, Synthesizer
from facegan.synthesis.torch_backend import TorchBackend
from facegan.wire import JSON_LINES

CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


class Reader(FlaskClient):
    """A client that reads replies to their end, which is when the line is logged."""

    def open(self, *args: object, **kwargs: object) -> TestResponse:
        return super().open(*args, **kwargs | {"buffered": True})  # type: ignore[arg-type]


def reader_of(app: Flask) -> FlaskClient:
    app.test_client_class = Reader
    return app.test_client()


@pytest.fixture
def own(artifact: Artifact) -> FlaskClient:
    """A new app, whose counters start at 0."""
    return reader_of(create_app(Synthesizer(artifact)))


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict]]]:
    """Return the request lines logged so far, parsed from JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger(REQUESTS)
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)
    log.setLevel(before)


def metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and its label values."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


# --- the log ----------------------------------------------------------------------------------


def test_request_is_one_log_line(own: FlaskClient, lines) -> None:
    headers = {"X-Amzn-SageMaker-Inference-Id": "mine-1", "Accept": "application/x-npy"}
    reply = own.post("/invocations", json={"seeds": [1, 2]}, headers=headers)
    (line,) = lines()
    logged = {name: line[name] for name in ("route", "status", "method", "images", "level")}
    assert logged == {
        "route": "/invocations", "status": 200, "method": "POST", "images": 2, "level": "INFO",
    }  # fmt: skip
    assert line["request_id"] == reply.headers["X-Request-Id"]
    assert (line["bytes_in"], line["bytes_out"]) == (len(b'{"seeds": [1, 2]}'), len(reply.data))
    assert (line["content_type"], line["accept"]) == ("application/json", "application/x-npy")
    assert line["inference_id"] == "mine-1"
    assert 0 <= line["queue_ms"] <= line["ms"] and 0 < line["model_ms"] <= line["ms"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


@pytest.mark.parametrize("path", [
    "/invocations", "/endpoints/x/invocations-response-stream",
])  # fmt: skip
def test_stream_is_one_log_line_when_its_last_piece_is_sent(
    artifact: Artifact, lines, path: str
) -> None:
    """It has all bytes, all images and the time of all slices; the metrics count one request."""
    client = create_app(Synthesizer(artifact)).test_client()
    headers = {"Accept": JSON_LINES, "X-Amzn-SageMaker-Accept": JSON_LINES}
    body = {"seeds": list(range(40))}
    reply = client.post(path, json=body, headers=headers, buffered=False)
    pieces = reply.iter_encoded()
    sent = len(next(pieces))
    assert lines() == [], "a running request is not logged yet"
    watcher = Reader(client.application)
    assert metrics(watcher)["facegan_requests_in_flight",] == 2, "the stream, and this request"
    sent += sum(map(len, pieces))
    reply.close()
    (line,) = lines()
    assert (line["status"], line["images"], line["bytes_out"]) == (200, 40, sent)
    assert line["request_id"] == reply.headers["X-Request-Id"] and "error" not in line
    assert 0 < line["model_ms"] <= line["ms"]
    route = "/invocations" if path == "/invocations" else path.replace("x", "<endpoint_name>")
    values = metrics(watcher)
    assert values["facegan_request_seconds_count", route, "200"] == 1
    assert values["facegan_images_total",] == 41 and values["facegan_requests_in_flight",] == 1


def test_broken_stream_is_logged_with_its_error(
    artifact: Artifact, lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status was sent long before."""
    calls = iter(range(9))
    draw = TorchBackend.generate

    def fail_later(self: TorchBackend, batch: InputBatch) -> object:
        if next(calls) > 1:  # one before it is ready, then the first slice
            raise ZeroDivisionError
        return draw(self, batch)

    monkeypatch.setattr(TorchBackend, "generate", fail_later)
    client = reader_of(create_app(Synthesizer(artifact)))
    body = {"seeds": list(range(40))}
    client.post("/invocations", json=body, headers={"Accept": JSON_LINES})
    (line,) = lines()
    assert (line["status"], line["error"], line["images"]) == (200, "InternalError", 40)


def test_no_payload_is_logged(own: FlaskClient, lines, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    own.post("/invocations", json={"seeds": [424242], "SECRET": 1})
    assert lines()[0]["error"] == "RequestError"
    assert "SECRET" not in caplog.text and "424242" not in json.dumps(lines())


@pytest.mark.parametrize("path", ["/ping", "/metrics"])
def test_pings_do_not_fill_the_log(own: FlaskClient, lines, path: str) -> None:
    assert own.get(path).status_code == 200
    assert lines() == []


def test_a_path_that_does_not_exist_is_not_a_route(own: FlaskClient, lines) -> None:
    """A vulnerability scanner must not multiply the metrics."""
    own.get("/wp-login.php")
    assert lines()[0]["route"] == "unknown"
    assert not any("wp-login" in "".join(key) for key in metrics(own))


@given(text=ANY_TEXT, name=ANY_TEXT)
def test_any_record_is_one_line(text: str, name: str) -> None:
    record = logging.LogRecord(name, logging.INFO, "", 0, "%s", (text,), None)
    record.facts = {"accept": text}
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1 and line.isascii() and line.isprintable()
    assert (json.loads(line)["message"], json.loads(line)["accept"]) == (text, text)
    assert len(TextFormatter().format(record).splitlines()) == 1


def test_traceback_is_in_its_line() -> None:
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as error:
        info = (type(error), error, error.__traceback__)
    REQUEST_ID.set("abc")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "500", None, info)
    line = json.loads(JsonFormatter().format(record))
    REQUEST_ID.set("")
    assert "ZeroDivisionError: why" in line["trace"] and line["request_id"] == "abc"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_logging_accepts_the_settings(log_format: str) -> None:
    logging.config.DictConfigurator(logging_settings(log_format, "INFO")).configure_formatter(
        logging_settings(log_format, "INFO")["formatters"]["line"]
    )


# --- ids and attributes -----------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "is_kept"), [
    ("abc-1.2_3", True), ("Root=1-67891233-abcdef;Sampled=1", True), ("a" * 128, True),
    ("a" * 129, False), ("a b", False), ('"', False), ("-a", False), ("é", False), ("", False),
])  # fmt: skip
def test_valid_client_id_is_kept(client: FlaskClient, sent: str, is_kept: bool) -> None:
    returned = client.get("/ping", headers={"X-Request-Id": sent}).headers["X-Request-Id"]
    assert (returned == sent) if is_kept else re.fullmatch("[0-9a-f]{32}", returned)


@pytest.mark.parametrize("sent", ["a", "trace=1 2,3", "~" * 1024])
@pytest.mark.parametrize("seeds", [[1], []])
def test_custom_attributes_are_returned_unchanged(
    client: FlaskClient, sent: str, seeds: list[int]
) -> None:
    """Also with an error."""
    reply = client.post("/invocations", json={"seeds": seeds}, headers={CUSTOM: sent})
    assert reply.status_code == (200 if seeds else 400)
    assert reply.headers[CUSTOM] == sent


@pytest.mark.parametrize("sent", ["a" * 1025, "é", "a\tb"])
def test_custom_attributes_that_sagemaker_would_not_pass_on_are_400(
    client: FlaskClient, sent: str
) -> None:
    reply = client.post("/invocations", json={"seeds": [1]}, headers={CUSTOM: sent})
    assert reply.status_code == 400 and CUSTOM in reply.get_json()["message"]
    assert CUSTOM not in reply.headers


# --- Prometheus -------------------------------------------------------------------------------


def test_the_metrics_count_what_happened(own: FlaskClient) -> None:
    own.post("/invocations", json={"seeds": [1, 2, 3]})
    own.post("/invocations", json={"seeds": []})
    values = metrics(own)
    assert values["facegan_request_seconds_count", "/invocations", "200"] == 1
    assert values["facegan_request_seconds_count", "/invocations", "400"] == 1
    assert values["facegan_images_total",] == 4, "three, and one before it was ready"
    assert values["facegan_batch_images_count",] == 2
    assert values["facegan_batch_seconds_sum",] > 0
    assert values["facegan_queue_images",] == 0
    assert values["facegan_ready",] == 1
    assert values["facegan_requests_in_flight",] == 1, "this request"
    assert values["process_resident_memory_bytes",] > 1e7


def test_two_apps_count_apart(own: FlaskClient, artifact: Artifact) -> None:
    other = reader_of(create_app(Synthesizer(artifact)))
    own.post("/invocations", json={"seeds": [1]})
    assert ("facegan_request_seconds_count", "/invocations", "200") not in metrics(other)


def test_the_worker_and_the_batcher_count_by_reason(own: FlaskClient) -> None:
    telemetry = own.application.extensions["facegan.telemetry"]
    telemetry.turned_away(408, "RequestTimeout", "a")
    telemetry.rejected("overload")
    values = metrics(own)
    assert values["facegan_rejections_total", "RequestTimeout"] == 1
    assert values["facegan_rejections_total", "overload"] == 1
    assert values["facegan_request_seconds_count", "none", "408"] == 1


# --- CloudWatch -------------------------------------------------------------------------------


def test_an_embedded_metric_line_is_valid_by_the_specification() -> None:
    """Each metric is named once, with a CloudWatch unit and a member."""
    emf = EmbeddedMetrics()
    for number in range(1000):
        emf.count("Requests")
        emf.sample("Latency", float(number))
    emf.queued(7)
    emf.queued(3)
    line = json.loads(emf.take_line(now=1_700_000_000.5))
    assert line["_aws"]["Timestamp"] == 1_700_000_000_500
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert all(name in line for names in directive["Dimensions"] for name in names)
    assert len({metric["Name"] for metric in directive["Metrics"]}) == len(directive["Metrics"])
    for metric in directive["Metrics"]:
        assert metric["Unit"] in ("Count", "Milliseconds")
        value = line[metric["Name"]]
        assert isinstance(value, int | float) or 0 < len(value) <= 100
    assert (line["Requests"], line["QueueImages"]) == (1000, 7)
    assert 300 < sum(line["Latency"]) / 100 < 700, "an even sample of 0 … 999"


def test_a_period_begins_at_zero() -> None:
    emf = EmbeddedMetrics()
    emf.count("Images", 5)
    assert json.loads(emf.take_line())["Images"] == 5
    line = json.loads(emf.take_line())
    assert line["Images"] == 0 and "Latency" not in line


def test_embedded_metrics_are_written_if_enabled(artifact: Artifact) -> None:
    app: Flask = create_app(Synthesizer(artifact), emf=True)
    client = reader_of(app)
    client.post("/invocations", json={"seeds": [1, 2]})
    client.get("/ping")
    line = json.loads(app.extensions["facegan.telemetry"].emf.take_line())
    assert (line["Requests"], line["Images"], line["Faults"]) == (1, 3, 0)


# --- batch transform --------------------------------------------------------------------------


@pytest.mark.parametrize(("payload_mb", "threads", "concurrent"), [
    (6, 16, 16), (6, 64, 16), (100, 16, 1), (20, 4, 4),
])  # fmt: skip
def test_execution_parameters_are_valid_for_a_transform_job(
    artifact: Artifact, payload_mb: int, threads: int, concurrent: int
) -> None:
    """CreateTransformJob: concurrency times payload is at most 100 MB."""
    from facegan.serving.limits import ServingLimits

    limits = ServingLimits(max_body_bytes=payload_mb * 2**20)
    client = create_app(Synthesizer(artifact), limits=limits, threads=threads).test_client()
    parameters = client.get("/execution-parameters").get_json()
    assert parameters["BatchStrategy"] in ("SINGLE_RECORD", "MULTI_RECORD")
    assert (parameters["MaxConcurrentTransforms"], parameters["MaxPayloadInMB"]) == (
        concurrent,
        payload_mb,
    )
