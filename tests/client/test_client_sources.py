"""The client's source images and label maps: what callers may give, what is sent, what is refused.

The endpoint is a fake one that reads requests as servers do: it turns images negative, and paints
each class of a label map in its number's grey, lighter by the seed.
"""

import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from source_files import PAINTS, TRANSLATES, palette_map, photo, saved

from facegan.client import FaceClient, Reply
from facegan.errors import InvocationError, RequestError
from facegan.wire import (
    JSON,
    NPY,
    GenerateRequest,
    ModelSignature,
    Provenance,
    asks_about,
    decode_request,
    decode_sources,
    encode_reply,
    open_sources,
)

CARD = SimpleNamespace(weights_sha256="ab", family="plain", preset="square")
MAP = np.arange(256).reshape(16, 16) // 64  # four classes of the model's own side


@dataclass
class FakeModel:
    """A transport to an endpoint whose model translates, or paints."""

    signature: ModelSignature
    requests: list[GenerateRequest] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        if asks_about(body, content_type):
            about = {"model": {"inputs": self.signature.names}}
            return Reply(200, JSON, json.dumps(about).encode())
        request = self.signature.complete(decode_request(body, content_type, self.signature))
        self.requests.append(request)
        self.content_types.append(content_type)
        images = self.draw(request, decode_sources(open_sources(request), self.signature))
        answer = encode_reply(images, request, accept, Provenance.of_request(request, CARD))
        return Reply(200, accept, answer)

    def draw(self, request: GenerateRequest, sources: dict[str, Any]) -> np.ndarray:
        if "images" in sources:
            return np.subtract(255, sources["images"])
        lightness = np.array(request.seeds or [len(request.styles or ()) * 100])
        maps = sources["label_maps"] * 10 + lightness.astype(np.uint8)[:, None, None]
        painted: np.ndarray = np.repeat(maps[..., None], 3, axis=-1)
        return painted


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(photo(40, 24), "JPEG"))
    return path


def test_an_image_may_be_a_path_a_pillow_image_or_an_array(tmp_path: Path) -> None:
    """All of the same pixels: all have the same reply."""
    image = photo(16, 16)
    image.save(tmp_path / "photo.png")
    client = FaceClient(FakeModel(TRANSLATES))
    replies = [
        client.translate(source)
        for source in (tmp_path / "photo.png", f"{tmp_path}/photo.png", image, np.asarray(image))
    ]
    for reply in replies:
        assert reply.shape == (1, 16, 16, 3) and reply.dtype == np.uint8
        assert np.array_equal(reply[0], 255 - np.asarray(image))


def test_a_file_is_sent_as_it_is(photo_file: Path) -> None:
    """So its digest is that of the file on the caller's disk."""
    endpoint = FakeModel(TRANSLATES)
    FaceClient(endpoint).translate(photo_file)
    (sent,) = endpoint.requests[0].images or ()
    wanted = hashlib.sha256(photo_file.read_bytes()).hexdigest()
    assert hashlib.sha256(sent).hexdigest() == wanted


def test_several_images_keep_their_order_and_may_be_of_every_kind(photo_file: Path) -> None:
    dark, light = np.zeros((16, 16, 3), np.uint8), Image.new("RGB", (30, 20), "white")
    made = FaceClient(FakeModel(TRANSLATES)).translate([dark, photo_file, light])
    assert made.shape == (3, 16, 16, 3)
    assert made[0].min() == 255 and made[2].max() == 0


def test_an_array_of_several_images_is_sent_as_one_array() -> None:
    """Without base64 and PNG."""
    endpoint = FakeModel(TRANSLATES)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    assert np.array_equal(FaceClient(endpoint).translate(images), 255 - images)
    FaceClient(endpoint).translate(images, direction="BtoA")
    assert endpoint.content_types == [NPY, JSON]


def test_a_direction_is_passed_on_and_the_first_is_the_default() -> None:
    endpoint = FakeModel(TRANSLATES)
    FaceClient(endpoint).translate(photo(), direction="BtoA")
    FaceClient(endpoint).translate(photo())
    assert [request.direction for request in endpoint.requests] == ["BtoA", "AtoB"]


