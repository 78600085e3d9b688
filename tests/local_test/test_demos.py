"""The demos' parts: what is sent to the endpoint, what the images show, what is deleted."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

LOCAL_TEST = Path(__file__).parents[2] / "local_test"
sys.path[:0] = [str(LOCAL_TEST)]

import demo_paint  # noqa: E402
import demo_steps  # noqa: E402
import demo_translate  # noqa: E402


def png(value: int, side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(stream, "PNG")
    return stream.getvalue()


class Endpoint:
    """Answers as boto3's client does; keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def invoke_endpoint(self, **call: object) -> dict[str, object]:
        self.calls.append(call)
        return {"Body": io.BytesIO(f"answer {len(self.calls)}".encode())}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder as `facegan data toy` writes it, of nine faces."""
    for folder, first in (("images", 0), ("labels", 50), ("paired", 100)):
        below = tmp_path / folder / "00000"
        below.mkdir(parents=True)
        for index in range(9):
            (below / f"{index:08}.png").write_bytes(png(first + index))
    return tmp_path


def test_maps_are_painted_in_every_seed_beside_their_truths(faces: Path) -> None:
    endpoint = Endpoint()
    columns = demo_paint.paint(endpoint, faces)
    assert list(columns) == ["label map", "truth", "seed 0", "seed 1", "seed 2", "seed 3"]
    assert {len(column) for column in columns.values()} == {demo_paint.MAPS}
    assert columns["label map"] == [png(50 + index) for index in range(6)]
    assert columns["truth"] == [png(index) for index in range(6)]
    assert columns["seed 1"] == [f"answer {7 + index}".encode() for index in range(6)]
    seventh = endpoint.calls[6]
    assert seventh["ContentType"] == "image/png;seed=1" and seventh["Accept"] == "image/png"
    assert seventh["Body"] == png(50)


def test_both_directions_are_asked_for(faces: Path) -> None:
    endpoint = Endpoint()
    columns = demo_translate.translate(endpoint, faces)
    assert columns["true day"] == columns["day"] == [png(index) for index in range(6)]
    assert columns["true night"] == columns["night"] == [png(100 + index) for index in range(6)]
    types = [str(call["ContentType"]) for call in endpoint.calls]
    assert types == ["image/png;direction=AtoB"] * 6 + ["image/png;direction=BtoA"] * 6
    assert [call["Body"] for call in endpoint.calls] == [*columns["day"], *columns["night"]]
    assert columns["made day"] == [f"answer {7 + index}".encode() for index in range(6)]


def test_a_table_shows_every_image_below_its_caption_and_says_that_it_is_made(
    tmp_path: Path,
) -> None:
    columns = {"label map": [png(10), png(20)], "seed 0": [png(30), png(40)]}
    demo_steps.save_table(tmp_path / "table.png", columns)
    with Image.open(tmp_path / "table.png") as image:
        pixels = np.asarray(image)
        assert "TrainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
    side, gap, margin = 8 * demo_steps.SCALE, demo_steps.GAP, demo_steps.MARGIN
    assert pixels.shape == (margin + 2 * (side + gap), gap + 2 * (side + gap), 3)
    for column, values in enumerate(((10, 20), (30, 40))):
        left = gap + column * (side + gap)
        assert pixels[:margin, left : left + side].min() < 100, "the caption"
        for row, value in enumerate(values):
            top = margin + row * (side + gap)
            assert (pixels[top : top + side, left : left + side] == value).all()
            assert (pixels[top + side : top + side + gap, left : left + side] == 255).all()


def test_figures_are_written_and_said(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    training = {"images_per_second": 83.2, "train_seconds": 180.4}
    (model / "model_card.json").write_text(json.dumps({"kimg": 15.04, "training": training}))
    summary = demo_steps.summarise(tmp_path, tmp_path / "run", started_at=0.0)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert summary.keys() == {"images_per_second", "train_seconds", "kimg", "total_seconds"}
    text = demo_steps.describe({**summary, "total_seconds": 250.0})
    assert text == "Done in 250 s (180 s of training: 15 kimg at 83 images/s)."


def test_only_a_run_is_deleted(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine", tmp_path / "run"
    for folder in (mine, run):
        folder.mkdir()
        (folder / "file").write_text("")
    (run / "run.json").write_text("{}")
    demo_steps.forget(mine)
    demo_steps.forget(run)
    demo_steps.forget(tmp_path / "absent")
    assert mine.exists() and not run.exists()


def test_a_command_that_fails_ends_the_demo_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demo_steps.subprocess, "run", lambda words, stdout: SimpleNamespace(returncode=2)
    )
    with pytest.raises(SystemExit) as ended:
        demo_steps.facegan("data", "toy")
    assert ended.value.code == 2


def test_a_server_that_ends_at_once_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "server.py"
    script.write_text("")
    monkeypatch.setattr(demo_steps, "FACEGAN", [sys.executable, str(script)])
    with pytest.raises(SystemExit, match="did not become ready"), demo_steps.serving(tmp_path):
        pass
