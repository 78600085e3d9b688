"""A real tiny run: finished, to be changed, and before its model was written."""

import shutil
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely

SHORT = ["--preset", "tiny", "--total-kimg", "0.128", "--tick-kimg", "0.032",
         "--precision", "fp32"]  # fmt: skip


@pytest.fixture(scope="session")
def finished(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four ticks with its model; not to be changed."""
    out = tmp_path_factory.mktemp("report") / "run"
    words = ["train", "--data", str(images_dir), "--out", str(out), *SHORT]
    assert run_safely(facegan, words) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def unfinished(run: Path) -> Path:
    """The run before its model was written."""
    shutil.rmtree(run / "model")
    (run / "model.tar.gz").unlink()
    return run
