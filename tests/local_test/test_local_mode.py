"""SageMaker's local mode and local_test's scripts, with real containers of the two images."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from facegan.artifact import load_artifact
from facegan.synthesis import Synthesizer
from facegan.tick_line import METRIC_DEFINITIONS
from facegan.training.checkpoint import list_checkpoints

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-local" / "bin" / "python"
TRAINING = os.environ.get("TRAINING_IMAGE", "facegan-training:local")
INFERENCE = os.environ.get("INFERENCE_IMAGE", "facegan-inference:local")
FP32 = ["--set", "precision=fp32"]
pytestmark = pytest.mark.container
needs_sdk = pytest.mark.skipif(
    not PYTHON.exists(), reason="SageMaker's SDK is not installed; `make local-test` does it"
)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_script(script: str, *words: object, **variables: str) -> tuple[int, str]:
    """One of local_test's Python scripts: its exit code and what it and its containers said."""
    done = subprocess.run(
        [PYTHON, ROOT / "local_test" / script, "--threads", "1", *map(str, words)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=560,
        env={**os.environ, **variables},
    )  # fmt: skip
    return done.returncode, done.stdout


def names_of(*words: str) -> set[str]:
    """What a docker command lists."""
    return set(subprocess.run(["docker", *words], capture_output=True, text=True).stdout.split())


def containers() -> set[str]:
    """Those of compose, running or not."""
    label = "label=com.docker.compose.project"
    return names_of("ps", "--all", "--quiet", "--filter", label)


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables for a script that must leave no container, no network and no temporary file."""
    before, temporary = containers(), tmp_path / "tmp"
    temporary.mkdir()
    yield {"TMPDIR": str(temporary)}
    assert containers() <= before
    assert before or "sagemaker-local" not in names_of("network", "ls", "--format", "{{.Name}}")
    assert not list(temporary.iterdir())
    assert not (tmp_path / "run" / "containers").exists()


@needs_sdk
def test_the_whole_line_in_local_mode(
    images_dir: Path, tmp_path: Path, nothing_left: dict[str, str], free_port: int
) -> None:
    run = tmp_path / "run"
    code, message = run_script(
        "local_mode.py", "--training-image", TRAINING, "--inference-image", INFERENCE, "--data",
        images_dir, "--folder", run, "--port", free_port, *FP32, "--set", "total_kimg=0.512",
        **nothing_left,
    )  # fmt: skip
    assert code == 0, message
    assert len(re.findall("shared by 2 processes on 2 hosts", message)) == 1

    alone, shared = (run / f"job-{hosts}" / "model.tar.gz" for hosts in (1, 2))
    weights = [dict(load_artifact(model).generator.named_parameters()) for model in (alone, shared)]
    for name, numbers in weights[0].items():  # the same training, but for the order of sums
        assert np.allclose(numbers.detach(), weights[1][name].detach(), atol=1e-3), name

    faces = np.load(run / "faces.npy")
    drawn = Synthesizer(load_artifact(shared)).generate(seeds=list(range(16)))
    assert np.abs(faces.astype(int) - drawn.astype(int)).max() <= 1
    assert Image.open(run / "faces.png").format == "PNG"

    for definition in METRIC_DEFINITIONS:  # what CloudWatch would read of the two jobs
        if definition["Name"] in ("kimg", "generator"):
            assert len(re.findall(definition["Regex"], message)) == 2 * 2
    left = {path.name for path in run.iterdir()}
    assert left == {"job-1", "job-2", "faces.npy", "faces.png"}


@needs_sdk
def test_two_hosts_train_through_model_trainer(
    images_dir: Path, tmp_path: Path, nothing_left: dict[str, str]
) -> None:
    code, message = run_script(
        "model_trainer.py", "--training-image", TRAINING, "--hosts", 2, "--data", images_dir,
        "--folder", tmp_path / "run", "--set", "total_kimg=0.256", **nothing_left,
    )  # fmt: skip
    assert code == 0, message
    assert "shared by 2 processes on 2 hosts" in message
    assert load_artifact(tmp_path / "run" / "trainer-2" / "model.tar.gz").card.kimg == 0.256


@needs_sdk
def test_a_job_that_fails_ends_with_its_reason_in_a_line(
    images_dir: Path, tmp_path: Path, nothing_left: dict[str, str], free_port: int
) -> None:
    code, message = run_script(
        "local_mode.py", "--training-image", TRAINING, "--inference-image", INFERENCE, "--data",
        images_dir, "--folder", tmp_path / "run", "--port", free_port, "--hosts", 1, "--set",
        "total_kmig=1", **nothing_left,
    )  # fmt: skip
    assert code == 1 and "Traceback" not in message
    assert message.splitlines()[-1].startswith(
        "Error: The job faces-1 failed: Unknown hyperparameter 'total_kmig'. Did you mean"
    )
    assert not (tmp_path / "run" / "job-1" / "model.tar.gz").exists()


# --- the scripts ----------------------------------------------------------------------------------


@pytest.fixture
def test_dir(images_dir: Path, tmp_path: Path) -> Path:
    """SageMaker's layout with images, for a run of some seconds."""
    folder = tmp_path / "ml"
    subprocess.run(["cp", "-r", ROOT / "local_test" / "test_dir", folder], check=True)
    subprocess.run(["rm", "-rf", folder / "input" / "data"], check=True)
    (folder / "input" / "data").mkdir()
    subprocess.run(["cp", "-r", images_dir, folder / "input" / "data" / "training"], check=True)
    numbers = '{"preset": "tiny", "total_kimg": "2", "tick_kimg": "0.256", "precision": "fp32"}'
    (folder / "input" / "config" / "hyperparameters.json").write_text(numbers)
    return folder


def train(test_dir: Path, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [ROOT / "local_test" / "train_local.sh", TRAINING, test_dir], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "NAME": name},
    )  # fmt: skip


