"""Images and label maps through a real app: in by every content type, out with their provenance."""

import base64
import hashlib
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import numpy as np
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from PIL import Image
from source_files import COLOURS, colour_map, form, npy, palette_map, photo, png_of, saved
from source_models import CYCLING, LABELLING, PAINTING, SIDE, TRANSLATING, arithmetic
from werkzeug.test import TestResponse

from facegan.model_files import ModelCard
from facegan.serving import create_app, handler
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import LARGE_IMAGES
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServingSettings, serve
from facegan.serving.telemetry.logs import REQUESTS
from facegan.wire import (
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    WEBP,
    ZIP,
    GenerateRequest,
    decode_images,
    read_provenance,
)

NUMBERS = np.random.default_rng(1).integers(0, 4, (SIDE, SIDE), np.uint8)
MAP = saved(palette_map(NUMBERS))
PHOTO = saved(photo(SIDE, SIDE))
PIXELS = np.asarray(photo(SIDE, SIDE))
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
KINDS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
Post = Send = Callable[..., TestResponse]


def client_of(card: ModelCard, **limits: int) -> FlaskClient:
    return create_app(arithmetic(card), limits=ServingLimits(**limits)).test_client()


@pytest.fixture(scope="module")
def clients() -> dict[str, FlaskClient]:
    cards = {"pix2pix": TRANSLATING, "cyclegan": CYCLING, "spade": PAINTING, "maps": LABELLING}
    return {name: client_of(card) for name, card in cards.items()}


@pytest.fixture
def send(clients: dict[str, FlaskClient]) -> Send:
    """POST a body to a model: `send("spade", MAP, "image/png;seed=7", Accept="image/png")`."""

    def post(model: str, body: bytes, content_type: str, **headers: str) -> TestResponse:
        return clients[model].post(
            "/invocations", data=body, content_type=content_type, headers=headers
        )

    return post


def in_json(**fields: Any) -> bytes:
    return json.dumps(fields, default=lambda value: base64.b64encode(value).decode()).encode()


def images_of(reply: TestResponse) -> np.ndarray:
    assert reply.status_code == 200, reply.text
    return decode_images(reply.data, reply.content_type)


def refused(reply: TestResponse, status: int = 400) -> dict[str, str]:
    assert reply.status_code == status, reply.text
    error = reply.get_json()
    assert set(error) == {"error", "message", "hint"} and error["hint"]
    assert "Traceback" not in reply.text and ".py" not in reply.text
    return dict(error)


def painted(seed_or_none: int | None = None) -> np.ndarray:
    """Return what the painting model makes of NUMBERS and a seed."""
    latents = arithmetic(PAINTING).prepare_batch(
        seeds=[seed_or_none or 0], label_maps=NUMBERS[None]
    ).arrays["latents"]  # fmt: skip
    shade = NUMBERS * 40 + np.uint8(16 * (latents[0, 0] > 0))
    return np.repeat(shade[..., None], 3, axis=2)


# --- in and out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_in_is_an_image_out(send: Send, kind: str) -> None:
    """The whole call: one body, one content type."""
    body = saved(photo(SIDE, SIDE), kind)
    expected = 255 - np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))
    reply = send("pix2pix", body, f"image/{kind.lower()}")
    assert reply.content_type == PNG
    assert np.array_equal(images_of(reply), expected[None])


def test_a_direction_is_a_parameter(send: Send) -> None:
    assert np.array_equal(images_of(send("cyclegan", PHOTO, PNG))[0], 255 - PIXELS)
    for direction, expected in (("AtoB", 255 - PIXELS), ("BtoA", PIXELS)):
        reply = send("cyclegan", PHOTO, f"{PNG};direction={direction}")
        assert np.array_equal(images_of(reply)[0], expected)


