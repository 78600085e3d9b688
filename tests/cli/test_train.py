"""`facegan train` as a user types it: what it leaves behind, and what it says to mistakes."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.gans import FAMILIES
from facegan.training import Trainer

SHORT = ["--preset", "tiny", "--total-kimg", "0.064", "--tick-kimg", "0.032",
         "--precision", "fp32"]  # fmt: skip


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


@pytest.fixture(scope="module")
def run(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert train("--data", images_dir, "--out", out, *SHORT) == 0
    return out


def test_a_run_ends_with_a_model_that_loads(run: Path) -> None:
    card = load_artifact(run / "model.tar.gz").card
    assert (card.family, card.preset, card.resolution, card.kimg) == ("dcgan", "tiny", 32, 0.064)
    assert card.dataset["images"] == 64 and len(card.dataset["digest"]) == 64
    assert card.training["images_per_second"] > 0


def test_nothing_in_a_run_is_a_pickle(run: Path) -> None:
    suffixes = {path.suffix for path in run.rglob("*") if path.is_file()}
    assert not suffixes & {".pt", ".pth", ".pkl", ".pickle", ".bin"}


def test_every_tick_leaves_a_line_an_image_and_a_checkpoint(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.032, 0.064]
    assert len(list((run / "samples").glob("*.png"))) == 2
    assert len(list((run / "checkpoints").iterdir())) == 2
    assert list((run / "tensorboard").iterdir())


def test_sample_grids_say_that_they_are_generated(run: Path) -> None:
    with Image.open(next((run / "samples").glob("*.png"))) as grid:
        assert "trainedAlgorithmicMedia" in grid.info["XML:com.adobe.xmp"]
        assert grid.size == (8 * 34 - 2, 8 * 34 - 2)


def test_the_tick_line_can_be_read_by_a_regex(
    images_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        train("--data", images_dir, "--out", tmp_path / "r", *SHORT)
    values = re.findall(r"kimg=([0-9.]+); images_per_second=([0-9.]+);.* fakes=([0-9.]+);",
                        caplog.text)  # fmt: skip
    assert [float(kimg) for kimg, _, _ in values] == [0.032, 0.064]


def test_a_killed_run_resumes_to_the_same_bits(images_dir: Path, run: Path, tmp_path: Path) -> None:
    """kill -9 after the first checkpoint, then --resume."""
    out = tmp_path / "killed"
    words = ["--data", images_dir, "--out", out, *SHORT]
    process = subprocess.Popen([sys.executable, "-m", "facegan.cli", "train", *map(str, words)])
    until = time.monotonic() + 60
    while not list(out.glob("checkpoints/kimg-*")) and time.monotonic() < until:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert train("--out", out, "--resume") == 0
    ours, theirs = ((p / "model" / "generator.safetensors").read_bytes() for p in (out, run))
    assert ours == theirs
    kimgs = [json.loads(line)["kimg"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert kimgs == [0.032, 0.064]


def test_a_run_killed_before_its_first_checkpoint_starts_over(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "early"
    out.mkdir()
    shutil.copy(run / "run.json", out)
    (out / "metrics.jsonl").write_text('{"kimg": 0.032}\n{"kim')  # a tick without its checkpoint
    (out / "checkpoints" / ".partial-kimg-00000000.032").mkdir(parents=True)
    assert train("--out", out, "--resume") == 0
    ours, theirs = ((p / "model" / "generator.safetensors").read_bytes() for p in (out, run))
    assert ours == theirs
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_run_whose_checkpoints_are_all_damaged_is_not_resumed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for blob in copy.glob("checkpoints/*/state.safetensors"):
        blob.write_bytes(b"")
    assert train("--out", copy, "--resume") == 4
    assert "Every checkpoint" in capsys.readouterr().err


def test_sigterm_ends_the_step_and_leaves_a_checkpoint(images_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    words = ["--data", images_dir, "--out", out, "--preset", "tiny", "--total-kimg", "1000"]
    process = subprocess.Popen([sys.executable, "-m", "facegan.cli", "train", *map(str, words)],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    until = time.monotonic() + 60
    while not list(out.glob("tensorboard/*")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "--resume" in output
    assert len(list((out / "checkpoints").glob("kimg-*"))) == 1
    assert not (out / "metrics.jsonl").exists()  # no tick was due


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    newest = sorted((copy / "checkpoints").iterdir())[-1]
    blob = newest / "state.safetensors"
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    assert train("--out", copy, "--resume") == 0
    assert f"{newest.name} is damaged" in caplog.text
    ours, theirs = ((p / "model" / "generator.safetensors").read_bytes() for p in (copy, run))
    assert ours == theirs


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "{nowhere}"], 3, "does not exist"),
        (["--data", "{empty}"], 3, "holds no images"),
        (["--family", "dcgam"], 2, "Did you mean dcgan?"),
        (["--preset", "article"], 2, "Did you mean article32"),
        (["--learning-rate", "1"], 2, "--generator-learning-rate"),
        (["--preste", "tiny"], 2, "Did you mean --preset"),
        (["--batch-size", "1"], 2, "--batch-size is 1."),
        (["--batch-size"], 2, "--batch-size needs a value"),
        (["stray"], 2, "What is 'stray'?"),
        (["--resolution", "33"], 2, "33x33"),
        (["--device", "tpu9"], 2, "device 'tpu9'"),
        (["--family", "r3gan", "--preset", "tiny-conditional"], 3, "has no labels, which"),
        (
            ["--family", "r3gan", "--preset", "tiny-conditional", "--labels", "folders"],
            3,
            "000.png is not in a subfolder",
        ),
        (["--conditional", "true"], 2, "'dcgan' cannot be conditional"),
        (["--labels", "folders"], 2, "'tiny' is not conditional"),
        (["--labels", "names"], 2, "'manifest', 'folders'"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    places = {"{nowhere}": str(tmp_path / "nowhere"), "{empty}": str(tmp_path / "empty")}
    data = [] if "--data" in words else ["--data", str(images_dir)]
    preset = [] if "--preset" in words else ["--preset", "tiny"]
    out = tmp_path / "run"
    assert train("--out", out, *data, *preset, *(places.get(w, w) for w in words)) == code
    output = capsys.readouterr().err
    assert message in output and "Traceback" not in output
    assert not out.exists()


def test_a_conditional_preset_without_labels_is_refused_before_an_image_is_read(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With what to do about it."""
    monkeypatch.setattr("facegan.data.image_folder.decode_all", lambda *_: pytest.fail("read"))
    words = ["--family", "stylegan2", "--preset", "tiny-conditional", "--out", tmp_path / "run"]
    assert train("--data", images_dir, *words) == 3
    output = capsys.readouterr().err
    assert "--labels folders" in output and "facegan data toy" in output


