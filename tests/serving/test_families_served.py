"""Real models of every family behind the app, run from their graphs: requests as documented."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from source_files import saved

from facegan.model_files import ModelCard, read_card
from facegan.serving import create_app
from facegan.serving.http.model_routes import create_models_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.served_model import ServingSettings, open_model, settings_of_many
from facegan.synthesis import BackendConfig, open_synthesizer
from facegan.wire import IMAGE_CODECS, JSON, JSON_LINES, NPY, PNG, decode_images


@pytest.fixture(scope="module")
def card(exported_dir: Path) -> ModelCard:
    return read_card(exported_dir)


@pytest.fixture(scope="module")
def client(exported_dir: Path) -> FlaskClient:
    backend = BackendConfig(backend="openvino")
    return create_app(open_synthesizer(exported_dir, backend)).test_client()


def source_of(card: ModelCard, seed: int) -> bytes | None:
    """Return a PNG that the model takes; None for a model of latents."""
    numbers = np.random.default_rng(seed)
    side = card.resolution
    if card.takes("label_maps"):
        pixels = numbers.integers(0, len(card.map_classes), (side, side), np.uint8)
    elif card.takes("images"):
        pixels = numbers.integers(0, 256, (side, side, 3), np.uint8)
    else:
        return None
    return saved(Image.fromarray(pixels))


def example_of(client: FlaskClient, content_type: str) -> object:
    document = client.get("/openapi.json").get_json()
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    return content[content_type]["example"]


@pytest.mark.parametrize("accept", IMAGE_CODECS)
def test_the_document_s_example_is_answered_in_every_type(
    client: FlaskClient, card: ModelCard, accept: str
) -> None:
    reply = client.post("/invocations", json=example_of(client, JSON), headers={"Accept": accept})
    assert reply.status_code == 200, reply.text
    assert decode_images(reply.data, reply.content_type).shape[-1] == 3


def test_about_says_what_the_card_says(client: FlaskClient, card: ModelCard) -> None:
    said = client.post("/invocations", json={"about": True}).get_json()["model"]
    assert [it["name"] for it in said["inputs"]] == [it.name for it in card.inputs]
    assert tuple(said["directions"]) == card.directions
    assert [(it["name"], it["colour"]) for it in said["map_classes"]] == list(card.map_classes)


def test_an_image_has_one_result_in_any_company(client: FlaskClient, card: ModelCard) -> None:
    """Alone as image/png, and as a line among others, to the last byte of the pixels."""
    source = source_of(card, 0)
    if source is None:
        pytest.skip("takes latents")
    alone = client.post("/invocations", data=source, content_type=PNG, headers={"Accept": NPY})
    assert alone.status_code == 200, alone.text
    field = "label_maps" if card.takes("label_maps") else "images"
    texts = [base64.b64encode(source_of(card, seed) or b"").decode() for seed in (1, 2, 0, 3, 4)]
    lines = "\n".join(json.dumps({field: [text]}) for text in texts)
    reply = client.post("/invocations", data=lines, content_type=JSON_LINES)
    answers = [json.loads(line) for line in reply.data.splitlines()]
    among = base64.b64decode(answers[2]["images"][0]["png"])
    assert np.array_equal(decode_images(among, PNG), decode_images(alone.data, NPY))
    others = [base64.b64decode(answer["images"][0]["png"]) for answer in answers]
    assert len(set(others)) == len(others)


def test_a_model_of_any_family_is_one_of_many(exported_dir: Path, card: ModelCard) -> None:
    settings = settings_of_many(ServingSettings())
    registry = ModelRegistry(
        exported_dir.parent, lambda folder: open_model(folder, settings), budget=1 << 34
    )
    client = create_models_app(registry, limits=ServingLimits()).test_client()
    registry.load("it", str(exported_dir))
    try:
        url = "/models/it/invoke"
        about = client.post(url, json={"about": True}).get_json()["model"]
        assert about["family"] == card.family
        source = source_of(card, 0)
        body, content_type = (b'{"seeds": [1]}', JSON) if source is None else (source, PNG)
        reply = client.post(url, data=body, content_type=content_type)
        assert reply.status_code == 200 and reply.content_type == PNG, reply.text
    finally:
        registry.close(5)
