"""SAGEMAKER_PROGRAM: from a training job's environment to a run, and its model in /opt/ml/model.

The run's folder is SageMaker's checkpoint folder, which outlives a spot interruption: a job that
is started again finds its run there and resumes it.
"""

import os
import shutil
import sys
from pathlib import Path

from facegan.cli.launch import Cluster
from facegan.cli.processes import train_shared
from facegan.cli.train import plan_run
from facegan.cli.worker import Order
from facegan.environment import TrainingEnvironment
from facegan.errors import FaceGANError
from facegan.training import RunFolder

OF_THE_PLAN = ("family", "preset", "resolution")


def main() -> int:
    """Train, and return the container's exit code."""
    environment = TrainingEnvironment.from_mapping(os.environ)
    try:
        run(environment)
    except FaceGANError as error:
        return fail(environment.failure_file, error)
    return 0


def run(environment: TrainingEnvironment) -> None:
    """Start the run, or go on with the one in the checkpoint folder."""
    folder = RunFolder(environment.checkpoint_dir)
    given = dict(environment.hyperparameters)
    processes = given.pop("processes", None)
    asked = {name: given.pop(name) for name in OF_THE_PLAN if name in given}
    plan = plan_run({"data": str(environment.channel("training")), **asked}, given)
    order = Order(str(folder.path), plan, resume=folder.plan_file.exists())
    cluster = Cluster(
        environment.hosts,
        environment.host_rank,
        environment.network_interface,
        environment.meeting_port,
    )
    train_shared(order, processes, cluster)
    if folder.model.is_dir():  # a run that was stopped early has none yet, other hosts never
        shutil.copytree(folder.model, environment.model_dir, dirs_exist_ok=True)


def fail(failure_file: Path, error: FaceGANError) -> int:
    """Say why, where SageMaker reads it (its first 1,024 characters), and fail."""
    failure_file.parent.mkdir(parents=True, exist_ok=True)
    failure_file.write_text(f"{error}\n")
    print(f"Error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
