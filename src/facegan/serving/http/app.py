"""The Flask app of one model: SageMaker's routes, and the table from error class to HTTP status."""

import functools
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
from facegan.serving.batching.deadline import Deadline
from facegan.serving.custom_code.functions import OwnRefusal
from facegan.serving.http.buffered_socket import BufferedSocket
from facegan.serving.http.contract import (
    execution_parameters,
    install_contract,
    service_info,
)
from facegan.serving.http.event_stream import install_event_stream
from facegan.serving.http.front_page import describe
from facegan.serving.http.negotiation import negotiate
from facegan.serving.http.openapi import openapi_document
from facegan.serving.http.shutdown import EXTENSION, ShutdownHooks
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import (
    ServedModel,
    ServingSettings,
    plain_batcher,
    serve,
)
from facegan.serving.telemetry.ids import CUSTOM, is_echoed
from facegan.serving.telemetry.requests import (
    CUSTOM_KEY,
    Telemetry,
    install_telemetry,
    note,
    request_id,
)
from facegan.synthesis import Synthesizer
from facegan.wire import JSON, MAX_ABOUT_BYTES, PNG, asks_about

log = logging.getLogger(__name__)

# The nearest class of an error decides. An error that is not a FaceGANError is a bug: 500.
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
    threads: int = 16,
    emf: bool = False,
) -> flask.Flask:
    """Return the WSGI app that serves one model; it is ready at once.

    Routes (docs.aws.amazon.com/sagemaker, "Use your own inference code with hosting services"):
    ``GET /ping``, ``POST /invocations``; ``POST /endpoints/<name>/invocations`` is the same under
    the path that boto3's sagemaker-runtime client posts to; ``GET /`` is for people.

    Args:
        model: The model, or a served one as :func:`open_model` returns it.
        limits: What one request may cost; see :class:`ServingLimits`.
        default_accept: The content type of replies if Accept names none.

        threads: Requests that batch transform jobs may send at the same time.
        emf: Whether to write CloudWatch's embedded metrics to the log.
    """
    limits = limits or ServingLimits()
    app, telemetry, shutdown = base_app(limits, emf)

    make_batcher = functools.partial(plain_batcher, limits=limits, observer=telemetry)
    settings = ServingSettings(limits, default_accept, make_batcher)
    served = model if isinstance(model, ServedModel) else serve(model, settings)
    served.observe(telemetry)
    telemetry.is_ready = lambda: not (shutdown.has_begun or served.is_closing) and served.is_healthy
    shutdown.close = served.close
    if served.batcher is not None:  # the worker checks it before it spends a thread
        app.extensions["facegan.busy_seconds"] = served.batcher.busy_seconds
    info = service_info(served)
    parameters = execution_parameters(limits, threads, info.joins_records)
    install_contract(app, parameters, openapi_document(info, limits, STATUS))

    @app.get("/")
    def hint() -> flask.Response:
        """Describe the server to a person with a browser."""
        return flask.jsonify(describe(served, limits))

    invoke = partial(respond, served, limits)
    for rule in ("/invocations", "/endpoints/<endpoint_name>/invocations"):
        app.add_url_rule(rule, "invoke", invoke, methods=["POST"])
    accept_key = "HTTP_X_AMZN_SAGEMAKER_ACCEPT"
    install_event_stream(app, partial(respond, served, limits, accept_key, is_stream=True))
    return app


def base_app(limits: ServingLimits, emf: bool) -> tuple[flask.Flask, Telemetry, ShutdownHooks]:
    """Return an app with telemetry, error replies as JSON, and ``GET /ping``."""
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
        """Return 200 while requests are answered; 503 if the model broke or the server stops."""
        return flask.Response(status=200 if telemetry.is_ready() else 503, mimetype="text/plain")

    return app, telemetry, shutdown