def test_a_pillow_image_is_sent_upright_without_its_metadata() -> None:
    """A phone's photo, lying on its side: orientation 6, and a place where it was taken."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"
    image = Image.open(
        io.BytesIO(saved(photo(40, 24), "JPEG", exif=exif, quality=100, subsampling=0))
    )
    endpoint = FakeModel(TRANSLATES)
    made = FaceClient(endpoint).translate(image)
    (sent,) = endpoint.requests[0].images or ()
    assert b"at home" not in sent
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270).crop((0, 8, 24, 32)))
    assert abs(made[0, 0, 0].astype(int) - (255 - upright[0, 0])).max() < 20
    assert abs(made[0, -1, -1].astype(int) - (255 - upright[-1, -1])).max() < 20


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "YCbCr"])
def test_pillow_images_of_every_mode_are_sent(mode: str) -> None:
    made = FaceClient(FakeModel(TRANSLATES)).translate(photo(16, 16, "RGB").convert(mode))
    assert made.shape == (1, 16, 16, 3)


def test_a_label_map_may_be_a_path_a_pillow_image_or_class_numbers(tmp_path: Path) -> None:
    palette_map(MAP).save(tmp_path / "map.png")
    palette_map(MAP).convert("RGB").save(tmp_path / "colours.png")
    client = FaceClient(FakeModel(PAINTS))
    for source in (tmp_path / "map.png", tmp_path / "colours.png", palette_map(MAP), MAP):
        (made,) = client.paint(source)
        assert np.array_equal(made[..., 0], MAP * 10), source


def test_one_map_and_several_seeds_or_pairs_of_them() -> None:
    client = FaceClient(FakeModel(PAINTS))
    assert client.paint(MAP, seeds=range(4))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert client.paint(np.stack([MAP, 3 - MAP]), seeds=[7])[:, 0, 0, 0].tolist() == [7, 37]
    assert client.paint([MAP, 3 - MAP], seeds=[1, 2])[:, 0, 0, 0].tolist() == [1, 32]
    assert client.paint(MAP, styles=photo())[:, 0, 0, 0].tolist() == [100]


def test_a_map_of_numbers_is_sent_as_a_small_file() -> None:
    """A 256 px map as JSON's numbers would be 200 KB."""
    endpoint = FakeModel(PAINTS)
    FaceClient(endpoint).paint(np.kron(MAP, np.ones((16, 16), int)), seeds=[1])
    (sent,) = endpoint.requests[0].label_maps or ()
    assert isinstance(sent, bytes) and len(sent) < 2000


def test_every_method_takes_them_too() -> None:
    """A grid of one map's seeds; a PNG per image."""
    client = FaceClient(FakeModel(PAINTS))
    assert client.grid(range(4), label_maps=MAP).startswith(b"\x89PNG")
    assert [face.seed for face in client.faces([5, 6], label_maps=MAP)] == [5, 6]


@pytest.mark.parametrize(
    ("method", "source", "named"),
    [
        ("translate", "nowhere/photo.jpg", "nowhere/photo.jpg does not exist"),
        ("translate", ".", ". is not a file"),
        ("translate", [], "images: is empty"),
        ("translate", [3], r"images\[0\]: int is not a path"),
        ("translate", 3, "images: 3 is not a list"),
        ("translate", np.zeros((4, 4, 3)), r"images\[0\]: is an array of float64"),
        ("translate", np.zeros((4, 4), np.uint8), r"images\[0\]: is an array of uint8 and shape"),
        ("translate", Image.new("F", (4, 4)), r"images\[0\]: the Pillow image of mode F"),
        ("paint", np.zeros((4, 4)), r"label_maps\[0\]: is an array of float64"),
        ("paint", np.zeros((4, 4, 3, 1), int), r"label_maps\[0\]: is an array"),
        ("paint", Image.new("CMYK", (4, 4)), r"label_maps\[0\]: the Pillow image of mode CMYK"),
    ],
)
def test_wrong_sources_are_refused_before_anything_is_sent(
    method: str, source: Any, named: str
) -> None:
    endpoint = FakeModel(TRANSLATES if method == "translate" else PAINTS)
    with pytest.raises(RequestError, match=named):
        getattr(FaceClient(endpoint), method)(source)
    assert not endpoint.requests


def test_seeds_and_styles_that_do_not_fit_the_maps_are_refused() -> None:
    client = FaceClient(FakeModel(PAINTS))
    with pytest.raises(RequestError, match="2 label_maps and 3 seeds cannot be paired"):
        client.paint([MAP, MAP], seeds=[1, 2, 3])
    with pytest.raises(RequestError, match="seeds and styles"):
        client.paint(MAP, seeds=[1], styles=photo())


def test_about_is_what_the_endpoint_says_of_its_model() -> None:
    found = FaceClient(FakeModel(PAINTS)).about()
    assert found["model"] == {"inputs": ["label_maps", "latents", "styles"]}


def test_an_answer_that_is_not_about_a_model_is_an_error() -> None:
    endpoint = SimpleNamespace(send=lambda *_: Reply(200, JSON, b"[1]"))
    with pytest.raises(InvocationError, match="not a JSON object"):
        FaceClient(endpoint).about()


def test_the_example_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/serving-reference.md has it, but for the two servers."""
    text = (Path(__file__).parents[2] / "docs" / "serving-reference.md").read_text()
    (block,) = [it for it in re.findall(r"```python\n(.*?)```", text, re.S) if ".paint(" in it]
    models = {"8084": FakeModel(TRANSLATES), "8085": FakeModel(PAINTS)}
    monkeypatch.setattr("facegan.client.HttpTransport", lambda url: models[url[-4:]])
    monkeypatch.chdir(tmp_path)
    photo().save("photo.jpg")
    palette_map(MAP).save("map.png")
    made: dict[str, Any] = {}
    exec(block, made)
    shapes = {name: made[name].shape[0] for name in ("night", "back", "four", "pairs", "styled")}
    assert shapes == {"night": 1, "back": 1, "four": 4, "pairs": 2, "styled": 1}
    assert made["grid"].startswith(b"\x89PNG")
