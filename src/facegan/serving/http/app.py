"""The HTTP face of a model: SageMaker's routes, and the one table from error class to status."""

import logging
import math
import time
from collections.abc import Mapping
from functools import partial

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from facegan.errors import (
    FaceGANError,
    MemoryExceeded,
    ModelLoaded,
    NotAcceptable,
    Overloaded,
    RequestError,
    RequestTooLarge,
    ServingUnavailable,
    UnknownModel,
    UnsupportedContentType,
)
from facegan.serving.answer import answer
from facegan.serving.batching.batcher import Batcher
from facegan.serving.batching.deadline import Deadline
from facegan.serving.custom_code.functions import CustomRefusal
from facegan.serving.http.buffered_socket import BufferedSocket
from facegan.serving.http.contract import (
    execution_parameters,
    install_contract,
    routes_of,
    service_info,
)
from facegan.serving.http.event_stream import install_event_stream
from facegan.serving.http.openapi import openapi_document
from facegan.serving.http.shutdown import EXTENSION, ShutdownHooks
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import (
    REPLY_TYPES,
    ServedModel,
    ServingSettings,
    plain_batcher,
    serve,
)
from facegan.serving.telemetry import Telemetry, install_telemetry, note, request_id
from facegan.serving.telemetry.requests import CUSTOM_KEY, check_attributes
from facegan.synthesis import Synthesizer
from facegan.wire import PNG, REQUEST_TYPES

log = logging.getLogger(__name__)

# The nearest class of an error decides. Whatever is no FaceGANError is a fault of ours: 500.
STATUS: dict[type[FaceGANError], int] = {
    RequestError: 400,
    UnknownModel: 404,
    NotAcceptable: 406,
    ModelLoaded: 409,
    RequestTooLarge: 413,
    UnsupportedContentType: 415,
    Overloaded: 429,
    ServingUnavailable: 503,
    MemoryExceeded: 507,
    FaceGANError: 500,
}


def create_app(
    model: Synthesizer | ServedModel,
    *,
    limits: ServingLimits | None = None,
    default_accept: str = PNG,
    batcher: Batcher | None = None,
    threads: int = 16,
    emf: bool = False,
) -> flask.Flask:
    """The WSGI app that serves one model, ready as soon as it is returned.

    Routes (docs.aws.amazon.com/sagemaker, "Use your own inference code with hosting services"):
    ``GET /ping``, ``POST /invocations``; ``POST /endpoints/<name>/invocations`` is the same under
    the path that boto3's sagemaker-runtime client posts to; ``GET /`` is for people.

    Args:
        model: Draws the faces; or a model that is served already, as :func:`open_model` returns it.
        limits: What one request may cost; see :class:`ServingLimits`.
        default_accept: The reply's content type where the caller has no wish.
        batcher: Gathers callers' wishes; without one, one by the limits.
        threads: Requests under way at the same time, told to batch transform jobs.
        emf: Whether to write CloudWatch's embedded metrics to the log.

    Raises:
        ConfigError: `default_accept` is not a type that can be written.
    """
    limits = limits or ServingLimits()
    app, telemetry, shutdown = watched_app(limits, emf)

    def make_batcher(synthesizer: Synthesizer) -> Batcher:
        return batcher or plain_batcher(synthesizer, limits, observer=telemetry)

    settings = ServingSettings(limits, default_accept, make_batcher)
    served = model if isinstance(model, ServedModel) else serve(model, settings)
    served.observe(telemetry)
    telemetry.is_ready = lambda: not (shutdown.has_begun or served.is_closing) and served.is_healthy
    shutdown.close = served.close
    if served.batcher is not None:  # the worker asks before it spends a thread
        app.extensions["facegan.busy_seconds"] = served.batcher.busy_seconds
    info = service_info(served)
    parameters = execution_parameters(limits, threads, info.is_ours)
    install_contract(app, parameters, openapi_document(info, limits, STATUS))

    @app.get("/")
    def hint() -> flask.Response:
        """What this is, for someone who opens it in a browser."""
        return flask.jsonify(describe(served, limits))

    invoke = partial(respond, served, limits)
    for rule in ("/invocations", "/endpoints/<endpoint_name>/invocations"):
        app.add_url_rule(rule, "invoke", invoke, methods=["POST"])
    accept_key = "HTTP_X_AMZN_SAGEMAKER_ACCEPT"
    install_event_stream(app, partial(respond, served, limits, accept_key, is_stream=True))
    return app