MAPS = {
    "palette": (MAP, PNG),
    "grey": (saved(Image.fromarray(NUMBERS)), PNG),
    "colours": (saved(colour_map(NUMBERS)), PNG),
    "lossless WebP": (saved(colour_map(NUMBERS), "WEBP", lossless=True), WEBP),
    "array": (npy(NUMBERS), NPY),
    "array of one": (npy(NUMBERS[None]), NPY),
    "JSON": (in_json(label_maps=[MAP]), JSON),
    "rows in JSON": (in_json(label_maps=[NUMBERS.tolist()]), JSON),
    "form": form(("label_map", MAP)),
}


@pytest.mark.parametrize("form_", MAPS)
@pytest.mark.parametrize("model", ["spade", "maps"])
def test_every_form_of_a_map_has_the_same_reply(send: Send, model: str, form_: str) -> None:
    """To the last byte of the pixels; a PNG also holds the digest of what was sent."""
    reply = send(model, *MAPS[form_], Accept=NPY)
    assert reply.status_code == 200, reply.text
    assert reply.data == send(model, MAP, PNG, Accept=NPY).data
    expected = painted() if model == "spade" else np.repeat(NUMBERS[..., None] * 40, 3, axis=2)
    assert np.array_equal(images_of(reply), expected[None])


def test_one_map_and_many_seeds(send: Send) -> None:
    reply = send("spade", MAP, f"{PNG};seeds=0,1,2,3,4,5,6,7", Accept=NPY)
    assert np.array_equal(images_of(reply), [painted(seed) for seed in range(8)])
    assert len(np.unique(images_of(reply), axis=0)) == 2, "the seeds' latents are of both signs"


def test_many_maps_and_one_seed_and_pairs(send: Send) -> None:
    maps = [NUMBERS.tolist(), (3 - NUMBERS).tolist()]
    for seeds in ([1], [1, 1]):
        reply = send("spade", in_json(label_maps=maps, seeds=seeds), JSON, Accept=NPY)
        assert np.array_equal(images_of(reply)[0], painted(1))
        assert len(images_of(reply)) == 2


def test_the_same_request_has_the_same_bytes(send: Send) -> None:
    first, second = (send("spade", MAP, f"{PNG};seed=3").data for _ in range(2))
    assert first == second


def test_an_interpolation_over_one_map(send: Send) -> None:
    body = in_json(label_maps=[MAP], seeds=[1, 2], interpolate=4, layout="animation")
    assert images_of(send("spade", body, JSON, Accept=WEBP)).shape[1:] == (SIDE, SIDE, 3)
    body = in_json(label_maps=[MAP], seeds=[1, 2], interpolate=4)
    assert len(images_of(send("spade", body, JSON, Accept=NPY))) == 5


def test_a_style_takes_the_place_of_a_seed(send: Send) -> None:
    style = saved(Image.new("RGB", (SIDE, SIDE), (5, 6, 7)))
    reply = send("spade", *form(("label_map", MAP), ("style", style)))
    assert np.array_equal(images_of(reply)[0], NUMBERS[..., None] * 40 + np.uint8([5, 6, 7]))
    assert "facegan:seeds" not in read_provenance(reply.data)


def test_json_lines_answer_line_by_line(send: Send) -> None:
    lines = [
        in_json(label_maps=[MAP], seeds=[1, 2]),
        in_json(label_maps=[[[9]]]),
        in_json(seeds=[1]),
        in_json(label_maps=[NUMBERS.tolist()]),
    ]
    reply = send("spade", b"\n".join(lines), JSON_LINES)
    answers = [json.loads(line) for line in reply.data.splitlines()]
    assert [len(answer.get("images", [])) for answer in answers] == [2, 0, 0, 1]
    assert "the class 9 at row 0, column 0" in answers[1]["message"]
    assert "paints label maps" in answers[2]["message"]


def test_a_reply_may_stream_line_by_line(send: Send) -> None:
    reply = send("spade", MAP, f"{PNG};seeds=1,2,3", Accept=JSON_LINES)
    lines = [json.loads(line) for line in reply.data.splitlines()]
    assert [line["seed"] for line in lines] == [1, 2, 3]
    assert {line["input"]["sha256"] for line in lines} == {hashlib.sha256(MAP).hexdigest()}


