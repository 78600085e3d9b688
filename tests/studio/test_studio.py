"""The studio's requests, model information and files, without a browser or Gradio."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from studio_helpers import Bare, GreySquares

from facegan.client import FaceClient, HttpTransport, Reply, WSGITransport
from facegan.errors import ConfigError, InvocationError, RequestError
from facegan.studio import GenerationOptions, ModelInfo, Studio, TimeoutTransport
from facegan.studio.latency import Latency
from facegan.studio.model_info import fetch_model_info
from facegan.studio.quiz import Score, make_question
from facegan.studio.saved_image import parse_int
from facegan.studio.studio import add_image, layer_groups, zip_files
from facegan.wire import read_provenance

Make = Callable[..., Studio]


def info_of(transport: Any) -> ModelInfo:
    return fetch_model_info(FaceClient(TimeoutTransport(transport, 30, lambda seconds: None)))


def test_an_endpoint_says_what_its_model_supports(
    plain: WSGITransport, styled: WSGITransport
) -> None:
    """Truncation, classes in their order, layers with a style."""
    info = info_of(styled)
    assert (info.family, info.resolution, info.has_truncation) == ("stylegan2", 32, True)
    assert info.classes == ("plain", "striped", "spotted") and info.max_images == 64
    assert info.style_layers > 0
    info = info_of(plain)
    assert (info.has_truncation, info.classes, info.style_layers) == (False, (), 0)


def test_without_a_front_page_it_says_the_same(plain: WSGITransport, styled: WSGITransport) -> None:
    """As on AWS, where GET is not forwarded; in one request, which generates nothing."""
    assert info_of(Bare(styled)) == info_of(styled)
    assert info_of(Bare(plain)) == info_of(plain)

    class Counting(Bare):
        sent: ClassVar[list[bytes]] = []

        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            self.sent.append(body)
            return super().send(body, content_type, accept)

    info_of(Counting(styled))
    assert Counting.sent == [b'{"about": true}']


def test_custom_code_that_says_nothing_has_seeds_only(styled: WSGITransport) -> None:
    """It refuses the question, or answers that it has no card."""

    class Custom(Bare):
        refusal = Reply(400, "application/json", b'{"message": "What?"}')

        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            asked = body == b'{"about": true}'
            return self.refusal if asked else super().send(body, content_type, accept)

    told, info = info_of(styled), info_of(Custom(styled))
    assert (info.family, info.resolution, info.sha256) == ("stylegan2", 32, told.sha256)
    assert info.needs_only_seeds and not info.has_truncation
    Custom.refusal = Reply(200, "application/json", b'{"model": null, "max_images": 64}')
    assert info_of(Custom(styled)) == info


def test_a_front_page_of_another_model_is_not_believed(plain: WSGITransport) -> None:
    """A proxy may serve its own under /; the weights' digest tells."""

    class Elsewhere(Bare):
        def front_page(self) -> Reply:
            told = {"model": {"weights_sha256": "0" * 64, "has_truncation": True}}
            return Reply(200, "application/json", json.dumps(told).encode())

    assert not info_of(Elsewhere(plain)).has_truncation


def test_a_failure_is_not_taken_for_a_refusal(styled: WSGITransport) -> None:
    """A request that was not answered in time says nothing about the model."""

    class Tired(Bare):
        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            self.is_down = b"about" in body
            return super().send(body, content_type, accept)

    with pytest.raises(InvocationError, match="it is down"):
        info_of(Tired(styled))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"images": [], "model": {}}'])
def test_an_endpoint_that_is_not_facegan_is_refused(body: bytes) -> None:
    """In one sentence, whatever JSON it answers."""

    class Odd:
        def send(self, *_: Any) -> Reply:
            return Reply(200, "application/json", body)

    with pytest.raises(InvocationError, match="not of a facegan model"):
        info_of(Odd())


def test_a_slow_call_times_out(plain: WSGITransport) -> None:
    """An error before the timeout is raised as it is."""
    slow = Bare(plain)
    slow.seconds = 5
    with pytest.raises(InvocationError, match=r"within 0\.05 seconds"):
        TimeoutTransport(slow, 0.05, lambda seconds: None).send(b"", "", "")
    slow.seconds, slow.is_down = 0, True
    with pytest.raises(InvocationError, match="it is down"):
        TimeoutTransport(slow, 5, lambda seconds: None).send(b"", "", "")


def test_images_are_the_servers_bytes(
    make_studio: Make, plain: WSGITransport, styled: WSGITransport
) -> None:
    """In files named by seed and options, with captions."""
    (file,) = make_studio(plain).generate([7], GenerationOptions())
    assert file.path.name == "seed0007.png" and file.caption == "seed 7"
    assert file.path.read_bytes() == FaceClient(plain).faces([7])[0].png
    (face,) = make_studio(styled).generate([7], GenerationOptions(0.7, "spotted"))
    assert face.path.name == "seed0007-spotted-psi0.7.png"
    assert face.caption == "seed 7 · spotted · psi 0.7"
    assert read_provenance(face.path.read_bytes())["facegan:classes"] == "spotted"


