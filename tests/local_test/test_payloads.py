"""local_test's payloads, sent by predict.sh to a server of each kind of model."""

import importlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image
from werkzeug.serving import make_server

from facegan.artifact import Artifact, load_artifact, save_artifact
from facegan.data.toy_faces import LABELS
from facegan.data.toy_faces.write import LABEL_COLOURS
from facegan.gans import build_gan
from facegan.serving.http.app import create_app
from facegan.synthesis import Synthesizer
from facegan.wire import ModelSignature, decode_request, parse_images

FOLDER = Path(__file__).parents[2] / "local_test"
COLOURS = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in LABEL_COLOURS]
CLASSES = dict(zip(LABELS, COLOURS, strict=True))
SIDE = 32


def served(model: Artifact) -> Iterator[str]:
    """The address of a server of a model."""
    server = make_server("127.0.0.1", 0, create_app(Synthesizer(model)), threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def untrained(family: str, preset: str) -> Any:
    """A model of toy faces, which has learned nothing."""
    return build_gan(family, preset, (3, SIDE, SIDE), seed=0, map_classes=CLASSES)


@pytest.fixture
def url(request: pytest.FixtureRequest, model_dir: Path, tmp_path: Path) -> Iterator[str]:
    if request.param is None:
        yield from served(load_artifact(model_dir))
    else:
        save_artifact(untrained(*request.param), tmp_path / "model")
        yield from served(load_artifact(tmp_path / "model"))


def predict(folder: Path, url: str, *words: str) -> list[str]:
    """Run predict.sh in a folder; the files that it names."""
    done = subprocess.run(
        [FOLDER / "predict.sh", *words], env={"URL": url, "PATH": "/usr/bin:/bin"}, cwd=folder,
        text=True, capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(folder.glob("*.partial")) and not list(folder.glob("*.about"))
    return done.stdout.split()


@pytest.mark.parametrize(
    ("url", "images"),
    [(None, 1), (("pix2pix", "tiny-maps"), 1), (("spade", "tiny"), 4)],
    indirect=["url"],
)
def test_a_model_gets_the_payload_that_it_takes(url: str, images: int, tmp_path: Path) -> None:
    """One face of a seed; one painted label map, or four by four seeds."""
    assert predict(tmp_path, url) == ["faces.png"]
    with Image.open(tmp_path / "faces.png") as image:
        assert image.width == (SIDE if images == 1 else 2 * SIDE + 2)


@pytest.mark.parametrize("url", [("pix2pix", "tiny"), ("cyclegan", "tiny")], indirect=True)
def test_a_model_that_translates_gets_a_photo_and_the_same_as_json(
    url: str, tmp_path: Path
) -> None:
    assert predict(tmp_path, url) == ["faces.png", "faces.json"]
    (image,) = parse_images((tmp_path / "faces.json").read_bytes())
    with Image.open(tmp_path / "faces.png") as shown:
        assert shown.size == (SIDE, SIDE)
    (tmp_path / "same.png").write_bytes(image.png)
    with Image.open(tmp_path / "same.png") as same, Image.open(tmp_path / "faces.png") as shown:
        assert same.tobytes() == shown.tobytes()


@pytest.mark.parametrize("url", [("spade", "tiny")], indirect=True)
def test_a_payload_may_be_named_with_its_content_type(url: str, tmp_path: Path) -> None:
    payload = str(FOLDER / "payloads" / "map.png")
    words = (payload, "image/png;seeds=7", "one.png")
    assert predict(tmp_path, url, *words) == ["one.png"]


def test_the_photo_and_its_label_map_are_those_of_one_toy_face() -> None:
    """Drawn by `facegan data toy`: no person."""
    with Image.open(FOLDER / "payloads" / "photo.png") as photo:
        assert "synthetic" in photo.info["Source"]
        source = photo.info["Source"]
    with Image.open(FOLDER / "payloads" / "map.png") as label_map:
        assert label_map.mode == "P" and label_map.info["Source"] == source


@pytest.mark.parametrize(
    ("family", "preset"),
    [("dcgan", "tiny"), ("pix2pix", "tiny"), ("pix2pix", "tiny-maps"), ("cyclegan", "tiny"),
     ("spade", "tiny")],
)  # fmt: skip
def test_local_mode_asks_a_model_for_what_it_takes(
    family: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it makes of a model's answer to {"about": true} is a request to that model."""
    monkeypatch.syspath_prepend(str(FOLDER))
    local_mode = importlib.import_module("local_mode")
    save_artifact(untrained(family, preset), tmp_path)
    model = Synthesizer(load_artifact(tmp_path))
    client = create_app(model).test_client()
    about = client.post("/invocations", data=local_mode.ABOUT, content_type="application/json")
    body, content_type = local_mode.example_request(json.loads(about.data)["model"])
    signature = ModelSignature.of(model.card)
    request = signature.complete(decode_request(body, content_type, signature))
    assert request.count == (16 if "latents" in signature.names else 1)
    reply = client.post(
        "/invocations", data=body, content_type=content_type, headers={"Accept": "image/png"}
    )
    assert reply.status_code == 200 and reply.content_type == "image/png"
