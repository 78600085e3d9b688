"""Routes of a server of many models: load, list, unload and invoke.

Source: docs.aws.amazon.com/sagemaker, "Custom Containers Contract for Multi-Model Endpoints".
SageMaker unpacks a model and loads it by POST /models; when it gets 507, it unloads others. A name
is opaque: anything between /models/ and /invoke, slashes included.
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
from facegan.serving.http.app import STATUS, base_app, read_body, respond
from facegan.serving.http.contract import execution_parameters, install_contract, routes_of
from facegan.serving.http.openapi_models import openapi_of_models
from facegan.serving.limits import ServingLimits
from facegan.serving.model.paths import check_name
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.registry_entry import RegistryEntry
from facegan.serving.model.served_model import ServedModel
from facegan.wire import JSON, bare_type
from facegan.wire.request_codecs import unique_fields

MAX_BODY_BYTES = 128 * 1024
PAGE = 100  # models in one reply
MAX_PAGE = 1000
EXAMPLE = 'Example: {"model_name": "faces", "url": "/opt/ml/models/faces/model"}'


class OpaqueName(BaseConverter):
    """A model's name in a URL: anything."""

    regex = r"[\s\S]+?"
    part_isolating = False


def create_models_app(
    registry: ModelRegistry, *, limits: ServingLimits, threads: int = 16, emf: bool = False
) -> flask.Flask:
    """Return the WSGI app that serves the models of a registry; it is ready without any."""
    app, telemetry, shutdown = base_app(limits, emf)
    registry.observer = telemetry
    telemetry.is_ready = lambda: not registry.is_closing and registry.is_healthy
    shutdown.begin_closing, shutdown.close = registry.stop_loading, registry.close

    @app.get("/")
    def hint() -> flask.Response:
        """Describe the server to a person with a browser."""
        what = "facegan: many models that draw faces"
        return flask.jsonify(what=what, models=registry.usage(), routes=routes_of(app))

    install_models(app, registry, limits)
    # The custom code of a model may not expect several records in one body.
    parameters = execution_parameters(limits, threads, joins_records=False)
    install_contract(app, parameters, openapi_of_models(limits, STATUS))
    return app


def install_models(app: flask.Flask, registry: ModelRegistry, limits: ServingLimits) -> None:
    """Add the contract's routes to an app."""
    app.url_map.converters["opaque"] = OpaqueName
    app.url_map.merge_slashes = False  # a name may have two in a row, or one at its end

    @app.post("/models")
    def load() -> flask.Response:
        """Load a model: 409 if the name is taken, 507 if there is no room."""
        name, url = parse_load_request(read_body(), flask.request.headers.get("Content-Type"))
        try:
            entry = registry.load(name, url)
        except ArtifactError as error:
            raise RequestError(error.message, error.hint) from error
        return flask.jsonify(describe(entry))

    @app.get("/models")
    def list_models() -> flask.Response:
        """List the loaded models, one page at a time."""
        arguments = flask.request.args
        entries, token = registry.page(
            page_size(arguments.get("limit", "")), arguments.get("next_page_token", "")
        )
        answer: dict[str, Any] = {"models": [describe(entry) for entry in entries]}
        return flask.jsonify(answer | ({"nextPageToken": token} if token else {}))

    @app.get("/models/<opaque:name>")
    def get(name: str) -> flask.Response:
        """Describe a model; 404 if it is not loaded."""
        return flask.jsonify(describe(registry.get(name)))

    @app.delete("/models/<opaque:name>")
    def unload(name: str) -> flask.Response:
        """Unload a model after its requests have finished; 404 if it is not loaded."""
        registry.unload(name)
        return flask.jsonify({"modelName": name})

    @app.post("/models/<opaque:name>/invoke")
    def invoke(name: str) -> flask.Response:
        """Draw as POST /invocations; 404 if the model is not loaded, 507 if memory runs out."""
        with contextlib.ExitStack() as acquired:
            response = answer_within(acquired.enter_context(registry.acquire(name)), limits)
            if response.is_streamed:  # the model is needed until the last piece is sent
                response.call_on_close(acquired.pop_all().close)
            return response


def answer_within(served: ServedModel, limits: ServingLimits) -> flask.Response:
    """Answer the current request with a model."""
    try:
        return respond(served, limits)
    except FaceGANError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        hint = "Ask for fewer images at a time."
        raise MemoryExceeded("Memory ran out while the model drew.", hint) from error


def parse_load_request(body: bytes, content_type: str | None) -> tuple[str, str]:
    """Return the name and the folder in a request to load a model."""
    if bare_type(content_type) != JSON:
        raise UnsupportedContentType("A model is loaded by a JSON body.", EXAMPLE)
    if len(body) > MAX_BODY_BYTES:
        message = f"The body is {len(body):,} bytes; a name and a folder need at most"
        raise RequestTooLarge(f"{message} {MAX_BODY_BYTES:,}.", EXAMPLE)
    try:
        fields = json.loads(body, object_pairs_hook=unique_fields)
    except (ValueError, RecursionError) as cause:
        raise RequestError("The body is not JSON, or holds a field twice.", EXAMPLE) from cause
    if not isinstance(fields, dict) or not isinstance(fields.get("url"), str):
        raise RequestError("The body lacks model_name or url.", EXAMPLE)
    return check_name(fields.get("model_name")), fields["url"]


def page_size(text: str) -> int:
    """Parse the number of models on a page."""
    if not text:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
        raise RequestError("limit is not a whole number from 1 to 1,000.", "Leave it out.")
    return int(text)


def describe(entry: RegistryEntry) -> dict[str, str]:
    """Return a model's fields by the contract's names."""
    return {"modelName": entry.name, "modelUrl": entry.url}
