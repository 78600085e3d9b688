"""Trains with the SDK's own ModelTrainer, in local mode.

    .venv-local/bin/python local_test/model_trainer.py --hosts 2

ModelTrainer passes no command, so the image's default command must be `train`, as in ours. For
deploying see local_mode.py: the SDK's ModelBuilder cannot serve custom images in local mode.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from local_mode import parse_options, training_job
from local_session import check_channel, exit_with, failure_of, local_path, quieten_sdk, swept

from facegan.cloud.training_request import TrainingJob
from facegan.errors import FaceGANError, RunError
from facegan.model_files.archive import check_archive


def main() -> None:
    """Train on each requested number of hosts, one job after the other."""
    options = parse_options(__doc__)
    gpu = options.instance_type == "local_gpu"
    try:
        with swept(options.folder, [options.training_image], gpu) as containers:
            models = [train(options, containers, hosts) for hosts in options.hosts]
    except FaceGANError as error:
        exit_with(error)
    print("\nTrained: " + ", ".join(map(str, models)) + ". All containers are removed.")


def train(options: argparse.Namespace, containers: Path, hosts: int) -> Path:
    """Run one training job, and return its model.tar.gz.

    Raises:
        RunError: the job failed; the message has its own reason.
        ConfigError: the folder of images is missing.
    """
    job = training_job(options, hosts)
    check_channel(job.pictures)
    root = containers / f"trainer-{hosts}"
    root.mkdir()
    quieten_sdk(options.folder)
    try:
        run(job, root)
    except RuntimeError as cause:  # the SDK's: "Process exited with code: 1"
        reason = failure_of(root / "compressed_artifacts" / "output.tar.gz") or str(cause)
        raise RunError(f"The job {job.name} failed: {reason}") from cause
    model = options.folder / f"trainer-{hosts}" / "model.tar.gz"
    model.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / "compressed_artifacts" / "model.tar.gz", model)
    check_archive(model)
    return model


def run(job: TrainingJob, root: Path) -> None:
    """Run the job as a user of the SDK would."""
    from sagemaker.core.training.configs import Compute, InputData
    from sagemaker.train import ModelTrainer
    from sagemaker.train.model_trainer import Mode

    kinds: dict[str, Any] = {"local": "local_cpu", "local_gpu": "local_gpu"}
    trainer = ModelTrainer(
        training_mode=Mode.LOCAL_CONTAINER,
        training_image=job.image,
        compute=Compute(instance_type=kinds[job.instance_type], instance_count=job.instance_count),
        hyperparameters=dict(job.hyperparameters),
        environment=dict(job.environment),
        base_job_name=job.name,
        local_container_root=str(root),
    )
    pictures = InputData(channel_name="training", data_source=str(local_path(job.pictures)))
    trainer.train(input_data_config=[pictures])


if __name__ == "__main__":
    main()