def respond(
    served: ServedModel,
    limits: ServingLimits,
    accept_key: str = "HTTP_ACCEPT",
    is_stream: bool = False,
    endpoint_name: str = "",
) -> flask.Response:
    """Answer the current request with a model, or say what it takes: ``{"about": true}``."""
    environ = flask.request.environ
    body, content_type = read_body(), environ.get("CONTENT_TYPE", "")
    accept = environ.get(accept_key)
    may_ask = served.input_fn is None and b'"about"' in body[:MAX_ABOUT_BYTES]
    if may_ask and asks_about(body, content_type):
        negotiate(accept, (JSON,), JSON)
        return flask.jsonify(describe(served, limits))
    reply, reply_type = answer(
        body,
        content_type,
        accept,
        served,
        limits,
        deadline_of(environ, limits.deadline_seconds),
        is_stream,
    )
    return flask.Response(reply, content_type=reply_type)


def deadline_of(environ: Mapping[str, object], seconds: float) -> Deadline:
    """Return the deadline of a request that begins now, with a check of its connection."""
    connection = environ.get("gunicorn.socket")
    if not isinstance(connection, BufferedSocket):
        return Deadline(time.monotonic() + seconds)
    return Deadline(time.monotonic() + seconds, connection.is_open)


def check_headers() -> None:
    """Refuse, on every route alike, a compressed body and attributes that cannot be echoed."""
    environ = flask.request.environ
    if (attributes := environ.get(CUSTOM_KEY)) and not is_echoed(attributes):
        message = f"{CUSTOM} is not 1 to 1024 visible ASCII characters."
        raise RequestError(message, "Shorten or encode it.")
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    if any(coding.strip().lower() not in ("", "identity") for coding in encoding.split(",")):
        message = f"Content-Encoding: {encoding[:100]!a} is not decoded here."
        raise UnsupportedContentType(message, "Send the body as it is, without Content-Encoding.")


def read_body() -> bytes:
    """Return the request's body; refuse one that is too large, or that ends early."""
    try:
        body = flask.request.get_data(cache=False)
        flask.request.stream.read(1)  # a chunked body is cut at the limit; one more read raises
        return body
    except RequestEntityTooLarge as cause:
        limit = flask.request.max_content_length
        raise RequestTooLarge(
            f"The body is larger than {limit:,} bytes.", "Split it into several requests."
        ) from cause
    except Exception as cause:  # classes that differ from web server to web server
        raise RequestError("The body could not be read to its end.", "Send it again.") from cause


def refuse(error: FaceGANError) -> flask.Response:
    """Reply to a FaceGANError with its status."""
    status = status_of(error)
    # The request's own log line has the class of a client's error; its text may quote the client.
    level = logging.DEBUG if status < 500 or status == 503 else logging.ERROR
    log.log(level, "%d at request %s: %s", status, request_id(), error, exc_info=status == 500)
    response = refusal(status, type(error).__name__, error.message, error.hint)
    if isinstance(error, ServingUnavailable):
        seconds = error.retry_seconds if isinstance(error, Overloaded) else 1.0
        response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


def status_of(error: FaceGANError) -> int:
    """Return an error's status: custom code's choice, or that of the nearest class in the table."""
    if isinstance(error, OwnRefusal):
        return error.status
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def refuse_http(error: HTTPException) -> flask.Response:
    """Reply to Flask's own errors (404, 405 …), with their headers (Allow)."""
    name = type(error).__name__
    response = refusal(error.code or 500, name, error.description or error.name, "See GET /.")
    for header, value in error.get_headers():
        if header.lower() != "content-type":
            response.headers[header] = value
    return response


def refuse_unforeseen(error: Exception) -> flask.Response:
    """Reply to a bug: the log gets the traceback, the client the request's id."""
    log.error("500 at request %s", request_id(), exc_info=error)
    hint = f"See the server's log for the request id {request_id()}."
    return refusal(500, "InternalError", "The server failed while it answered.", hint)


def refusal(status: int, error: str, message: str, hint: str) -> flask.Response:
    """Return the JSON of every error reply."""
    note(error=error)
    response = flask.jsonify({"error": error, "message": message, "hint": hint})
    response.status_code = status
    return response
