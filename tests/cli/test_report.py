"""`facegan report` as a user types it: the page, watching, and error messages."""

import shutil
import time
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely

SHORT = ["--preset", "tiny", "--total-kimg", "0.064", "--tick-kimg", "0.032",
         "--precision", "fp32"]  # fmt: skip


def report(*words: object) -> int:
    return run_safely(facegan, ["report", *map(str, words)])


@pytest.fixture(scope="module")
def finished(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", str(images_dir), "--out", str(out), *SHORT]
    assert run_safely(facegan, words) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_page_is_in_the_run_and_nothing_beside_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name for file in run.iterdir()}
    assert report(run) == 0
    assert {file.name for file in run.iterdir()} - before == {"report.html"}
    assert f"Wrote {run / 'report.html'}" in capsys.readouterr().out


def test_the_page_is_where_out_says(run: Path, images_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    assert report(run, "--out", out, "--data", images_dir) == 0
    assert out.read_text().startswith("<!DOCTYPE html>") and not (run / "report.html").exists()


def test_watching_ends_when_the_run_does(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model comes at the second look; the pages before it refresh, the last does not."""
    model, aside, pages = run / "model", run.with_name("model"), []
    archive = (run / "model.tar.gz").read_bytes()
    model.rename(aside)
    (run / "model.tar.gz").unlink()

    def sleep(seconds: float) -> None:
        pages.append((run / "report.html").read_text())
        if len(pages) == 2:
            aside.rename(model)
            (run / "model.tar.gz").write_bytes(archive)

    monkeypatch.setattr(time, "sleep", sleep)
    assert report(run, "--watch", "5") == 0
    assert ['http-equiv="refresh" content="5"' in page for page in pages] == [True, True]
    assert 'http-equiv="refresh"' not in (run / "report.html").read_text()
    assert "The run is finished." in capsys.readouterr().out


def test_ctrl_c_ends_watching_and_leaves_the_page(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / "model")
    (run / "model.tar.gz").unlink()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert report(run, "--watch", "5") == 0
    assert "Stopped watching" in capsys.readouterr().out
    assert (run / "report.html").exists()


def test_a_missing_run_is_named_with_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(tmp_path / "nowhere") == 4
    output = capsys.readouterr().err
    assert "nowhere does not exist" in output and "--out" in output and "Traceback" not in output


def test_a_foreign_folder_is_refused_and_left_alone(
    images_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(images_dir) == 4
    assert "is a folder of images, not a run" in capsys.readouterr().err
    assert not (images_dir / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "nowhere"], 3, "does not exist"),
        (["--refresh", "0"], 2, "--refresh"),
        (["--watch", "soon"], 2, "--watch"),
        (["--out", "{run}"], 4, "cannot be written"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert report(run, *(word.replace("{run}", str(run)) for word in words)) == code
    output = capsys.readouterr().err
    assert message in output and "Traceback" not in output
    assert not (run / "report.html").exists()
