"""A training job as SageMaker starts it, through sagemaker-training's own command `train`."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training_job import HYPERPARAMETERS, NEEDS_TOOLKIT, Job

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.environment import TrainingEnvironment
from facegan.tick_line import METRIC_DEFINITIONS

pytestmark = NEEDS_TOOLKIT
LONGER = {**HYPERPARAMETERS, "total_kimg": "0.256"}


def test_a_job_ends_with_a_model_that_loads(finished: tuple[Job, str]) -> None:
    job, _ = finished
    card = load_artifact(job.base / "model").card
    assert (card.preset, card.kimg, card.settings["share_fakes"]) == ("tiny", 0.064, True)
    assert set(job.model) == {"generator.safetensors", "model_card.json"}
    assert job.failure == "" and (job.base / "output" / "success").exists()


def test_a_jobs_model_has_the_bits_of_the_command_lines(
    finished: tuple[Job, str], images_dir: Path, tmp_path: Path
) -> None:
    words = ["--preset", "tiny", "--total-kimg", "0.064", "--precision", "fp32",
             "--share-fakes", "true", "--data", str(images_dir)]  # fmt: skip
    assert run_safely(facegan, ["train", "--out", str(tmp_path / "run"), *words]) == 0
    ours = (tmp_path / "run" / "model" / "generator.safetensors").read_bytes()
    assert finished[0].model["generator.safetensors"] == ours


def test_a_job_in_pipe_mode_fails_with_what_to_use_instead(tmp_path: Path) -> None:
    job = Job(tmp_path / "ml")
    job.configure(HYPERPARAMETERS, mode="Pipe")
    code, message = job.run()
    assert code == 1 and "Traceback" not in message
    assert "The channel 'training' is in Pipe mode" in job.failure
    assert "Use FastFile" in job.failure


def test_a_job_leaves_its_record_and_its_curves_where_sagemaker_looks(
    finished: tuple[Job, str],
) -> None:
    output = finished[0].base / "output"
    kept = {path.name for path in (output / "data").iterdir()}
    assert kept == {"run.json", "run.toml", "metrics.jsonl", "samples", "report.html"}
    assert len(list((output / "data" / "samples").glob("*.png"))) == 2
    assert len(list((output / "tensorboard").glob("events.out.tfevents.*"))) == 1


def test_a_job_prints_the_lines_that_its_metric_definitions_read(
    finished: tuple[Job, str],
) -> None:
    read = {d["Name"]: re.findall(d["Regex"], finished[1]) for d in METRIC_DEFINITIONS}
    assert [float(kimg) for kimg in read["kimg"]] == [0.032, 0.064]
    assert {name for name, values in read.items() if values} == {
        "kimg", "images_per_second", "wait_share", "generator", "reals", "fakes",
        "real_sign", "fake_sign", "variety",
    }  # fmt: skip


def test_a_mistake_fails_the_job_with_a_sentence(job: Job) -> None:
    job.configure({**HYPERPARAMETERS, "total_kmig": "1"})
    code, message = job.run()
    assert code == 1
    assert "Unknown hyperparameter 'total_kmig'. Did you mean total_kimg" in job.failure
    assert job.failure.strip() in message and "Traceback" not in message
    assert job.model == {}


def test_a_gpu_that_is_paid_for_and_not_seen_fails_the_job_at_once(job: Job) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = job.base / "input/config/resourceconfig.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"current_instance_type": "ml.g5.xlarge"})
    )
    code, message = job.run()
    assert code == 1 and not (job.base / "checkpoints").exists()
    assert "This is a GPU instance (ml.g5.xlarge), but the container sees none" in job.failure
    assert "device=cpu" in job.failure and "Traceback" not in message


def test_a_fault_of_ours_is_named_first_and_traced_after(job: Job, tmp_path: Path) -> None:
    """sagemaker-training would put a traceback first, which fills what SageMaker shows of it."""
    (tmp_path / "broken.py").write_text(
        "from train import main\nfrom facegan.training import trainer\n"
        "def fail(*_):\n    raise ZeroDivisionError('no ' * 1000)\n"
        "trainer.choose_dtype = fail\n"
    )
    job.module, job.path = "broken:main", [tmp_path]
    code, _ = job.run()
    assert code == 1
    shown = job.failure[:1024]
    assert re.match(r"facegan failed because of a bug, at facegan/training/trainer.py:\d+ in "
                    r"__init__: ZeroDivisionError: no no ", shown)  # fmt: skip
    assert "Traceback (most recent call last)" in shown and "in fail" in job.failure


def in_a_namespace() -> list[str]:
    """A command that makes the next one PID 1, as in a container; none where that is denied."""
    for command in (["unshare", "--pid", "--fork"], ["unshare", "-Ur", "--pid", "--fork"]):
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            pass
    return []


def child_of(process: "subprocess.Popen[str]") -> int:
    """The process that unshare started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return int(children.split()[0])


