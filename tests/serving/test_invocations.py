"""Valid requests get images, in the accepted type, always the same for a seed."""

import io
import json
import threading
from collections.abc import Callable

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.serving import create_app
from facegan.synthesis import Synthesizer
from facegan.wire import IMAGE_CODECS, JSON, NPY, PNG, decode_images, read_provenance

Post = Callable[..., TestResponse]
THREE = b'{"seeds": [1, 2, 3]}'


def test_ping_says_ready_with_an_empty_body(client: FlaskClient) -> None:
    """SageMaker expects 200 and no body."""
    reply = client.get("/ping")
    assert (reply.status_code, reply.data) == (200, b"")


@pytest.mark.parametrize("accept", IMAGE_CODECS)
def test_every_offered_type_is_returned(post: Post, accept: str) -> None:
    """The reply is of the type that Accept names, and says so."""
    reply = post(THREE, Accept=accept)
    assert (reply.status_code, reply.content_type) == (200, accept)
    assert decode_images(reply.data, accept).dtype == np.uint8


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": ""}])
def test_no_preference_gets_a_png(post: Post, headers: dict[str, str]) -> None:
    """No Accept header, or */*, means the default type."""
    assert post(THREE, **headers).content_type == PNG


def test_the_default_type_can_be_another(artifact: Artifact) -> None:
    """The operator chooses the type for requests without a preference."""
    client = create_app(Synthesizer(artifact), default_accept=NPY).test_client()
    assert client.post("/invocations", data=THREE, content_type=JSON).content_type == NPY


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", " application/json "]
)
def test_a_content_type_is_read_without_parameters_and_case(post: Post, content_type: str) -> None:
    """sagemaker-inference answers 500 to `application/json; charset=utf-8`."""
    assert post(THREE, content_type).status_code == 200


def test_highest_quality_type_wins(post: Post) -> None:
    """Accept is a list with quality values."""
    reply = post(THREE, Accept="image/avif, image/png;q=0.3, application/x-npy;q=0.8, */*;q=0.1")
    assert reply.content_type == NPY


def test_one_seed_is_one_face_in_any_batch(post: Post) -> None:
    """A seed's image is the same alone, in another order, and in a larger batch."""
    alone = decode_images(post(b'{"seeds": [2]}', Accept=NPY).data, NPY)[0]
    for seeds in ([2, 1], list(range(20)), [7, 7, 2]):
        body = json.dumps({"seeds": seeds}).encode()
        together = decode_images(post(body, Accept=NPY).data, NPY)
        np.testing.assert_array_equal(together[seeds.index(2)], alone)


def test_threads_do_not_mix_faces_up(app: Flask, artifact: Artifact) -> None:
    """Sixteen concurrent requests each get their own image."""
    expected = Synthesizer(artifact).generate(seeds=range(16))
    answers: dict[int, np.ndarray] = {}

    def ask(seed: int) -> None:
        body = json.dumps({"seeds": [seed]}).encode()
        reply = app.test_client().post(
            "/invocations", data=body, content_type=JSON, headers={"Accept": NPY}
        )
        answers[seed] = decode_images(reply.data, NPY)[0]

    callers = [threading.Thread(target=ask, args=(seed,)) for seed in range(16)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    np.testing.assert_array_equal(np.stack([answers[seed] for seed in range(16)]), expected)


def test_latents_are_drawn_from_npy_and_csv_alike(post: Post) -> None:
    """One latent gives one image in both content types."""
    latents = np.linspace(-1, 1, 16, dtype=np.float32)[np.newaxis]
    stream = io.BytesIO()
    np.save(stream, latents)
    line = ",".join(repr(float(number)) for number in latents[0]).encode()
    npy, csv = post(stream.getvalue(), NPY, Accept=NPY), post(line, "text/csv", Accept=NPY)
    assert npy.status_code == csv.status_code == 200
    assert npy.data == csv.data


def test_layout_is_applied(post: Post) -> None:
    """A row of three images is wider than high, a column higher than wide."""
    row = Image.open(io.BytesIO(post(b'{"seeds": [1, 2, 3], "layout": "row"}').data))
    column = Image.open(io.BytesIO(post(b'{"seeds": [1, 2, 3], "layout": "column"}').data))
    assert row.size == column.size[::-1]
    assert row.width > row.height


def test_png_has_the_model_and_the_seeds(post: Post, artifact: Artifact) -> None:
    """Provenance travels inside the PNG."""
    provenance = read_provenance(post(THREE).data)
    assert provenance["facegan:model_sha256"] == artifact.card.weights_sha256
    assert provenance["facegan:seeds"] == "1,2,3"


def test_boto3s_path_is_the_same_route(client: FlaskClient, post: Post) -> None:
    """A local server accepts any endpoint name."""
    reply = client.post("/endpoints/any-name/invocations", data=THREE, content_type=JSON)
    assert reply.status_code == 200
    assert reply.data == post(THREE).data


def test_front_page_describes_the_model_and_an_example(client: FlaskClient) -> None:
    """GET / shows an example request."""
    facts = client.get("/").get_json()
    assert facts["model"]["family"] == "dcgan"
    assert facts["model"]["has_truncation"] is False and facts["model"]["style_layers"] == 0
    assert "curl http://localhost/invocations" in facts["example"]


def test_each_reply_has_an_id_of_its_own(client: FlaskClient) -> None:
    """An id ties a reply to a line in the log."""
    ids = {client.get("/ping").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
