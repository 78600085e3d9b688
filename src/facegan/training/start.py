"""Starts a run, in this process or in one process per GPU and host."""

import os
import sys
from typing import Any

import torch

from facegan.environment import WorkerEnvironment
from facegan.errors import ConfigError
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_spec import RunSpec
from facegan.hyperparameters.setting import convert
from facegan.training.distributed.launcher import ONE_HOST, Cluster, launch
from facegan.training.distributed.worker import take_part
from facegan.training.run import Run, train


def start(run: Run, processes: int | str | None = None, cluster: Cluster = ONE_HOST) -> bool:
    """Train a run in this process, or in several that share every batch.

    Args:
        run: The run.
        processes: How many on each host; None: one per GPU.
        cluster: The hosts.

    Returns:
        Whether the run is finished; False if it was stopped.

    Raises:
        FaceGANError: the error that ended the run, in any process.
    """
    if environment := WorkerEnvironment.from_mapping(os.environ):  # torchrun started this process
        return take_part(environment, lambda: run, run.spec.data)
    each = count_gpus(run.spec) if processes is None else convert("processes", int, processes)
    if each < 1:
        raise ConfigError(f"processes is {each}.", "It must be at least 1.")
    if each * len(cluster.hosts) == 1:
        return train(run)
    resolve(run.spec).check_batch(each * len(cluster.hosts))
    command = [sys.executable, "-m", "facegan.training.distributed.worker", run.as_json()]
    return launch(command, each, cluster)


def count_gpus(spec: RunSpec) -> int:
    """Return the number of GPUs a run can use, at least 1."""
    device: Any = spec.hyperparameters.get("device", "auto")
    return max(torch.cuda.device_count(), 1) if device in ("auto", "cuda") else 1
