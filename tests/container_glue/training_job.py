"""A training job off SageMaker: SAGEMAKER_BASE_DIR stands for /opt/ml."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

CONTAINER = Path(__file__).parents[2] / "container" / "training"
SOURCE = Path(__file__).parents[2] / "src"
NEEDS_TOOLKIT = pytest.mark.skipif(
    find_spec("sagemaker_training") is None, reason="sagemaker-training is not installed"
)
# As many as conftest.py gives the tests: sums over more are rounded differently.
THREADS = str(min(2, int(os.environ.get("OMP_NUM_THREADS", "2"))))
# As SageMaker's SDK sends them: some values are JSON, some are not.
HYPERPARAMETERS = {"preset": '"tiny"', "total_kimg": "0.064", "tick_kimg": '"0.032"',
                   "precision": "fp32", "share_fakes": "true", "beta1": "0.5"}  # fmt: skip


@dataclass
class Job:
    """The folders of one training job, and how it is started."""

    base: Path
    module: str = "train:main"  # SAGEMAKER_TRAINING_MODULE, as the image sets it
    path: Sequence[Path] = field(default_factory=list)  # of more modules

    def configure(self, hyperparameters: Mapping[str, str], mode: str = "File") -> None:
        """Write the files that SageMaker writes."""
        files = {
            "hyperparameters": hyperparameters,
            "inputdataconfig": {"training": {"TrainingInputMode": mode}},
            "resourceconfig": {
                "current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0",
            },
        }  # fmt: skip
        config = self.base / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))

    @property
    def environment(self) -> dict[str, str]:
        """The container's variables."""
        path = os.pathsep.join(map(str, [SOURCE, CONTAINER, *self.path]))
        return {
            **os.environ, "OMP_NUM_THREADS": THREADS, "PYTHONPATH": path,
            "SAGEMAKER_BASE_DIR": str(self.base), "SAGEMAKER_TRAINING_MODULE": self.module,
        }  # fmt: skip

    def start(self, *before: str) -> "subprocess.Popen[str]":
        """`docker run IMAGE train`: the toolkit's own command."""
        train = Path(sys.executable).with_name("train")
        return subprocess.Popen(
            [*before, str(train)], env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self) -> tuple[int, str]:
        """The same, to its end: exit code and all that it said."""
        process = self.start()
        message, _ = process.communicate(timeout=120)
        return process.returncode, message

    def on_a_new_instance(self, base: Path) -> "Job":
        """The job's input and its checkpoints, and nothing of what it had put out."""
        shutil.copytree(self.base / "input", base / "input", symlinks=True)
        shutil.copytree(self.base / "checkpoints", base / "checkpoints")
        return Job(base)

    @property
    def failure(self) -> str:
        """What the job says of its failure; nothing where it says nothing."""
        file = self.base / "output" / "failure"
        return file.read_text() if file.exists() else ""

    @property
    def model(self) -> dict[str, bytes]:
        """The files that would become model.tar.gz."""
        folder = self.base / "model"
        there = sorted(folder.rglob("*")) if folder.exists() else []
        return {path.name: path.read_bytes() for path in there if path.is_file()}

    @property
    def ticks(self) -> list[float]:
        """The kimg of every line of metrics.jsonl."""
        lines = (self.base / "checkpoints" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["kimg"] for line in lines]


def make_job(images_dir: Path, base: Path) -> Job:
    job = Job(base)
    job.configure(HYPERPARAMETERS)
    (base / "input" / "data").mkdir()
    (base / "input" / "data" / "training").symlink_to(images_dir)
    return job
