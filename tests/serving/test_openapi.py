"""The OpenAPI document: valid, complete, and no request made from it is a fault of ours."""

import contextlib
import os

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from facegan.serving.app import STATUS
from facegan.wire import IMAGE_CODECS, REQUEST_TYPES
from facegan.wire.generate_request import GenerateRequest

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "25"))


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict:
    return dict(client.get("/openapi.json").get_json())


def test_the_document_is_valid(document: dict) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_names_every_type_and_status_of_the_tables(document: dict) -> None:
    """No copy is kept by hand: a row that is added to a table is in the document."""
    told = document["paths"]["/invocations"]["post"]
    assert set(told["requestBody"]["content"]) == set(REQUEST_TYPES)
    assert set(told["responses"]["200"]["content"]) == set(IMAGE_CODECS)
    assert {int(status) for status in told["responses"]} == {200, *STATUS.values()}


def test_it_names_every_field_of_a_request(document: dict) -> None:
    schema = document["components"]["schemas"]["GenerateRequest"]
    assert set(schema["properties"]) == set(GenerateRequest.model_fields)


def test_it_names_every_route(app: Flask, document: dict) -> None:
    """But for boto3's alias of /invocations."""
    rules = {rule.rule for rule in app.url_map.iter_rules() if "<" not in rule.rule}
    assert rules == set(document["paths"])


def test_its_examples_are_answered(client: FlaskClient, document: dict) -> None:
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    for content_type, media in content.items():
        if "example" in media:
            example = media["example"]
            sent = {"json": example} if isinstance(example, dict) else {"data": example}
            reply = client.post("/invocations", content_type=content_type, **sent)
            assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", ["/invocations", "/ping", "/execution-parameters", "/"])
def test_a_request_made_from_the_document_is_no_fault_of_ours(
    app: Flask, path: str, mode: GenerationMode
) -> None:
    """Right and wrong ones: no fault, and replies of a type and a form that the document names.

    Hypothesis is driven by hand, as schemathesis' pytest plugin (4.32) fails with pytest 9.2.
    """
    api = schemathesis.openapi.from_wsgi("/openapi.json", app)
    operation = api[path]["POST" if path == "/invocations" else "GET"]

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong about a bare GET
        ask()