def test_many_images_take_several_requests(make_studio: Make, plain: WSGITransport) -> None:
    """Each within the endpoint's limit of images and of 6 MB per answer."""
    studio = make_studio(plain)
    assert list(map(len, studio.split_requests(range(130)))) == [64, 64, 2]
    studio.cached_info = ModelInfo("stylegan2", "paper1024", 1024, "0" * 64)
    assert list(map(len, studio.split_requests(range(3)))) == [1, 1, 1]


def test_an_interpolation_and_its_animation_have_one_class(
    make_studio: Make, styled: WSGITransport
) -> None:
    """The first seed's if none is chosen; the animation goes there and back."""
    studio = make_studio(styled)
    (first,) = studio.generate([1], GenerationOptions())
    way = studio.interpolate(1, 4, 5, GenerationOptions())
    assert len(way) == 6 and {face.class_name for face in way} == {first.class_name}
    assert len({face.path for face in way}) == 6
    film = studio.animate(1, 4, 5, 40, GenerationOptions(1.0, "plain"))
    with Image.open(film) as picture:
        assert picture.n_frames == 11
    assert read_provenance(film.read_bytes())["facegan:seeds"] == "1,4,1"


def test_a_strip_is_one_image(make_studio: Make, plain: WSGITransport) -> None:
    """Seven images of 32 pixels side by side."""
    strip = make_studio(plain).interpolation_strip([1, 2, 3], 3, GenerationOptions())
    with Image.open(strip) as picture:
        assert picture.size == (7 * 32 + 6 * 2, 32)


def test_mixed_images_are_rows_of_columns(make_studio: Make, styled: WSGITransport) -> None:
    """Named by both seeds."""
    rows = make_studio(styled).mix([1, 2], [7, 8, 9], [2, 3], GenerationOptions())
    assert [[face.path.name for face in row][-1] for row in rows] == [
        "seed0001-mix0009.png",
        "seed0002-mix0009.png",
    ]


def test_layers_have_names_from_coarse_to_fine() -> None:
    """Every layer is in one of the thirds, none twice."""
    for count in range(1, 19):
        thirds = [layers for name, layers in layer_groups(count).items() if ":" in name]
        assert [layer for third in thirds for layer in third] == list(range(count))
    assert layer_groups(0) == {}


def test_favourites_are_packed_untouched(
    make_studio: Make, plain: WSGITransport, tmp_path: Path
) -> None:
    """Each once, in the order in which they were kept."""
    two = make_studio(plain).generate([3, 1], GenerationOptions())
    kept = add_image(add_image(add_image([], two[0]), two[1]), two[0])
    assert kept == two
    with zipfile.ZipFile(zip_files([image.path for image in kept], tmp_path / "a.zip")) as archive:
        assert archive.namelist() == ["seed0003.png", "seed0001.png"]
        assert archive.read("seed0001.png") == two[1].path.read_bytes()


def test_a_question_does_not_reveal_the_answer(make_studio: Make, plain: WSGITransport) -> None:
    """Both are PNGs of one size; their names differ only by the side, which is random."""
    studio = make_studio(plain, open_real_images=GreySquares)
    rounds = [studio.new_question(GenerationOptions()) for _ in range(12)]
    assert {question.real_is_left for question in rounds} == {True, False}
    for question in rounds:
        real, fake = question.left, question.right
        if not question.real_is_left:
            real, fake = fake, real
        assert "Comment" not in Image.open(real).info
        assert read_provenance(fake.read_bytes())["facegan:seeds"] == str(question.seed)
        assert question.left.name.replace("left", "right") == question.right.name
    with pytest.raises(ConfigError, match="--data"):
        make_studio(plain).new_question(GenerationOptions())


def test_a_score_counts() -> None:
    score = Score()
    assert "Which image" in score.summary
    for is_right in (True, False, True, True, True):
        score = score.with_answer(is_right)
    assert score.summary == "4 of 5 right (guessing gets half)."


def test_the_order_of_a_question_is_random(tmp_path: Path) -> None:
    orders = [make_question(b"r", b"f", 1, tmp_path, random.Random(seed)) for seed in range(20)]
    assert {order.left.read_bytes() for order in orders} == {b"r", b"f"}


@pytest.mark.parametrize("value", [None, -1, 2**32, 1.5, float("nan"), float("inf"), "7"])
def test_a_field_without_a_seed_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match="Seed"):
        parse_int(value, "Seed")
    assert parse_int(7.0, "Seed") == 7


def test_latency_is_summarised() -> None:
    latency = Latency()
    assert latency.summary == "No answer yet."
    latency.add(0.25)
    assert latency.summary == "Last answer in 250 ms"
    latency.add(1.5)
    assert latency.summary == "Last answer in 1.5 s (median of the last 2: 875 ms)"


def test_http_reads_the_front_page_under_the_url() -> None:
    """A path in front is kept, as for requests."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Front(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"path": self.path}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Front) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        reply = HttpTransport(f"http://127.0.0.1:{server.server_port}/v1/").front_page()
    assert json.loads(reply.body) == {"path": "/v1/"}


def test_real_images_come_from_a_data_set_as_plain_pngs(images_dir: Path) -> None:
    """At the requested resolution, and without our metadata."""
    from facegan.cli.studio_dataset import DatasetImages

    reals = DatasetImages(images_dir, 32)
    with Image.open(io.BytesIO(reals.png(len(reals) - 1))) as picture:
        assert picture.size == (32, 32) and not picture.info
