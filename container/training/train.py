"""SAGEMAKER_PROGRAM: from a training job's environment to a run, and its model in /opt/ml/model.

The run's folder is SageMaker's checkpoint folder, which outlives a spot interruption: a job that
is started again finds its run there and resumes it.
"""

import os
import shutil
import sys
from pathlib import Path

from facegan.cli.train import plan_run, train
from facegan.environment import TrainingEnvironment, failure_file
from facegan.errors import FaceGANError
from facegan.training import RunFolder

OF_THE_PLAN = ("family", "preset", "resolution")


def main() -> int:
    """Train, and return the container's exit code."""
    environment = TrainingEnvironment.from_mapping(os.environ)
    try:
        run(environment)
    except FaceGANError as error:
        return fail(failure_file(os.environ), error)
    return 0


def run(environment: TrainingEnvironment) -> None:
    """Start the run, or go on with the one in the checkpoint folder."""
    folder = RunFolder(environment.checkpoint_dir)
    given = dict(environment.hyperparameters)
    asked = {name: given.pop(name) for name in OF_THE_PLAN if name in given}
    plan = plan_run({"data": str(environment.training_channel), **asked}, given)
    train(folder, plan, resume=folder.plan_file.exists())
    if folder.model.is_dir():  # a run that was stopped early has none yet
        shutil.copytree(folder.model, environment.model_dir, dirs_exist_ok=True)


def fail(path: Path, error: FaceGANError) -> int:
    """Say why, where SageMaker reads it (its first 1,024 characters), and fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{error}\n")
    print(f"Error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
