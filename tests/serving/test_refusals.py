"""Every mistake has its status, a message and a hint in JSON, and never a traceback."""

import dataclasses
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.errors import ArtifactError, ConfigError, FaceGANError
from facegan.serving import create_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServingSettings, serve
from facegan.synthesis import Synthesizer
from facegan.synthesis.torch_backend import TorchBackend
from facegan.wire import JSON, NPY

Post = Callable[..., TestResponse]
ONE = b'{"seeds": [1]}'


def npy(array: np.ndarray) -> bytes:
    """Encode an array as a .npy body; objects are pickled."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def refused(reply: TestResponse, status: int) -> dict[str, str]:
    """Check that a reply is a JSON error, and return its fields."""
    assert reply.status_code == status, reply.data
    assert reply.content_type == JSON
    error = reply.get_json()
    assert set(error) == {"error", "message", "hint"}
    assert error["message"]
    assert "Traceback" not in reply.text and ".py" not in reply.text
    return dict(error)


MISTAKES = {
    "no JSON": b"{",
    "empty": b"",
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe\xfa",
    "nothing asked": b"{}",
    "no seeds": b'{"seeds": []}',
    "a seed too large": b'{"seeds": [4294967296]}',
    "a seed that is text": b'{"seeds": ["1"]}',
    "both": b'{"seeds": [1], "latents": [[0, 0]]}',
    "unknown field": b'{"seed": [1]}',
    "truncation of a family without": b'{"seeds": [1], "truncation_psi": 0.7}',
    "classes of a model without": b'{"seeds": [1], "classes": [0]}',
    "nested": b"[" * 100_000,
    "NaN": b'{"latents": [[NaN]]}',
}
# A reply's field `error` is the name of a class: renaming one would break clients.
ERROR_NAMES = {
    "ArtifactError", "CallerGone", "DeadlineMissed", "Draining", "InternalError", "LoadTimeout",
    "MemoryExceeded", "ModelLoaded", "NotAcceptable", "Overloaded", "OwnCodeError", "OwnRefusal",
    "RequestError", "RequestTooLarge", "UnknownModel", "UnsupportedContentType",
}  # fmt: skip


def subclasses(cls: type[FaceGANError]) -> set[type[FaceGANError]]:
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


def test_error_names_on_the_wire_stay() -> None:
    assert {cls.__name__ for cls in subclasses(FaceGANError)} >= ERROR_NAMES


@pytest.mark.parametrize("body", MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_body_is_400(post: Post, body: bytes) -> None:
    """It is the client's error."""
    assert refused(post(body), 400)["error"] == "RequestError"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_latents_that_are_not_finite_are_400(post: Post, number: float) -> None:
    """A NaN would silently make a grey image."""
    latents = np.zeros((2, 16), np.float32)
    latents[1, 3] = number
    refused(post(npy(latents), NPY), 400)


def test_latents_too_large_for_the_model_are_400(post: Post) -> None:
    """Finite in float64, infinite in the model's float32."""
    refused(post(npy(np.full((1, 16), 1e300)), NPY), 400)


def test_wrong_latent_width_gets_the_right_one_as_a_hint(post: Post) -> None:
    """The model takes 16 numbers."""
    error = refused(post(npy(np.zeros((1, 100))), NPY), 400)
    assert "16" in error["hint"]


def test_a_hostile_npy_is_refused_without_unpickling(post: Post, tmp_path: Path) -> None:
    """sagemaker-inference's own decoder unpickles such a body."""
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trap,)  # type: ignore[return-value]

    pickle.loads(pickle.dumps(Trap()))
    assert trap.exists(), "the trap works"
    trap.unlink()
    body = npy(np.array([Trap()], dtype=object))
    refused(post(body, NPY), 400)
    assert not trap.exists()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-npz", None, "", ";", "json"])
def test_unknown_content_type_is_415_with_the_known_ones(
    post: Post, content_type: str | None
) -> None:
    """The hint lists the types that are read."""
    assert "text/csv" in refused(post(ONE, content_type), 415)["hint"]


def test_unsupported_accept_is_406_with_the_offered_types(post: Post) -> None:
    """The hint lists the types that are written."""
    assert "image/png" in refused(post(ONE, Accept="image/gif"), 406)["hint"]


