"""SageMaker's contract of many models in one container, over HTTP.

Source: docs.aws.amazon.com/sagemaker, "Custom Containers Contract for Multi-Model Endpoints".
SageMaker unpacks a model, has it loaded by POST /models, and unloads others itself when it is told
507. A name is opaque: whatever stands between /models/ and /invoke, also with slashes in it.
"""

import contextlib
import json
from typing import Any

import flask
from werkzeug.routing import BaseConverter

from facegan.errors import (
    ArtifactError,
    FaceGANError,
    MemoryExceeded,
    RequestError,
    RequestTooLarge,
    UnsupportedContentType,
    is_out_of_memory,
)
from facegan.serving.http.app import STATUS, read_body, respond, watched_app
from facegan.serving.http.contract import execution_parameters, install_contract, routes_of
from facegan.serving.http.openapi_models import openapi_of_models
from facegan.serving.limits import ServingLimits
from facegan.serving.model.paths import check_name
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.registry_entry import RegistryEntry
from facegan.serving.model.served_model import ServedModel
from facegan.wire import JSON, bare_type
from facegan.wire.request_codecs import unique_fields

MAX_WISH_BYTES = 128 * 1024
PAGE = 100  # models in one answer
MAX_PAGE = 1000
EXAMPLE = 'Example: {"model_name": "faces", "url": "/opt/ml/models/faces/model"}'


class OpaqueName(BaseConverter):
    """A model's name in an address: anything."""

    regex = r"[\s\S]+?"
    part_isolating = False


def create_models_app(
    registry: ModelRegistry, *, limits: ServingLimits, threads: int = 16, emf: bool = False
) -> flask.Flask:
    """The WSGI app that serves the models of a registry; it is ready without any.

    Args:
        registry: The models.
        limits: What one request may cost; those of the registry's models, too.
        threads: Requests under way at the same time, told to batch transform jobs.
        emf: Whether to write CloudWatch's embedded metrics to the log.
    """
    app, telemetry, shutdown = watched_app(limits, emf)
    registry.observer = telemetry
    telemetry.is_ready = lambda: not registry.is_closing and registry.is_healthy
    shutdown.begin_closing, shutdown.close = registry.stop_loading, registry.close

    @app.get("/")
    def hint() -> flask.Response:
        """What this is, for someone who opens it in a browser."""
        what = "facegan: many models that draw faces"
        told = {"what": what, "models": registry.usage(), "routes": routes_of(app)}
        return flask.jsonify(told)

    install_models(app, registry, limits)
    # Lines of several records are answered by our models, but not by code that one may bring.
    parameters = execution_parameters(limits, threads, reads_lines=False)
    install_contract(app, parameters, openapi_of_models(limits, STATUS))
    return app


def install_models(app: flask.Flask, registry: ModelRegistry, limits: ServingLimits) -> None:
    """Add the routes of the contract to an app."""
    app.url_map.converters["opaque"] = OpaqueName
    app.url_map.merge_slashes = False  # a name may have two in a row, or one at its end

    @app.post("/models")
    def load() -> flask.Response:
        """Load a model: 409 if the name is taken, 507 if there is no room."""
        name, url = wish_of(read_body(), flask.request.headers.get("Content-Type"))
        try:
            entry = registry.load(name, url)
        except ArtifactError as error:
            raise RequestError(error.message, error.hint) from error
        return flask.jsonify(describe(entry))

    @app.get("/models")
    def list_models() -> flask.Response:
        """The models that are loaded, a page at a time."""
        arguments = flask.request.args
        entries, token = registry.page(
            page_size(arguments.get("limit", "")), arguments.get("next_page_token", "")
        )
        answer: dict[str, Any] = {"models": [describe(entry) for entry in entries]}
        return flask.jsonify(answer | ({"nextPageToken": token} if token else {}))

    @app.get("/models/<opaque:name>")
    def get(name: str) -> flask.Response:
        """One model; 404 if it is not loaded."""
        return flask.jsonify(describe(registry.get(name)))

    @app.delete("/models/<opaque:name>")
    def unload(name: str) -> flask.Response:
        """Unload a model; who draws with it finishes. 404 if it is not loaded."""
        registry.unload(name)
        return flask.jsonify({"modelName": name})

    @app.post("/models/<opaque:name>/invoke")
    def invoke(name: str) -> flask.Response:
        """As POST /invocations; 404 if the model is not loaded, 507 if its memory runs out."""
        with contextlib.ExitStack() as borrowed:
            response = answer_within(borrowed.enter_context(registry.acquire(name)), limits)
            if response.is_streamed:  # the model is needed until the last piece is sent
                response.call_on_close(borrowed.pop_all().close)
            return response


def answer_within(served: ServedModel, limits: ServingLimits) -> flask.Response:
    """Answer the request at hand with a model.

    Raises:
        MemoryExceeded: there was no memory for it.
    """
    try:
        return respond(served, limits, flask.request.headers.get("Accept"))
    except FaceGANError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        hint = "Ask for fewer images at a time."
        raise MemoryExceeded("Memory ran out while the model drew.", hint) from error


def wish_of(body: bytes, content_type: str | None) -> tuple[str, str]:
    """The name and the folder of a request to load a model.

    Raises:
        RequestError: it is none.
    """
    if bare_type(content_type) != JSON:
        raise UnsupportedContentType("A model is loaded by a JSON body.", EXAMPLE)
    if len(body) > MAX_WISH_BYTES:
        told = f"The body is {len(body):,} bytes; a name and a folder need at most"
        raise RequestTooLarge(f"{told} {MAX_WISH_BYTES:,}.", EXAMPLE)
    try:
        wish = json.loads(body, object_pairs_hook=unique_fields)
    except (ValueError, RecursionError) as cause:
        raise RequestError("The body is not JSON, or holds a field twice.", EXAMPLE) from cause
    if not isinstance(wish, dict) or not isinstance(wish.get("url"), str):
        raise RequestError("The body does not say model_name and url.", EXAMPLE)
    return check_name(wish.get("model_name")), wish["url"]


def page_size(text: str) -> int:
    """How many models to tell at a time.

    Raises:
        RequestError: it is no number from 1 to 1,000.
    """
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
        raise RequestError("limit is no number from 1 to 1,000.", "Leave it out.")
    return int(text)


def describe(entry: RegistryEntry) -> dict[str, str]:
    """A model in the contract's words."""
    return {"modelName": entry.name, "modelUrl": entry.url}