# --- what a reply says ----------------------------------------------------------------------------


def digital_source(image: bytes) -> str:
    """Return what an image says of its origin, read by programs that know nothing of facegan."""
    with Image.open(io.BytesIO(image)) as opened:
        info: Any = opened.info
    packet = ElementTree.fromstring(info.get("xmp") or info["XML:com.adobe.xmp"])
    (found,) = [it.get(IPTC) for it in packet.iter() if it.get(IPTC)]
    return str(found).removeprefix(KINDS)


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg", "image/webp"])
def test_a_reply_says_of_what_it_was_made(send: Send, accept: str) -> None:
    """IPTC tells an edited photograph from an image that only instructions went into."""
    composite, generated = "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"
    style = in_json(label_maps=[MAP], styles=[PHOTO])
    for model, body, content_type, kind in (
        ("pix2pix", PHOTO, PNG, composite),
        ("spade", MAP, PNG, generated),
        ("spade", style, JSON, composite),
    ):
        reply = send(model, body, content_type, Accept=accept)
        assert digital_source(reply.data) == kind
    animation = in_json(label_maps=[MAP], styles=[PHOTO, MAP], layout="animation")
    assert digital_source(send("spade", animation, JSON, Accept=WEBP).data) == composite


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg", "image/webp"])
def test_a_reply_names_its_source_by_digest(send: Send, accept: str) -> None:
    told = read_provenance(send("cyclegan", PHOTO, f"{PNG};direction=BtoA", Accept=accept).data)
    assert told["facegan:source_sha256"] == hashlib.sha256(PHOTO).hexdigest()
    assert told["facegan:direction"] == "BtoA"
    assert "facegan:seeds" not in told
    told = read_provenance(send("spade", MAP, f"{PNG};seeds=4,5", Accept=accept).data)
    assert told["facegan:source_sha256"] == hashlib.sha256(MAP).hexdigest()
    assert told["facegan:seeds"] == "4,5" and "facegan:direction" not in told


def test_of_an_array_the_digest_is_of_its_numbers(send: Send) -> None:
    told = read_provenance(send("spade", npy(NUMBERS), NPY).data)
    assert told["facegan:source_sha256"] == hashlib.sha256(NUMBERS.tobytes()).hexdigest()


def test_the_default_direction_and_seed_are_named(send: Send) -> None:
    assert read_provenance(send("cyclegan", PHOTO, PNG).data)["facegan:direction"] == "AtoB"
    assert read_provenance(send("spade", MAP, PNG).data)["facegan:seeds"] == "0"


def test_json_names_the_source_of_each_image(send: Send) -> None:
    other = saved(photo(SIDE, SIDE).rotate(90))
    reply = send("cyclegan", in_json(images=[PHOTO, other]), JSON, Accept=JSON).get_json()
    digests = [hashlib.sha256(content).hexdigest() for content in (PHOTO, other)]
    assert [image["input"] for image in reply["images"]] == [
        {"index": index, "sha256": digest} for index, digest in enumerate(digests)
    ]
    assert [image["direction"] for image in reply["images"]] == ["AtoB", "AtoB"]
    for image, digest in zip(reply["images"], digests, strict=True):
        told = read_provenance(base64.b64decode(image["png"]))
        assert told["facegan:source_sha256"] == digest


def test_a_zip_names_its_files_by_their_sources(send: Send) -> None:
    def names(model: str, body: bytes) -> list[str]:
        reply = send(model, body, JSON, Accept=ZIP)
        assert reply.status_code == 200, reply.text
        with zipfile.ZipFile(io.BytesIO(reply.data)) as archive:
            listing = json.loads(archive.read("provenance.json"))
        assert listing["digital_source_type"].startswith(KINDS)
        return [entry["file"] for entry in listing["images"]]

    assert names("pix2pix", in_json(images=[PHOTO] * 2)) == ["input0000.png", "input0001.png"]
    assert names("spade", in_json(label_maps=[MAP] * 2, seeds=[7])) == [
        "input0000-seed0007.png", "input0001-seed0007.png"
    ]  # fmt: skip
    assert names("spade", in_json(label_maps=[MAP], seeds=[7, 7])) == [
        "input0000-seed0007.png", "input0000-seed0007-2.png"
    ]  # fmt: skip