def watched_app(limits: ServingLimits, emf: bool) -> tuple[flask.Flask, Telemetry, ShutdownHooks]:
    """An app that is watched, whose every refusal has the one shape, and which answers pings.

    The worker finds its end in ``app.extensions``.
    """
    app = flask.Flask("facegan.serving", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limits.max_body_bytes
    telemetry = install_telemetry(app, emf=emf)
    app.extensions[EXTENSION] = shutdown = ShutdownHooks()
    app.before_request(check_headers)
    app.register_error_handler(FaceGANError, refuse)
    app.register_error_handler(HTTPException, refuse_http)
    app.register_error_handler(Exception, refuse_unforeseen)

    @app.get("/ping")
    def ping() -> flask.Response:
        """200 while requests are answered; 503 where the model is broken, or the server ends."""
        return flask.Response(status=200 if telemetry.is_ready() else 503, mimetype="text/plain")

    return app, telemetry, shutdown


def respond(
    served: ServedModel,
    limits: ServingLimits,
    accept_key: str = "HTTP_ACCEPT",
    is_stream: bool = False,
    endpoint_name: str = "",
) -> flask.Response:
    """Answer the current request with a model.

    Args:
        served: The model.
        limits: Of requests and replies.
        accept_key: Which header says what types of reply are accepted.
        is_stream: Whether the client reads a stream.
        endpoint_name: Of the route; a local server is every endpoint.
    """
    environ = flask.request.environ
    body, content_type = answer(
        read_body(),
        environ.get("CONTENT_TYPE", ""),
        environ.get(accept_key),
        served,
        limits,
        deadline_of(environ, limits.deadline_seconds),
        is_stream,
    )
    return flask.Response(body, content_type=content_type)


def deadline_of(environ: Mapping[str, object], seconds: float) -> Deadline:
    """How long a caller waits from now on, and whether its connection is still there."""
    connection = environ.get("gunicorn.socket")
    if not isinstance(connection, BufferedSocket):
        return Deadline(time.monotonic() + seconds)
    return Deadline(time.monotonic() + seconds, connection.is_open)


def check_headers() -> None:
    """Refuse, on every route alike, a compressed body and attributes that cannot be echoed.

    Raises:
        UnsupportedContentType: Content-Encoding names anything but ``identity``.
        RequestError: Custom attributes that SageMaker would not pass on.
    """
    environ = flask.request.environ
    if attributes := environ.get(CUSTOM_KEY):
        check_attributes(attributes)
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    if any(coding.strip().lower() not in ("", "identity") for coding in encoding.split(",")):
        message = f"Content-Encoding: {encoding[:100]!a} is not decoded here."
        raise UnsupportedContentType(message, "Send the body as it is, without Content-Encoding.")


def read_body() -> bytes:
    """The request's body.

    Raises:
        RequestTooLarge: it is over the limit; told by its length, before it is read, if it has one.
        RequestError: it ends early or is chunked wrongly.
    """
    try:
        body = flask.request.get_data(cache=False)
        flask.request.stream.read(1)  # a chunked body is cut at the limit; only one more read tells
        return body
    except RequestEntityTooLarge as cause:
        limit = flask.request.max_content_length
        raise RequestTooLarge(
            f"The body is larger than {limit:,} bytes.", "Split it into several requests."
        ) from cause
    except Exception as cause:  # the web server's own classes, which differ from server to server
        raise RequestError("The body could not be read to its end.", "Send it again.") from cause


def describe(served: ServedModel, limits: ServingLimits) -> dict[str, object]:
    """What is served and how to ask for it; a model of its owner's own code knows only itself."""
    synthesizer = served.synthesizer
    url = flask.request.host_url.rstrip("/")
    return {
        "what": "facegan: a generative adversarial network that draws faces",
        "model": None if synthesizer is None else facts_of(synthesizer),
        "routes": routes_of(flask.current_app),
        "content_types": list(REQUEST_TYPES),
        "accept": list(REPLY_TYPES),
        "max_images": limits.max_images,
        "example": f"curl {url}/invocations -H 'Content-Type: application/json' "
        "-d '{\"seeds\": [1, 2, 3, 4]}' -o faces.png",
    }


def facts_of(synthesizer: Synthesizer) -> dict[str, object]:
    """What a caller wants to know of a model."""
    card = synthesizer.card
    return {
        "family": card.family,
        "preset": card.preset,
        "resolution": card.resolution,
        "latent_dim": card.latent_dim,
        "classes": [name for name, _ in card.classes],
        "weights_sha256": card.weights_sha256,
        "has_truncation": synthesizer.backend.has_truncation,
        "style_layers": synthesizer.backend.style_layers,
        "kimg": card.kimg,
        "metrics": card.metrics,
    }


def refuse(error: FaceGANError) -> flask.Response:
    """An error of our tree, under its status."""
    status = status_of(error)
    # A caller's mistake has its class in the request's own line; its text may quote the caller.
    level = logging.DEBUG if status < 500 or status == 503 else logging.ERROR
    log.log(level, "%d at request %s: %s", status, request_id(), error, exc_info=status == 500)
    response = refusal(status, type(error).__name__, error.message, error.hint)
    if isinstance(error, ServingUnavailable):
        seconds = error.retry_seconds if isinstance(error, Overloaded) else 1.0
        response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


def status_of(error: FaceGANError) -> int:
    """The status of an error: its owner's choice, or that of the nearest class in the table."""
    if isinstance(error, CustomRefusal):
        return error.status
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def refuse_http(error: HTTPException) -> flask.Response:
    """Flask's own refusals (404, 405 …) in the same shape, with their headers (Allow) kept."""
    name = type(error).__name__
    response = refusal(error.code or 500, name, error.description or error.name, "See GET /.")
    for header, value in error.get_headers():
        if header.lower() != "content-type":
            response.headers[header] = value
    return response


def refuse_unforeseen(error: Exception) -> flask.Response:
    """A fault of ours: the trace is for the log, its id for the caller."""
    log.error("500 at request %s", request_id(), exc_info=error)
    hint = f"The server's log tells why, at the request id {request_id()}."
    return refusal(500, "InternalError", "The server failed while it answered.", hint)


def refusal(status: int, error: str, message: str, hint: str) -> flask.Response:
    """The one shape of every refusal."""
    note(error=error)
    response = flask.jsonify({"error": error, "message": message, "hint": hint})
    response.status_code = status
    return response
