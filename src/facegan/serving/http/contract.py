"""Routes that describe the server: batch transform's parameters, and the OpenAPI document."""

import json
from typing import Any

import flask

from facegan.serving.http.openapi import ServiceInfo
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServedModel

Parameters = dict[str, int | str]
MIB = 2**20
TRANSFORM_MIB = 100  # CreateTransformJob: MaxConcurrentTransforms * MaxPayloadInMB is at most this


def install_contract(app: flask.Flask, parameters: Parameters, document: dict[str, Any]) -> None:
    """Add ``GET /execution-parameters`` and ``GET /openapi.json``."""
    body = json.dumps(document).encode()

    @app.get("/execution-parameters")
    def get_execution_parameters() -> flask.Response:
        """Return the defaults of batch transform jobs."""
        return flask.jsonify(parameters)

    @app.get("/openapi.json")
    def get_openapi() -> flask.Response:
        """Return the OpenAPI document."""
        return flask.Response(body, content_type="application/json")


def execution_parameters(limits: ServingLimits, threads: int, joins_records: bool) -> Parameters:
    """Return the defaults of batch transform jobs.

    Args:
        limits: What one request may cost.
        threads: Requests that are answered at the same time.
        joins_records: Whether a body may hold several records. Custom code may not expect them,
            and files of images cannot be joined: a job then sends one at a time, unless it says
            otherwise.
    """
    payload = max(1, limits.max_body_bytes // MIB)
    return {
        "MaxConcurrentTransforms": max(1, min(threads, TRANSFORM_MIB // payload)),
        "BatchStrategy": "MULTI_RECORD" if joins_records else "SINGLE_RECORD",
        "MaxPayloadInMB": payload,
    }


def service_info(served: ServedModel) -> ServiceInfo:
    """Return what the documents say about a model and its custom code."""
    card = None if served.synthesizer is None else served.synthesizer.card
    signature = served.signature
    if card is not None and served.functions is None:
        size = f"{card.resolution} x {card.resolution} pixels"
        what = "draws faces" if signature.source is None else signature.purpose
        return ServiceInfo(f"A {card.family} that {what} of {size}.", card.latent_dim, signature)
    return ServiceInfo(
        "A model with code of its own.",
        card.latent_dim if card else None,
        signature,
        reads=served.input_fn is None,
        predicts=served.predict_fn is None,
        writes=served.output_fn is None,
    )


def routes_of(app: flask.Flask) -> list[str]:
    """Return every route with its method."""
    return [
        f"{method} {rule.rule.replace('<', '').replace('>', '')}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