def test_a_stopped_training_goes_on_to_the_bits_of_an_undisturbed_one(
    test_dir: Path, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    subprocess.run(["cp", "-r", test_dir, undisturbed], check=True)
    name = f"facegan-test-{os.getpid()}"
    first = train(test_dir, name)
    assert first.stdout
    message = []
    for line in first.stdout:
        message.append(line)
        if line.startswith("kimg=0.256"):
            subprocess.run(["docker", "stop", "--time", "120", name], capture_output=True)
    assert first.wait() == 0, message
    assert "Stopped before the end" in message[-1]
    assert not (test_dir / "model" / "model_card.json").exists()
    assert list_checkpoints(test_dir / "checkpoints" / "checkpoints")

    for folder in (test_dir, undisturbed):
        again = train(folder, name)
        said, _ = again.communicate(timeout=300)
        assert again.returncode == 0 and "The model is in" in said, said
    resumed, whole = (
        load_file(folder / "model" / "generator.safetensors") for folder in (test_dir, undisturbed)
    )
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)


def test_a_model_is_served_and_asked(graphs_dir: Path, tmp_path: Path, free_port: int) -> None:
    name = f"facegan-test-{os.getpid()}"
    server = subprocess.Popen(
        [ROOT / "local_test" / "serve_local.sh", INFERENCE, graphs_dir],
        env={**os.environ, "PORT": str(free_port), "NAME": name},
    )
    ask = [ROOT / "local_test" / "predict.sh", "", "", tmp_path / "face.png"]
    ask[1] = ROOT / "local_test" / "payloads" / "one_face.json"
    ask[2] = "application/json"
    url = f"http://localhost:{free_port}"
    try:
        wait = ["curl", "--silent", "--fail", "--retry", "120", "--retry-delay", "1",
                "--retry-all-errors", "--output", "/dev/null", f"{url}/ping"]  # fmt: skip
        subprocess.run(wait, check=True)
        subprocess.run(ask, check=True, env={**os.environ, "URL": url})
    finally:
        subprocess.run(["docker", "stop", name], capture_output=True)
    assert server.wait(30) == 0
    assert Image.open(tmp_path / "face.png").size == (32, 32)
