"""A job that finds a run in its checkpoint folder, and what it says where it cannot go on."""

import importlib
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from training_job import CONTAINER, HYPERPARAMETERS, Job, make_job

from facegan.training.checkpoint import list_checkpoints

Start = Callable[[Job], str]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """container/training/train.py as a module; signals and logging are put back."""
    monkeypatch.syspath_prepend(str(CONTAINER))
    before, root = signal.getsignal(signal.SIGTERM), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield importlib.import_module("train")
    signal.signal(signal.SIGTERM, before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def start(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run a job in this process: "complete", "stopped", or the reason of its failure."""

    def run(job: Job) -> str:
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(job.base))
        try:
            program.main()
        except SystemExit as leaving:
            assert leaving.code == 0
            return "stopped"
        except program.JobFailed as failed:
            assert job.failure == f"{failed}\n"
            return str(failed)
        return "complete"

    return run


@pytest.fixture
def restarted(
    images_dir: Path, start: Start, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Job:
    """A finished job's checkpoints on a new instance."""
    before = tmp_path_factory.getbasetemp() / "before" / "ml"
    if not before.exists():
        assert start(make_job(images_dir, before)) == "complete"
    return Job(before).on_a_new_instance(tmp_path / "again")


def state(job: Job) -> dict[str, bytes]:
    """Every byte of the checkpoints."""
    (folder,) = job.base.glob("checkpoints/checkpoints")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_finished_job_started_again_gives_its_model_again(
    restarted: Job, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A retry, or a warm pool: nothing is trained, nothing is told twice."""
    checkpoints = state(restarted)
    assert start(restarted) == "complete"
    before = Job(tmp_path_factory.getbasetemp() / "before" / "ml")
    weights = "generator.safetensors"
    assert restarted.model[weights] == before.model[weights]
    assert restarted.ticks == [0.032, 0.064]
    assert state(restarted) == checkpoints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share_fakes": "false"}, "share_fakes=True (now False)"),
        ({"conv_dim": "16", "seed": "1"}, "conv_dim=8 (now 16), seed=0 (now 1)"),
        ({"preset": "toy32", "total_kimg": "1"}, "preset=tiny (now toy32)"),
        ({"family": "r3gan", "share_fakes": "", "beta1": ""}, "family=dcgan (now r3gan)"),
        ({"share_fakes": ""}, "share_fakes=True (now False)"),  # left out: the default
    ],
)
def test_a_job_with_other_hyperparameters_does_not_go_on_with_the_run(
    restarted: Job, start: Start, change: dict[str, str], message: str
) -> None:
    checkpoints = state(restarted)
    asked = {name: value for name, value in (HYPERPARAMETERS | change).items() if value}
    restarted.configure(asked)
    reason = start(restarted)
    assert f"was started with {message}" in reason[:1024]
    assert "total_kimg" in reason and "may change" in reason
    assert restarted.model == {} and state(restarted) == checkpoints


def test_the_same_numbers_in_another_notation_are_the_same(restarted: Job, start: Start) -> None:
    restarted.configure({**HYPERPARAMETERS, "beta1": '"0.50"', "share_fakes": "True"})
    assert start(restarted) == "complete"


def test_a_job_may_train_on_for_longer(restarted: Job, start: Start) -> None:
    restarted.configure({**HYPERPARAMETERS, "total_kimg": "0.096"})
    assert start(restarted) == "complete"
    assert restarted.ticks == [0.032, 0.064, 0.096]


def test_the_marks_of_sagemakers_agent_are_no_checkpoints(restarted: Job, start: Start) -> None:
    """It leaves an empty file beside each that it has synced."""
    for path in [*restarted.base.glob("checkpoints/**/*")]:
        path.with_name(f"{path.name}.sagemaker-uploaded").touch()
    assert start(restarted) == "complete"


def test_checkpoints_of_nothing_known_are_not_gone_on_with(restarted: Job, start: Start) -> None:
    (restarted.base / "checkpoints" / "run.json").unlink()
    assert "holds checkpoints, but not the run.json" in start(restarted)


def test_checkpoints_of_another_game_are_refused(
    restarted: Job, start: Start, images_dir: Path, tmp_path: Path
) -> None:
    other = make_job(images_dir, tmp_path / "other")
    other.configure({"family": "stylegan2", "preset": "tiny", "total_kimg": "0.016"})
    assert start(other) == "complete"
    shutil.rmtree(restarted.base / "checkpoints" / "checkpoints")
    shutil.copytree(other.base / "checkpoints" / "checkpoints",
                    restarted.base / "checkpoints" / "checkpoints")  # fmt: skip
    reason = start(restarted)
    assert "are of stylegan2 tiny, this run is dcgan tiny" in reason and "Traceback" not in reason


def test_a_job_whose_only_checkpoints_are_damaged_says_so(restarted: Job, start: Start) -> None:
    for checkpoint in list_checkpoints(restarted.base / "checkpoints" / "checkpoints"):
        (checkpoint / "state.safetensors").write_bytes(b"")
    assert "Every checkpoint" in start(restarted)


def test_a_job_without_images_says_so(job: Job, start: Start) -> None:
    folder = job.base / "input" / "data" / "training"
    folder.unlink()
    folder.mkdir()
    assert "holds no images" in start(job)
    folder.rmdir()
    assert "no channel 'training'" in start(job)


def test_a_broken_configuration_has_a_failure_file_too(job: Job, start: Start) -> None:
    (job.base / "input" / "config" / "hyperparameters.json").write_text("{")
    assert "hyperparameters.json cannot be read as JSON" in start(job)


def test_a_failure_of_before_is_forgotten(job: Job, start: Start) -> None:
    job.configure({**HYPERPARAMETERS, "seed": "one"})
    assert "seed is 'one'" in start(job)
    job.configure(HYPERPARAMETERS)
    assert start(job) == "complete"
    assert job.failure == ""


def test_the_program_needs_no_toolkit(job: Job) -> None:
    """`python train.py`, as on a machine that cannot build sagemaker-training."""
    job.configure({**HYPERPARAMETERS, "resolution": "33"})
    program = (
        "import runpy, sys; sys.modules['sagemaker_training'] = None; "
        f"runpy.run_path({str(CONTAINER / 'train.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=job.environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: dcgan cannot generate images of 33x33")
    assert "Traceback" not in done.stderr and "8, 16, 32" in job.failure


def test_a_report_that_cannot_be_drawn_costs_no_model(
    job: Job, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("facegan.report.write_report", fail)
    assert start(job) == "complete"
    assert set(job.model) == {"generator.safetensors", "model_card.json"}
