"""The OpenAPI document is valid and complete, and no request generated from it causes a 500."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks
from source_files import saved
from source_models import CYCLING, PAINTING, arithmetic

from facegan.model_files import ModelCard
from facegan.serving import create_app
from facegan.serving.http.app import STATUS
from facegan.serving.http.model_routes import create_models_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.served_model import ServingSettings, open_model, settings_of_many
from facegan.wire import CSV, IMAGE_CODECS, JSON_LINES, NPY, REQUEST_TYPES
from facegan.wire.generate_request import GenerateRequest

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
# Bytes of no form at all are refused at the first look; those of the right one go further.
ROWS = st.lists(st.floats(width=32), min_size=15, max_size=17)
schemathesis.openapi.media_type(NPY, st.lists(ROWS, max_size=3).map(lambda x: npy(x)))
schemathesis.openapi.media_type(CSV, ROWS.map(lambda x: ",".join(map(str, x)).encode()))
COLOURS = st.sampled_from(["#000000", "#e0a080", "#123456"])
for kind in ("PNG", "JPEG", "WEBP"):
    files = COLOURS.map(lambda colour, kind=kind: saved(Image.new("RGB", (4, 4), colour), kind))
    schemathesis.openapi.media_type(f"image/{kind.lower()}", files)
EXAMPLES = int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "25"))


def npy(rows: list[list[float]]) -> bytes:
    """Latents as a .npy body, padded to one width."""
    stream = io.BytesIO()
    width = max(map(len, rows), default=0)
    np.save(stream, np.array([row + [0.0] * (width - len(row)) for row in rows], np.float32))
    return stream.getvalue()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict:
    return dict(client.get("/openapi.json").get_json())


def test_the_document_is_valid(document: dict) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_names_every_type_and_status_of_the_tables(document: dict) -> None:
    """The document is built from the tables, so a new row of a table is in it."""
    route = document["paths"]["/invocations"]["post"]
    assert set(route["requestBody"]["content"]) == set(REQUEST_TYPES)
    assert set(route["responses"]["200"]["content"]) == set(IMAGE_CODECS)
    assert {int(status) for status in route["responses"]} == {200, *STATUS.values()}


def test_it_names_every_field_of_a_request(document: dict) -> None:
    schema = document["components"]["schemas"]["GenerateRequest"]
    others = {"images", "label_maps", "styles", "direction"}  # of models of other inputs
    assert set(schema["properties"]) == set(GenerateRequest.model_fields) - others


def test_every_type_other_than_json_is_described(document: dict) -> None:
    """A program cannot guess the format of bytes."""
    route = document["paths"]["/invocations"]["post"]
    for content in (route["requestBody"]["content"], route["responses"]["200"]["content"]):
        for media in content.values():
            assert "$ref" in media["schema"] or media["schema"]["description"]


def test_it_names_every_route(app: Flask, document: dict) -> None:
    """Except boto3's alias of /invocations."""
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


def ask_at_random(app: Flask, path: str, method: str, mode: GenerationMode) -> None:
    """Test an app with requests generated from its document: no 5xx, and only documented replies.

    Hypothesis is driven by hand, as schemathesis' pytest plugin (4.32) fails with pytest 9.2.
    """
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method]

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong about a bare GET
        ask()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", ["/invocations", "/ping", "/execution-parameters", "/"])
def test_generated_requests_never_cause_a_5xx(app: Flask, path: str, mode: GenerationMode) -> None:
    """Requests are valid and invalid ones."""
    ask_at_random(app, path, "POST" if path == "/invocations" else "GET", mode)


# --- models of images and label maps ------------------------------------------------------------


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("card", [CYCLING, PAINTING], ids=["images", "label maps"])
def test_generated_requests_to_models_of_images_never_cause_a_5xx(
    card: ModelCard, mode: GenerationMode
) -> None:
    """Of every content type that their documents name, forms too."""
    ask_at_random(create_app(arithmetic(card)), "/invocations", "POST", mode)


# --- many models, and a model's own code --------------------------------------------------------


@pytest.fixture(scope="module")
def many(model_dir: Path) -> Iterator[Flask]:
    """A server of many models that has loaded one, under the name "0"."""
    settings_ = settings_of_many(ServingSettings())
    registry = ModelRegistry(
        model_dir.parent, lambda folder: open_model(folder, settings_), budget=1 << 34
    )
    app = create_models_app(registry, limits=ServingLimits(), threads=4)
    registry.load("0", str(model_dir))
    yield app
    registry.close(5)


def test_many_models_have_a_document_of_every_route(many: Flask) -> None:
    """It is valid, and says that a model's own code may read and write any type."""
    document = many.test_client().get("/openapi.json").get_json()
    validate(document)
    rules = {x.rule.replace("<opaque:name>", "{model_name}") for x in many.url_map.iter_rules()}
    assert rules == set(document["paths"])
    route = document["paths"]["/models/{model_name}/invoke"]["post"]
    assert set(route["requestBody"]["content"]) == {*REQUEST_TYPES, "*/*"}
    assert set(route["responses"]["200"]["content"]) == {*IMAGE_CODECS, "*/*"}
    assert "default" in route["responses"]


@pytest.mark.parametrize(("path", "method"), [
    ("/models", "GET"), ("/models", "POST"), ("/models/{model_name}", "GET"),
    ("/models/{model_name}", "DELETE"), ("/models/{model_name}/invoke", "POST"),
])  # fmt: skip
def test_generated_requests_to_many_models_never_cause_a_5xx(
    many: Flask, path: str, method: str
) -> None:
    ask_at_random(many, path, method, GenerationMode.POSITIVE)


def test_many_models_have_execution_parameters(many: Flask) -> None:
    """One record at a time, because a model's own code may not read lines."""
    parameters = many.test_client().get("/execution-parameters").get_json()
    assert parameters == {
        "MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6,
    }  # fmt: skip


OWN = {  # the file, the types it reads, those it writes
    "input_fn": ("def input_fn(body, kind): return [1]", {"*/*"}, set(IMAGE_CODECS)),
    "output_fn": (
        "def output_fn(made, accept): return b'x'",
        set(REQUEST_TYPES),
        {"*/*"},
    ),
    "model_fn": (
        "from facegan.artifact import load_artifact\ndef model_fn(d): return load_artifact(d)",
        set(REQUEST_TYPES),
        set(IMAGE_CODECS),
    ),
}


@pytest.mark.parametrize(("code", "read", "written"), OWN.values(), ids=OWN)
def test_document_of_a_model_with_custom_code(
    model_dir: Path, tmp_path: Path, code: str, read: set[str], written: set[str]
) -> None:
    """A custom input_fn or output_fn has any type; this package's has those of the table."""
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    (folder / "code").mkdir()
    (folder / "code/inference.py").write_text(code)
    served = open_model(folder, ServingSettings(private_imports=True))
    client = create_app(served).test_client()
    document = client.get("/openapi.json").get_json()
    validate(document)
    route = document["paths"]["/invocations"]["post"]
    assert set(route["requestBody"]["content"]) == read
    assert set(route["responses"]["200"]["content"]) == written
    is_ours = "*/*" not in read | written
    assert ("default" in route["responses"]) is not is_ours
    strategy = client.get("/execution-parameters").get_json()["BatchStrategy"]
    assert strategy == ("MULTI_RECORD" if is_ours else "SINGLE_RECORD")
    lines = client.post("/invocations", data=b'{"seeds": [1]}\n', content_type=JSON_LINES)
    assert lines.status_code == 200 and lines.data.count(b"\n") == 1
    served.close(5)
