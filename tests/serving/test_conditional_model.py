"""A conditional model over HTTP: classes are chosen by number or name, and named in replies."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.client import FaceClient, WSGITransport
from facegan.serving import create_app
from facegan.synthesis import Synthesizer
from facegan.wire import JSON, PNG, parse_images, read_provenance

Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def client(conditional_artifact: Artifact) -> FlaskClient:
    return create_app(Synthesizer(conditional_artifact)).test_client()


@pytest.fixture(scope="module")
def ask(client: FlaskClient) -> Ask:
    def send(accept: str = PNG, **fields: object) -> TestResponse:
        headers = {"Accept": accept}
        return client.post("/invocations", json=fields, headers=headers)

    return send


def test_image_metadata_names_each_class(ask: Ask) -> None:
    """Also if the seeds chose the class, so that the image can be requested again."""
    provenance = read_provenance(ask(seeds=[1, 2], classes=[2, "plain"]).data)
    assert provenance["facegan:classes"] == "spotted,plain"
    chosen = read_provenance(ask(seeds=[1, 2, 3]).data)["facegan:classes"].split(",")
    assert ask(seeds=[1, 2, 3], classes=chosen).data == ask(seeds=[1, 2, 3]).data


def test_json_reply_has_the_class_beside_the_seed(ask: Ask) -> None:
    faces = parse_images(ask(JSON, seeds=[7, 7], classes=["plain", "striped"]).data)
    assert [(face.seed, face.class_name) for face in faces] == [(7, "plain"), (7, "striped")]
    assert faces[0].png != faces[1].png


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": [1], "classes": [3]}, "out of range"),
        ({"seeds": [1], "classes": ["dotted"]}, "Unknown class"),
        ({"seeds": [1, 2, 3], "classes": [0, 1]}, "do not fit 3 images"),
        ({"latents": [[0.0] * 16]}, "which class"),
    ],
)
def test_a_class_the_model_does_not_know_is_400(
    ask: Ask, fields: dict[str, object], message: str
) -> None:
    reply = ask(**fields)
    assert reply.status_code == 400 and message in reply.get_json()["message"]


def test_the_client_asks_for_classes_too(client: FlaskClient, ask: Ask) -> None:
    caller = FaceClient(WSGITransport(client.application))
    faces = caller.generate(seeds=[4, 4], classes=np.array([0, 1]))
    assert faces.shape[0] == 2 and not np.array_equal(*faces)
    assert np.array_equal(faces[:1], caller.generate(seeds=[4], classes=["plain"]))
    assert caller.grid(seeds=[4], classes=[1]) == ask(seeds=[4], classes=["striped"]).data
    assert [face.class_name for face in caller.faces(seeds=[1, 2], classes=[2])] == ["spotted"] * 2
    latents = np.zeros((1, 16), np.float32)
    assert caller.generate(latents=latents, classes=["plain"]).shape == (1, 32, 32, 3)


def test_the_front_page_names_the_classes(client: FlaskClient) -> None:
    assert client.get("/").get_json()["model"]["classes"] == ["plain", "striped", "spotted"]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(classes=VALUES | st.lists(VALUES, max_size=3))
def test_random_classes_never_cause_a_5xx(client: FlaskClient, classes: object) -> None:
    """No JSON in place of classes causes a 5xx."""
    body = json.dumps({"seeds": [1], "classes": classes}).encode()
    assert client.post("/invocations", data=body, content_type=JSON).status_code < 500
