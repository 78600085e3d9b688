"""Requests over HTTP: interpolations, style mixing, every format; and which of them are refused."""

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.serving import create_app
from facegan.synthesis import Synthesizer, interpolation_path, latents_of_seeds
from facegan.wire import (
    IMAGE_CODECS,
    JPEG,
    JSON,
    NPY,
    PNG,
    WEBP,
    decode_images,
    parse_images,
    read_provenance,
)

Post = Callable[..., TestResponse]


def ask(post: Post, accept: str, **fields: object) -> TestResponse:
    return post(json.dumps(fields).encode(), Accept=accept)


@pytest.fixture(scope="module")
def styles(conditional_artifact: Artifact) -> FlaskClient:
    """A server of a model that has classes and styles."""
    return create_app(Synthesizer(conditional_artifact)).test_client()


def test_interpolation_between_seeds_returns_its_frames(post: Post, artifact: Artifact) -> None:
    """The keyframes are the seeds' own images; the other frames lie between them."""
    frames = decode_images(ask(post, NPY, seeds=[1, 2, 3], interpolate=4).data, NPY)
    assert len(frames) == 9
    model = Synthesizer(artifact)
    assert np.array_equal(frames[::4], model.generate([1, 2, 3]))
    way = interpolation_path(latents_of_seeds(artifact.card, [1, 2, 3]), 4)
    assert np.array_equal(frames, model.generate(latents=way))


def test_interpolation_between_latents(post: Post, artifact: Artifact) -> None:
    """As with seeds."""
    latents = latents_of_seeds(artifact.card, [1, 2]).tolist()
    asked = {"latents": latents, "interpolate": 2}
    frames = decode_images(ask(post, NPY, **asked).data, NPY)
    expected = decode_images(ask(post, NPY, seeds=[1, 2], interpolate=2).data, NPY)
    assert np.array_equal(frames, expected)


def test_animation_shows_an_interpolation(post: Post) -> None:
    """WebP frames have the requested duration."""
    fields = {"seeds": [1, 2], "interpolate": 5, "layout": "animation", "frame_ms": 80}
    reply = ask(post, WEBP, **fields)
    assert (reply.status_code, reply.content_type) == (200, WEBP)
    expected = decode_images(ask(post, NPY, seeds=[1, 2], interpolate=5).data, NPY)
    assert np.array_equal(decode_images(reply.data, WEBP), expected)
    with Image.open(io.BytesIO(reply.data)) as film:
        film.load()
        assert film.info["duration"] == 80
    provenance = read_provenance(reply.data)
    assert provenance["facegan:seeds"] == "1,2" and provenance["facegan:interpolate"] == "5"


def test_styles_are_mixed_seed_by_seed(styles: FlaskClient, conditional_artifact: Artifact) -> None:
    """Two by three seeds make six images, each named by both its seeds."""
    fields = {"seeds": [1, 2], "mix": [7, 8, 9], "mix_layers": [2, 3], "classes": ["plain"]}
    model = Synthesizer(conditional_artifact)
    expected = model.mix([1, 2], [7, 8, 9], [2, 3], classes=["plain"])
    npy = styles.post("/invocations", json=fields, headers={"Accept": NPY})
    assert np.array_equal(decode_images(npy.data, NPY), expected.reshape(-1, *expected.shape[2:]))
    png = styles.post("/invocations", json=fields, headers={"Accept": PNG})
    assert decode_images(png.data, PNG).shape == (1, 2 * 34 - 2, 3 * 34 - 2, 3)
    assert read_provenance(png.data)["facegan:mix_layers"] == "2,3"
    reply = styles.post("/invocations", json=fields, headers={"Accept": JSON})
    pairs = [(face.seed, face.mixed_with) for face in parse_images(reply.data)]
    assert pairs == [(1, 7), (1, 8), (1, 9), (2, 7), (2, 8), (2, 9)]


def test_default_mixed_layers_are_in_the_provenance(styles: FlaskClient) -> None:
    """The finer half of the model's layers is the default."""
    fields = {"seeds": [1], "mix": [7]}
    mixed = read_provenance(styles.post("/invocations", json=fields).data)["facegan:mix_layers"]
    layers = list(map(int, mixed.split(",")))
    assert layers == list(range(layers[0], 2 * layers[0])) and layers[0] > 0


@pytest.mark.parametrize("accept", [t for t in IMAGE_CODECS if t not in (NPY, JSON)])
def test_the_same_request_is_answered_by_the_same_bytes(post: Post, accept: str) -> None:
    """This holds in every format."""
    first, second = (ask(post, accept, seeds=[4, 5]) for _ in range(2))
    assert first.status_code == 200 and first.data == second.data


@pytest.mark.parametrize("name", ["image/jpg", "image/jpeg;q=0.5, image/gif"])
def test_a_jpeg_by_another_name(post: Post, name: str) -> None:
    """The reply has the registered name."""
    assert ask(post, name, seeds=[1]).content_type == JPEG


@pytest.mark.parametrize(
    ("accept", "fields", "message"),
    [
        (PNG, {"seeds": [1], "quality": 80}, "quality: goes with"),
        (JSON, {"seeds": [1, 2], "layout": "animation"}, "an animation is image/webp"),
        (NPY, {"seeds": [1], "mix": [2]}, "has no styles to mix"),
        (PNG, {"seeds": [1], "interpolate": 2}, "needs two or more"),
        (WEBP, {"seeds": [1] * 64, "layout": "row", "quality": 0}, "quality: "),
    ],
)
def test_conflicting_fields_are_400(
    post: Post, accept: str, fields: dict[str, object], message: str
) -> None:
    """The error has a message and a hint."""
    reply = ask(post, accept, **fields)
    error = reply.get_json()
    assert reply.status_code == 400 and message in error["message"] and error["hint"]


def test_interpolation_between_two_classes_is_refused(styles: FlaskClient) -> None:
    """Each seed implies a class; an interpolation has only one."""
    fields = {"seeds": list(range(8)), "interpolate": 2}
    reply = styles.post("/invocations", json=fields)
    assert reply.status_code == 400 and "one class" in reply.get_json()["message"]
    reply = styles.post("/invocations", json={**fields, "classes": ["spotted"]})
    assert reply.status_code == 200


def test_interpolation_with_too_many_frames_is_413(post: Post) -> None:
    """Limits count images, not seeds."""
    assert ask(post, NPY, seeds=[1, 2], interpolate=63).status_code == 200
    assert ask(post, NPY, seeds=[1, 2], interpolate=64).status_code == 413
    assert ask(post, NPY, seeds=[1] * 9, mix=[1] * 9).status_code == 413


def test_reply_whose_minimum_size_is_too_large_is_413_before_generation(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 PNGs cannot fit whatever they show; 3 may, so their size is checked after encoding."""
    from facegan.serving.limits import ServingLimits

    shape = artifact.card.image_shape
    limits = ServingLimits(max_body_bytes=IMAGE_CODECS[JSON].min_encoded_size(60, shape) - 1)
    client = create_app(Synthesizer(artifact), limits=limits).test_client()
    headers = {"Accept": JSON}
    fine = client.post("/invocations", json={"seeds": [1, 2, 3]}, headers=headers)
    assert fine.status_code == 200
    monkeypatch.delattr(Synthesizer, "prepare_batch")  # preparing a batch now fails with 500
    reply = client.post("/invocations", json={"seeds": [1] * 60}, headers=headers)
    assert reply.status_code == 413
