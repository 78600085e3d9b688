"""What the studio asks, learns and keeps, without a browser and without Gradio."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from studio_helpers import Bare, GreySquares

from facegan.client import FaceClient, HttpTransport, Reply, WSGITransport
from facegan.errors import ConfigError, InvocationError, RequestError
from facegan.studio import Look, ModelFacts, PatientTransport, Studio
from facegan.studio.facts import KNOWING_SEEDS, learn
from facegan.studio.latency import Latency
from facegan.studio.quiz import Score, lay_out
from facegan.studio.session import layer_groups, pack, with_face
from facegan.studio.wishes import whole
from facegan.wire import read_provenance

Make = Callable[..., Studio]


def facts_of(transport: Any) -> ModelFacts:
    return learn(FaceClient(PatientTransport(transport, 30, lambda seconds: None)))


def test_a_front_page_tells_what_a_model_has(plain: WSGITransport, styled: WSGITransport) -> None:
    """Truncation, classes in their order, layers with a style; and what it lacks, in a sentence."""
    facts = facts_of(styled)
    assert (facts.family, facts.resolution, facts.has_truncation) == ("stylegan2", 32, True)
    assert facts.classes == ("plain", "striped", "spotted") and facts.max_images == 64
    assert facts.style_layers > 0 and facts.lacks == ""
    facts = facts_of(plain)
    assert (facts.has_truncation, facts.classes, facts.style_layers) == (False, (), 0)
    assert facts.lacks == (
        "This model has no truncation, classes or styles to mix; what needs them is not shown."
    )


def test_without_a_front_page_a_model_is_asked(plain: WSGITransport, styled: WSGITransport) -> None:
    """As on AWS: the same facts, the classes as far as some seeds name them."""
    told, asked = facts_of(styled), facts_of(Bare(styled))
    assert set(asked.classes) <= set(told.classes) and asked.classes
    assert (asked.style_layers, asked.has_truncation) == (told.style_layers, True)
    assert asked.sha256 == told.sha256
    assert facts_of(Bare(plain)) == facts_of(plain) and KNOWING_SEEDS <= 64


def test_a_front_page_of_another_model_is_not_believed(plain: WSGITransport) -> None:
    """A proxy may serve its own under /; the weights' digest tells."""

    class Elsewhere(Bare):
        def front_page(self) -> Reply:
            told = {"model": {"weights_sha256": "0" * 64, "has_truncation": True}}
            return Reply(200, "application/json", json.dumps(told).encode())

    assert not facts_of(Elsewhere(plain)).has_truncation


def test_a_failure_while_a_model_is_asked_is_no_lack(styled: WSGITransport) -> None:
    """What was not answered in time is not taken for a refusal."""

    class Tired(Bare):
        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            self.is_down = b"truncation_psi" in body
            return super().send(body, content_type, accept)

    with pytest.raises(InvocationError, match="it is down"):
        facts_of(Tired(styled))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"images": [], "model": {}}'])
def test_an_endpoint_that_is_none_of_ours_is_told(body: bytes) -> None:
    """In a sentence, whatever JSON it answers."""

    class Odd:
        def send(self, *_: Any) -> Reply:
            return Reply(200, "application/json", body)

    with pytest.raises(InvocationError, match="not of a facegan model"):
        facts_of(Odd())


def test_what_takes_too_long_is_given_up(plain: WSGITransport) -> None:
    """After the seconds that were given; what fails in time is raised as it is."""
    slow = Bare(plain)
    slow.seconds = 5
    with pytest.raises(InvocationError, match=r"within 0\.05 seconds"):
        PatientTransport(slow, 0.05, lambda seconds: None).send(b"", "", "")
    slow.seconds, slow.is_down = 0, True
    with pytest.raises(InvocationError, match="it is down"):
        PatientTransport(slow, 5, lambda seconds: None).send(b"", "", "")


def test_faces_are_the_servers_bytes(
    make_studio: Make, plain: WSGITransport, styled: WSGITransport
) -> None:
    """In files whose names tell seeds and looks apart, with captions that say them."""
    (file,) = make_studio(plain).faces([7], Look())
    assert file.path.name == "seed0007.png" and file.caption == "seed 7"
    assert file.path.read_bytes() == FaceClient(plain).faces([7])[0].png
    (face,) = make_studio(styled).faces([7], Look(0.7, "spotted"))
    assert face.path.name == "seed0007-spotted-psi0.7.png"
    assert face.caption == "seed 7 · spotted · psi 0.7"
    assert read_provenance(face.path.read_bytes())["facegan:classes"] == "spotted"


