"""A full disk ends a run with a clear error, and earlier files stay intact."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset
from facegan.errors import RunError
from facegan.files import write_all_atomic
from facegan.gans import Gan
from facegan.training import RunFolder, Trainer, TrainingConfig
from facegan.training.progress import ProgressReporter
from facegan.training.tensorboard_writer import TensorBoardWriter

SHORT = ["--preset", "tiny", "--tick-kimg", "0.032", "--precision", "fp32"]
KB = 1000  # run.json takes 1, a grid of samples 50, a model 80, a checkpoint 450


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit the size of files, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def finished(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("disk") / "run"
    assert train("--data", images_dir, "--out", out, "--total-kimg", 0.064, *SHORT) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize(("size", "named"), [
    (KB // 2, "run.json"), (20 * KB, "samples/kimg-00000000.032.png"),
    (200 * KB, "checkpoints/kimg-00000000.032"),
])  # fmt: skip
def test_a_new_run_names_the_file_it_cannot_write(
    images_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], size: int, named: str
) -> None:
    out = tmp_path / "run"
    with largest_file(size):
        code = train("--data", images_dir, "--out", out, "--total-kimg", 0.064, *SHORT)
    printed = capfd.readouterr().err
    assert code == 4
    assert f"{out / named} cannot be written: File too large" in printed
    assert "Traceback" not in printed and "Exception" not in printed
    assert not list(out.rglob("*partial*"))


def test_earlier_checkpoints_stay_and_the_run_goes_on_when_there_is_room(
    run: Path, images_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = bytes_below(run / "checkpoints")
    with largest_file(200 * KB):
        assert train("--out", run, "--resume", "--total-kimg", 0.128) == 4
    printed = capfd.readouterr().err
    assert "Earlier checkpoints are intact" in printed and "Traceback" not in printed
    assert bytes_below(run / "checkpoints") == before
    assert train("--out", run, "--resume", "--total-kimg", 0.128) == 0
    uninterrupted = tmp_path / "uninterrupted"
    assert train("--data", images_dir, "--out", uninterrupted, "--total-kimg", 0.128, *SHORT) == 0
    ours, theirs = (p / "model" / "generator.safetensors" for p in (run, uninterrupted))
    assert ours.read_bytes() == theirs.read_bytes()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4


def test_a_model_that_does_not_fit_leaves_the_one_before(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = bytes_below(run / "model")
    (run / "model.tar.gz").unlink()  # killed before it was written: the model is written again
    with largest_file(20 * KB):
        assert train("--out", run, "--resume") == 4
    printed = capfd.readouterr().err
    assert "generator.safetensors" in printed and "cannot be written" in printed
    assert bytes_below(run / "model") == before


def test_a_tick_that_cannot_be_logged_names_the_file(
    tiny_gan: Callable[..., Gan], dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    config = TrainingConfig(total_kimg=0.032, tick_kimg=0.016, precision="fp32")
    folder, trainer = RunFolder(tmp_path), Trainer(tiny_gan(), dataset, config)
    folder.metrics_file = Path("/dev/full")
    with (
        pytest.raises(RunError, match=r"/dev/full cannot be written: No space left on device\."),
        ProgressReporter(folder, trainer),
    ):
        trainer.run()


def test_curves_that_cannot_be_written_name_their_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """tensorboard's own writer would die in a thread with a traceback."""
    curves = TensorBoardWriter(tmp_path / "curves", 0)
    with largest_file(300), pytest.raises(RunError, match="curves cannot be written"):
        for step in range(100):
            curves.add_scalar("loss", 0.5, step)
    curves.close()
    assert capfd.readouterr().err == ""


def test_curves_whose_folder_is_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "curves").write_text("")
    with pytest.raises(RunError, match="curves cannot be written: File exists"):
        TensorBoardWriter(tmp_path / "curves", 0)


def test_of_several_files_all_are_written_or_none(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"before")
    with largest_file(100), pytest.raises(OSError, match="File too large"):
        write_all_atomic({small: b"after", large: b"x" * 1000})
    assert bytes_below(tmp_path) == {"small": b"before"}