def test_metadata_of_the_input_is_dropped(send: Send) -> None:
    """A photograph's place and camera are nobody's business."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    body = saved(photo(SIDE, SIDE), "JPEG", exif=exif, comment=b"SECRETCOMMENT")
    assert b"SECRETCAMERA" in body and b"SECRETCOMMENT" in body
    for accept in ("image/png", "image/jpeg", "image/webp", JSON, ZIP):
        reply = send("pix2pix", body, "image/jpeg", Accept=accept)
        assert reply.status_code == 200 and b"SECRET" not in reply.data


def test_inputs_are_not_logged(
    clients: dict[str, FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither are seeds, which here are part of the content type."""
    with caplog.at_level(logging.INFO):
        for body, content_type in ((MAP, f"{PNG};seed=4294967291"), (MAP[:99], f"{PNG};seed=9")):
            clients["spade"].post(
                "/invocations", data=body, content_type=content_type, buffered=True
            )
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "4294967291" not in logged and hashlib.sha256(MAP).hexdigest() not in logged
    assert len([record for record in caplog.records if record.name == REQUESTS]) == 2


# --- what the server says of the model ------------------------------------------------------------


def test_about_answers_what_the_front_page_does(
    clients: dict[str, FlaskClient], send: Send
) -> None:
    """SageMaker passes no GET on; a client behind InvokeEndpoint asks by a POST."""
    for model, client in clients.items():
        about = send(model, b'{"about": true}', JSON)
        assert about.status_code == 200 and about.get_json() == client.get("/").get_json()
    said = send("spade", b'{"about": true}', JSON).get_json()
    assert said["model"]["inputs"] == [
        {"name": "label_maps", "kind": "label_map", "optional": False},
        {"name": "latents", "kind": "latent", "optional": False},
        {"name": "styles", "kind": "image", "optional": True},
    ]
    assert [it["colour"] for it in said["model"]["map_classes"]] == list(COLOURS)
    assert said["model"]["resolution"] == SIDE and said["model"]["directions"] == []
    assert said["content_types"][:2] == ["image/png", "image/webp"]
    assert send("cyclegan", b'{"about": true}', JSON).get_json()["model"]["directions"] == [
        "AtoB", "BtoA"
    ]  # fmt: skip


def test_a_model_of_latents_answers_about_too(post: Post, client: FlaskClient) -> None:
    said = post(b'{"about": true}').get_json()
    assert said == client.get("/").get_json()
    assert said["model"]["inputs"] == [{"name": "latents", "kind": "latent", "optional": False}]
    assert said["model"]["map_classes"] == said["model"]["directions"] == []


def test_batch_transform_sends_one_image_at_a_time(clients: dict[str, FlaskClient]) -> None:
    """SageMaker asks before a job; two files in one body would be neither."""
    for client in clients.values():
        assert client.get("/execution-parameters").get_json()["BatchStrategy"] == "SINGLE_RECORD"