def test_many_faces_take_several_requests(make_studio: Make, plain: WSGITransport) -> None:
    """No more at once than the endpoint draws, or than an answer of 6 MB holds."""
    studio = make_studio(plain)
    assert list(map(len, studio.batches(range(130)))) == [64, 64, 2]
    studio.known = ModelFacts("stylegan2", "paper1024", 1024, "0" * 64)
    assert list(map(len, studio.batches(range(3)))) == [1, 1, 1]


def test_a_way_and_its_film_are_of_one_class(make_studio: Make, styled: WSGITransport) -> None:
    """Where none is chosen, of the first seed's; the film goes there and back."""
    studio = make_studio(styled)
    (first,) = studio.faces([1], Look())
    way = studio.way(1, 4, 5, Look())
    assert len(way) == 6 and {face.class_name for face in way} == {first.class_name}
    assert len({face.path for face in way}) == 6
    film = studio.film(1, 4, 5, 40, Look(1.0, "plain"))
    with Image.open(film) as picture:
        assert picture.n_frames == 11
    assert read_provenance(film.read_bytes())["facegan:seeds"] == "1,4,1"


def test_a_strip_is_one_picture(make_studio: Make, plain: WSGITransport) -> None:
    """Seven faces of 32 pixels side by side."""
    strip = make_studio(plain).strip([1, 2, 3], 3, Look())
    with Image.open(strip) as picture:
        assert picture.size == (7 * 32 + 6 * 2, 32)


def test_mixed_faces_are_rows_of_columns(make_studio: Make, styled: WSGITransport) -> None:
    """Named by both seeds."""
    rows = make_studio(styled).mixed([1, 2], [7, 8, 9], [2, 3], Look())
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
    """Each once, in the order they were kept."""
    two = make_studio(plain).faces([3, 1], Look())
    kept = with_face(with_face(with_face([], two[0]), two[1]), two[0])
    assert kept == two
    with zipfile.ZipFile(pack([face.path for face in kept], tmp_path / "a.zip")) as archive:
        assert archive.namelist() == ["seed0003.png", "seed0001.png"]
        assert archive.read("seed0001.png") == two[1].path.read_bytes()


def test_a_question_of_the_quiz_does_not_tell_the_answer(
    make_studio: Make, plain: WSGITransport
) -> None:
    """Both are PNGs of one size; their names differ by the side alone, which is of chance."""
    studio = make_studio(plain, open_reals=GreySquares)
    rounds = [studio.round(Look()) for _ in range(12)]
    assert {question.real_is_left for question in rounds} == {True, False}
    for question in rounds:
        real, fake = question.left, question.right
        if not question.real_is_left:
            real, fake = fake, real
        assert "Comment" not in Image.open(real).info
        assert read_provenance(fake.read_bytes())["facegan:seeds"] == str(question.seed)
        assert question.left.name.replace("left", "right") == question.right.name
    with pytest.raises(ConfigError, match="--data"):
        make_studio(plain).round(Look())


def test_a_score_counts() -> None:
    score = Score()
    assert "Which one" in score.told
    for is_right in (True, False, True, True, True):
        score = score.with_answer(is_right)
    assert score.told == "4 of 5 right (a coin gets half)."


def test_the_order_of_a_question_is_of_chance_alone(tmp_path: Path) -> None:
    orders = [lay_out(b"r", b"f", 1, tmp_path, random.Random(seed)) for seed in range(20)]
    assert {order.left.read_bytes() for order in orders} == {b"r", b"f"}


@pytest.mark.parametrize("value", [None, -1, 2**32, 1.5, float("nan"), float("inf"), "7"])
def test_a_field_that_holds_no_seed_is_told(value: object) -> None:
    with pytest.raises(RequestError, match="Seed"):
        whole(value, "Seed")
    assert whole(7.0, "Seed") == 7


def test_latency_is_told_for_people() -> None:
    latency = Latency()
    assert latency.told == "No answer yet."
    latency.add(0.25)
    assert latency.told == "Last answer in 250 ms"
    latency.add(1.5)
    assert latency.told == "Last answer in 1.5 s (median of the last 2: 875 ms)"


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


def test_real_pictures_come_from_a_data_set_as_plain_pngs(images_dir: Path) -> None:
    """Of the resolution asked, and without a word of ours in them."""
    from facegan.cli.studio_dataset import DatasetImages

    reals = DatasetImages(images_dir, 32)
    with Image.open(io.BytesIO(reals.png(len(reals) - 1))) as picture:
        assert picture.size == (32, 32) and not picture.info