def test_sigterm_stops_a_job_with_a_checkpoint_and_the_next_start_ends_with_the_same_bits(
    images_dir: Path, job: Job, tmp_path: Path
) -> None:
    """As PID 1 of a namespace where that can be: there, a signal without a handler is lost."""
    job.configure(LONGER)
    namespace = in_a_namespace()
    process = job.start(*namespace)
    until = time.monotonic() + 60
    while not list(job.base.glob("output/tensorboard/*")) and time.monotonic() < until:
        time.sleep(0.002)
    signalled = time.monotonic()
    subprocess.run(["kill", str(child_of(process) if namespace else process.pid)], check=True)
    message, _ = process.communicate(timeout=60)
    assert process.returncode == 0, message
    assert time.monotonic() - signalled < 30  # of the 120 that SageMaker grants
    assert "Stopped." in message and "Traceback" not in message
    assert job.model == {} and job.failure == ""
    assert not (job.base / "output" / "success").exists()  # the toolkit's mark of a finished job
    assert len(list(job.base.glob("checkpoints/checkpoints/kimg-*"))) == 1

    assert job.run()[0] == 0
    words = ["--data", str(images_dir), "--out", str(tmp_path / "undisturbed")]
    for name, value in LONGER.items():
        words += [f"--{name.replace('_', '-')}", value.strip('"')]
    assert run_safely(facegan, ["train", *words]) == 0
    ours = (tmp_path / "undisturbed" / "model" / "generator.safetensors").read_bytes()
    assert job.model["generator.safetensors"] == ours
    assert job.ticks == [pytest.approx(0.032 * tick) for tick in range(1, 9)]


def test_sigterm_before_the_first_step_ends_the_job_at_once(job: Job, tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(
        "import os, signal, train\n"
        "train.run_spec = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main = train.main\n"
    )
    job.module, job.path = "early:main", [tmp_path]
    code, message = job.run()
    assert (code, job.failure, job.model) == (0, "", {}), message


def test_our_reading_of_the_environment_agrees_with_the_toolkits(finished: tuple[Job, str]) -> None:
    """What of its Environment has a counterpart in TrainingEnvironment; it needs every file."""
    job, _ = finished
    program = (
        "import json, sys; from sagemaker_training.environment import Environment; e = "
        "Environment(); print(json.dumps([e.model_dir, e.output_data_dir, e.channel_input_dirs, "
        "e.hosts, e.current_host, sorted(e.hyperparameters)]))"
    )
    message = subprocess.run(
        [sys.executable, "-c", program], env=job.environment, capture_output=True, check=True
    ).stdout
    ours = TrainingEnvironment.from_mapping({"SAGEMAKER_BASE_DIR": str(job.base)})
    assert json.loads(message) == [
        str(ours.model_dir), str(ours.output_data_dir),
        {name: str(path) for name, path in ours.channels.items()}, list(ours.hosts),
        ours.current_host, sorted(ours.hyperparameters),
    ]  # fmt: skip
