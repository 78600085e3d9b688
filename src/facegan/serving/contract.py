"""The small routes around the faces: what batch transform asks, and the OpenAPI document."""

import json
from collections.abc import Mapping

import flask

from facegan.errors import FaceGANError
from facegan.model_files import ModelCard
from facegan.serving.limits import ServingLimits
from facegan.serving.openapi import openapi_document
from facegan.wire import JSON_LINES, REQUEST_TYPES

MIB = 2**20
TRANSFORM_MIB = 100  # CreateTransformJob: MaxConcurrentTransforms * MaxPayloadInMB is at most this


def install_contract(
    app: flask.Flask,
    card: ModelCard | None,
    limits: ServingLimits,
    threads: int,
    statuses: Mapping[type[FaceGANError], int],
) -> None:
    """Add ``GET /execution-parameters`` and ``GET /openapi.json``.

    Args:
        app: The app.
        card: The model's; None of one whose owner's own code answers, which no document describes.
        limits: What one request may cost.
        threads: Requests under way at the same time.
        statuses: The table from error class to status.
    """
    parameters = execution_parameters(limits, threads)

    @app.get("/execution-parameters")
    def tell_execution_parameters() -> flask.Response:
        """How batch transform should call, where the job does not say."""
        return flask.jsonify(parameters)

    if card is None:
        return
    document = json.dumps(openapi_document(card, limits, statuses)).encode()

    @app.get("/openapi.json")
    def tell_openapi() -> flask.Response:
        """This API, for programs."""
        return flask.Response(document, content_type="application/json")


def execution_parameters(limits: ServingLimits, threads: int) -> dict[str, int | str]:
    """What a transform job asks of its container (GET /execution-parameters).

    A job may send several records in one request only where lines are answered line by line.
    """
    payload = max(1, limits.max_body_bytes // MIB)
    return {
        "MaxConcurrentTransforms": max(1, min(threads, TRANSFORM_MIB // payload)),
        "BatchStrategy": "MULTI_RECORD" if JSON_LINES in REQUEST_TYPES else "SINGLE_RECORD",
        "MaxPayloadInMB": payload,
    }


def routes_of(app: flask.Flask) -> list[str]:
    """Every route with its method, as the front page lists them."""
    return [
        f"{method} {rule.rule.replace('<', '').replace('>', '')}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