def test_the_reference_s_calls_are_answered(
    clients: dict[str, FlaskClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python block of docs/serving-reference.md, with a boto3 client that calls these apps."""
    document = Path(__file__).parents[2] / "docs" / "serving-reference.md"
    (block,) = (
        text
        for text in re.findall(r"^```python\n(.*?)^```", document.read_text(), re.M | re.S)
        if "translator.invoke_endpoint" in text
    )
    endpoints = {"cyclegan": clients["cyclegan"], "gaugan": clients["spade"]}

    class Runtime:
        def invoke_endpoint(self, **call: Any) -> np.ndarray:
            headers = {"Accept": call.get("Accept", PNG)}
            reply = endpoints[call["EndpointName"]].post(
                "/invocations",
                data=call["Body"],
                content_type=call["ContentType"],
                headers=headers,
            )
            return images_of(reply)

    (tmp_path / "photo.png").write_bytes(PHOTO)
    (tmp_path / "map.png").write_bytes(MAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(boto3, "client", lambda service, endpoint_url: Runtime())
    names: dict[str, Any] = {}
    exec(block, names)
    assert np.array_equal(names["night"][0], 255 - PIXELS)
    assert np.array_equal(names["day"][0], PIXELS)
    assert names["faces"].shape == (1, 2 * SIDE + 2, 2 * SIDE + 2, 3)


def test_about_is_json_or_nothing(send: Send) -> None:
    refused(send("spade", b'{"about": true}', JSON, Accept=PNG), 406)
    error = refused(send("spade", b'{"about": true, "seeds": [1]}', JSON))
    assert '{"about": true} alone' in error["hint"]


def test_the_documents_of_each_model_are_valid_and_their_examples_answered(
    clients: dict[str, FlaskClient],
) -> None:
    for model, client in clients.items():
        document = client.get("/openapi.json").get_json()
        validate(document)
        content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
        front = client.get("/").get_json()
        assert list(content) == front["content_types"]
        for content_type, media in content.items():
            if "example" in media:
                example = media["example"]
                sent = {"json": example} if isinstance(example, dict) else {"data": example}
                reply = client.post("/invocations", content_type=content_type, **sent)
                assert reply.status_code == 200, (model, reply.text)
        fields = document["components"]["schemas"]["GenerateRequest"]["properties"]
        assert ("seeds" in fields) == (model == "spade")
        assert ("images" in fields) == (model in ("pix2pix", "cyclegan"))
        assert ("direction" in fields) == (model == "cyclegan")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "body", "content_type", "status", "message"),
    [
        ("spade", saved(colour_map(NUMBERS), "JPEG"), "image/jpeg", 400, "changes class numbers"),
        ("spade", saved(photo()), PNG, 400, "colours that no class has"),
        ("spade", saved(photo()), NPY, 400, "is not a .npy file"),
        ("spade", b"1,2", "text/csv", 415, "which paints label maps"),
        ("spade", b"", PNG, 400, "The body is empty"),
        ("spade", MAP, f"{PNG};sed=1", 400, "Unknown parameter 'sed'"),
        ("spade", MAP, f"{PNG};direction=AtoB", 400, "does not translate both ways"),
        ("spade", npy(np.full((2, 2), 4)), NPY, 400, "the class 4 at row 0, column 0, and 4 pix"),
        ("pix2pix", PHOTO, f"{PNG};seed=1", 400, "has no latents"),
        ("pix2pix", PHOTO, "image/webp", 400, "not image/webp, but image/png"),
        ("pix2pix", png_of(30_000, 30_000, 8, 2, b""), PNG, 413, "the limit is 32,000,000"),
        ("pix2pix", png_of(8, 8, 16, 2, bytes(8 * 49)), PNG, 400, "16 bits per channel"),
        ("pix2pix", in_json(images=[b"GIF89a"]), JSON, 400, "not a readable PNG, JPEG or WebP"),
        ("pix2pix", in_json(seeds=[1]), JSON, 400, "This model translates images"),
        ("maps", in_json(label_maps=[MAP], styles=[PHOTO]), JSON, 400, "no style encoder"),
    ],
)
def test_each_mistake_has_its_sentence(
    send: Send, model: str, body: bytes, content_type: str, status: int, message: str
) -> None:
    assert message in refused(send(model, body, content_type), status)["message"]


def test_a_model_of_latents_refuses_images(post: Post) -> None:
    assert "text/csv" in refused(post(PHOTO, PNG), 415)["hint"]
    message = "generates images from seeds or latents"
    assert message in refused(post(in_json(images=[PHOTO])))["message"]
    assert "latents are floats" in refused(post(npy(np.zeros((16, 16), np.uint8)), NPY))["message"]
    assert post(in_json(latents=[[0] * 16])).status_code == 200


def test_limits_of_pixels_count_and_bytes() -> None:
    client = client_of(TRANSLATING, max_pixels=600, max_images=2)
    two = in_json(images=[PHOTO] * 2)
    assert client.post("/invocations", data=two, content_type=JSON).status_code == 200
    many = in_json(images=[PHOTO] * 3)
    assert "3 images; the limit is 2" in refused(
        client.post("/invocations", data=many, content_type=JSON), 413
    )["message"]  # fmt: skip
    large = in_json(images=[saved(photo(20, 20))] * 2)
    assert "over 600 pixels together" in refused(
        client.post("/invocations", data=large, content_type=JSON), 413
    )["message"]  # fmt: skip


def test_a_body_of_many_lines_has_a_limit_of_pixels() -> None:
    client = client_of(TRANSLATING, max_pixels=300)
    lines = b"\n".join([in_json(images=[PHOTO])] * 19)
    error = refused(client.post("/invocations", data=lines, content_type=JSON_LINES), 413)
    assert "4,864 pixels together; the limit is 4,800" in error["message"]


def test_a_photograph_of_a_phone_is_translated(send: Send) -> None:
    """Twelve megapixels: more than is parsed at once, less than the limit."""
    body = saved(photo(4032, 3024), "JPEG", quality=50)
    assert images_of(send("pix2pix", body, "image/jpeg")).shape == (1, SIDE, SIDE, 3)


def test_large_images_of_many_callers_wait_for_one_another(clients: dict[str, FlaskClient]) -> None:
    """They are decoded one at a time, which bounds memory; nobody is refused for that."""
    body = saved(photo(1000, 1000), "JPEG")
    app = clients["pix2pix"].application

    def post(_: int) -> int:
        client = app.test_client()
        return client.post("/invocations", data=body, content_type="image/jpeg").status_code

    with ThreadPoolExecutor(24) as callers:
        assert set(callers.map(post, range(24))) == {200}
    assert LARGE_IMAGES.callers == 0


# --- a model's own code, and AWS's toolkit --------------------------------------------------------


def test_a_model_s_own_predict_fn_gets_arrays_of_the_model_s_side() -> None:
    """Decoded and checked, as its own generator would get them; provenance is of what was sent."""
    seen: list[GenerateRequest] = []

    def predict_fn(request: GenerateRequest, deadline: Deadline) -> np.ndarray:
        seen.append(request)
        return np.zeros((request.count, SIDE, SIDE, 3), np.uint8)

    served = serve(arithmetic(CYCLING), ServingSettings())
    client = create_app(replace(served, predict_fn=predict_fn)).test_client()
    body = saved(photo(100, 60), "JPEG")
    reply = client.post("/invocations", data=body, content_type="image/jpeg;direction=BtoA")
    assert reply.status_code == 200, reply.text
    (request,) = seen
    assert request.direction == "BtoA"
    assert isinstance(request.images, np.ndarray) and request.images.shape == (1, SIDE, SIDE, 3)
    told = read_provenance(reply.data)
    assert told["facegan:source_sha256"] == hashlib.sha256(body).hexdigest()
    assert told["facegan:direction"] == "BtoA"


def test_the_toolkit_s_functions_take_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """input_fn gets no model; the handler remembers what its model takes."""
    monkeypatch.setattr(handler, "open_synthesizer", lambda folder: arithmetic(TRANSLATING))
    functions = handler.FaceHandler()
    model = functions.default_model_fn("anywhere")
    request = functions.default_input_fn(PHOTO, PNG)
    body, content_type = functions.default_output_fn(
        functions.default_predict_fn(request, model), NPY
    )
    model.close(5)
    assert np.array_equal(decode_images(body, content_type)[0], 255 - PIXELS)