@pytest.fixture(scope="module")
def conditional_run(labelled_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "conditional"
    words = ["--family", "r3gan", *SHORT, "--conditional", "true"]
    assert train("--data", labelled_dir, "--out", out, *words) == 0
    return out


def test_a_conditional_run_knows_its_classes(conditional_run: Path) -> None:
    artifact = load_artifact(conditional_run / "model.tar.gz")
    assert list(artifact.classes.items()) == [("plain", 16), ("striped", 32), ("spotted", 16)]
    assert len(artifact.card.dataset["labels_digest"]) == 64


def test_folders_may_be_the_classes(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, picture in enumerate(sorted(images_dir.glob("*.png"))):
        folder = tmp_path / "data" / ("cats" if index % 4 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder)
    words = ["--family", "r3gan", *SHORT[2:], "--preset", "tiny-conditional"]
    out = tmp_path / "run"
    assert train("--data", tmp_path / "data", "--labels", "folders", "--out", out, *words) == 0
    assert "2 classes: cats 48, dogs 16" in capsys.readouterr().out
    assert load_artifact(out / "model").classes == {"cats": 48, "dogs": 16}
    assert train("--out", out, "--resume", "--total-kimg", "0.08") == 0  # reads them there again
    assert train("--out", out, "--resume", "--labels", "manifest") == 2
    assert "labels=folders" in capsys.readouterr().err


def test_a_conditional_run_does_not_resume_on_other_labels(
    conditional_run: Path, labelled_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, moved = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(conditional_run, copy)
    shutil.copytree(labelled_dir, moved)
    assert train("--out", copy, "--resume", "--data", moved) == 0
    manifest = json.loads((moved / "dataset.json").read_text())
    manifest["labels"]["000.png"], manifest["labels"]["001.png"] = 1, 0
    (moved / "dataset.json").write_text(json.dumps(manifest))
    assert train("--out", copy, "--resume", "--data", moved) == 4
    assert "not what" in capsys.readouterr().err


def test_without_data_it_says_how_to_draw_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", "x") == 2
    assert "facegan data toy" in capsys.readouterr().err


def test_a_taken_run_folder_is_refused(
    run: Path, images_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--data", images_dir, "--out", run, "--preset", "tiny") == 4
    assert "already holds a run" in capsys.readouterr().err


def test_resuming_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--out", tmp_path, "--resume") == 4
    assert "is an empty folder, not a run" in capsys.readouterr().err


def test_a_run_resumes_on_data_that_moved_but_not_on_other_data(
    images_dir: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, moved = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(run, copy)
    shutil.copytree(images_dir, moved)
    assert train("--out", copy, "--resume", "--data", moved) == 0
    (moved / "000.png").unlink()
    assert train("--out", copy, "--resume", "--data", moved) == 4
    assert "not what" in capsys.readouterr().err


@pytest.mark.parametrize("change", [["--preset", "article32"], ["--conv-dim", "4"]])
def test_resuming_as_something_else_is_refused_by_name(
    run: Path, capsys: pytest.CaptureFixture[str], change: list[str]
) -> None:
    assert train("--out", run, "--resume", *change) == 2
    assert change[0].removeprefix("--preset") in capsys.readouterr().err


def test_help_teaches_the_hyperparameters_of_the_chosen_preset(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("--preset", "article32", "--help") == 0
    output = capsys.readouterr().out
    assert "Examples:" in output and "--generator-learning-rate" in output and "[uniform]" in output
    assert "--total-kimg" in output and "[2026.0]" in output


def test_every_family_trains_without_naming_a_preset(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The family says which: its help is that preset's."""
    preset = FAMILIES[family].default_preset(32)
    assert train("--family", family, "--help") == 0
    assert f"Hyperparameters of {family}, with the values of {preset}" in capsys.readouterr().out


def test_a_resolution_without_a_default_preset_lists_what_there_is(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", images_dir, "--out", tmp_path / "r", "--family", "stylegan2"]
    assert train(*words, "--resolution", "48") == 2
    output = capsys.readouterr().err
    assert "no default preset at 48 px, only at 32, 64, 128, 256 px" in output
    assert "paper32" in output and "tiny" in output


def test_a_resolution_the_family_cannot_make_is_refused_before_an_image_is_read(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], family: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("facegan.data.ImageFolderDataset", None)
    words = ["--data", images_dir, "--out", tmp_path / "r", "--family", family, "--preset", "tiny"]
    assert train(*words, "--resolution", "48") == 2
    output = capsys.readouterr().err
    assert "cannot generate images of 48x48" in output and "8, 16, 32" in output


def test_a_run_says_what_it_is_and_runs_on_before_it_ends(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert facts["plan"] | {"family": "dcgan", "preset": "tiny"} == facts["plan"]
    assert facts["settings"]["conv_dim"] == 8  # the preset's, though nobody asked
    assert facts["training"]["batch_size"] == 16 and facts["training"]["hardware"]
    assert facts["training"]["computed_in"] == "float32"
    assert set(facts["versions"]) == {"facegan", "torch"}


def test_a_resumed_run_remembers_what_was_changed(run: Path, tmp_path: Path) -> None:
    """A second --resume goes as far as the first."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    assert train("--out", copy, "--resume", "--total-kimg", "0.096") == 0
    assert train("--out", copy, "--resume") == 0
    assert load_artifact(copy / "model").card.kimg == 0.096


def test_resuming_on_other_hardware_says_that_bits_may_differ(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    facts = json.loads((copy / "run.json").read_text())
    facts["training"]["threads"] = 96
    (copy / "run.json").write_text(json.dumps(facts))
    assert train("--out", copy, "--resume") == 0
    assert "started with threads 96" in caplog.text and "hardware" not in caplog.text


def test_a_damaged_line_of_figures_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    with (copy / "metrics.jsonl").open("a") as stream:
        stream.write("{}\n")
    assert train("--out", copy, "--resume") == 4
    output = capsys.readouterr().err
    assert "metrics.jsonl holds a line that is not a tick" in output and "Traceback" not in output


@pytest.mark.parametrize(
    ("family", "error", "advice"),
    [
        ("r3gan", torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
         "Resume it with --micro-batch 8: smaller passes, the same result."),
        ("stylegan2", RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
         "Resume it with --micro-batch 8"),
        ("dcgan", RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
         "Share the batch among more processes"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_fit_the_memory_says_which_micro_batch_would(
    family: str, error: Exception, advice: str, images_dir: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Smaller passes with the same result, never another batch."""

    def step(trainer: Trainer) -> None:
        raise error

    monkeypatch.setattr(Trainer, "step", step)
    words = [*SHORT, "--family", family]
    assert train("--data", images_dir, "--out", tmp_path / "r", *words) == 4
    output = capsys.readouterr().err
    assert "does not hold a step of 16 images of 32 px" in output and "batch-size" not in output
    assert advice in output and "Traceback" not in output