def test_too_many_images_are_413(post: Post) -> None:
    """The default limit is 64."""
    assert post(json.dumps({"seeds": [0] * 64}).encode()).status_code == 200
    error = refused(post(json.dumps({"seeds": [0] * 65}).encode()), 413)
    assert "65" in error["message"] and "64" in error["message"]


def test_a_body_over_the_limit_is_413(post: Post) -> None:
    """It is refused by its length, before it is read."""
    error = refused(post(b" " * (6 * 2**20 + 1)), 413)
    assert error["error"] == "RequestTooLarge"


def test_a_body_in_chunks_over_the_limit_is_413(artifact: Artifact) -> None:
    """werkzeug silently truncates such a body at the limit."""
    app = create_app(Synthesizer(artifact), limits=ServingLimits(max_body_bytes=4000))
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    for size, status in ((3000, 200), (9000, 413)):
        body = ONE + b" " * size
        reply = app.test_client().post(
            "/invocations", input_stream=io.BytesIO(body), content_type=JSON,
            environ_overrides=chunked,
        )  # fmt: skip
        assert reply.status_code == status


def test_reply_over_the_limit_is_413_before_generation(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw pixels are counted beforehand: 4 images of 3,072 bytes do not fit into 10,000."""
    synthesizer = Synthesizer(artifact)
    client = create_app(synthesizer, limits=ServingLimits(max_body_bytes=10_000)).test_client()
    monkeypatch.delattr(TorchBackend, "generate")  # drawing now fails with 500
    body = json.dumps({"seeds": [1, 2, 3, 4]}).encode()
    reply = client.post("/invocations", data=body, content_type=JSON, headers={"Accept": NPY})
    assert "about 3 images" in refused(reply, 413)["hint"]


def test_a_reply_that_grows_over_the_limit_is_413(artifact: Artifact) -> None:
    """The size of PNGs is known only once they are written."""
    client = create_app(
        Synthesizer(artifact), limits=ServingLimits(max_body_bytes=3000)
    ).test_client()
    body = json.dumps({"seeds": list(range(40))}).encode()
    refused(client.post("/invocations", data=body, content_type=JSON), 413)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nowhere", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405),
])  # fmt: skip
def test_flasks_own_errors_have_the_same_shape(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    """404 and 405 are JSON, too, and 405 names what is allowed."""
    reply = client.open(path, method=method)
    refused(reply, status)
    assert ("Allow" in reply.headers) == (status == 405)


def broken_app(artifact: Artifact, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> Flask:
    """An app whose model breaks after the start."""
    served = serve(Synthesizer(artifact), ServingSettings())
    app = create_app(served)

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(served.batcher, "draw_batch", fail)
    return app


def test_bug_is_500_with_its_traceback_only_in_the_log(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply has the id under which the log has the cause."""
    app = broken_app(artifact, monkeypatch, ZeroDivisionError("secret"))
    reply = app.test_client().post("/invocations", data=ONE, content_type=JSON)
    error = refused(reply, 500)
    assert "secret" not in reply.text
    request_id = reply.headers["X-Request-Id"]
    assert request_id in error["hint"]
    assert request_id in caplog.text and "ZeroDivisionError: secret" in caplog.text


def test_an_artifact_error_is_500(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FaceGANError that is not a RequestError is not the client's error."""
    app = broken_app(artifact, monkeypatch, ArtifactError("The model is gone."))
    reply = app.test_client().post("/invocations", data=ONE, content_type=JSON)
    assert refused(reply, 500)["error"] == "ArtifactError"


def test_a_body_that_ends_early_is_400(client: FlaskClient) -> None:
    """The client disconnected."""
    reply = client.post(
        "/invocations", data=ONE, content_type=JSON, environ_overrides={"CONTENT_LENGTH": "100"}
    )
    refused(reply, 400)


def test_unsupported_default_type_stops_the_start(artifact: Artifact) -> None:
    """It does not only fail the first request."""
    with pytest.raises(ConfigError, match="image/gif"):
        create_app(Synthesizer(artifact), default_accept="image/gif")


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(ServingLimits)])
def test_a_limit_below_one_is_refused(field: str) -> None:
    """A limit of 0 would refuse every request."""
    with pytest.raises(ConfigError, match=field):
        ServingLimits(**{field: 0})
