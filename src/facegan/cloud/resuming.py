"""A job that goes on where another stopped: the same request again, on the same checkpoints."""

import re
from collections.abc import Mapping
from typing import Any

from facegan.cloud.job_status import Description, is_running
from facegan.cloud.limits import check_instances, check_name, check_number, hyperparameter_strings
from facegan.cloud.training_request import MAX_SECONDS, given
from facegan.errors import CloudError, ConfigError
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_spec import RunSpec

# Parts of a description that are parts of a request, by the same names.
KEPT = (
    *("RoleArn", "AlgorithmSpecification", "HyperParameters", "InputDataConfig"),
    *("OutputDataConfig", "ResourceConfig", "VpcConfig", "StoppingCondition", "CheckpointConfig"),
    *("TensorBoardOutputConfig", "EnableManagedSpotTraining", "EnableNetworkIsolation"),
    *("EnableInterContainerTrafficEncryption", "Environment", "RetryStrategy", "ExperimentConfig"),
)
# Hyperparameters that may be others when a run goes on (docs/sagemaker.md).
MAY_CHANGE = (
    *("total_kimg", "max_minutes", "tick_kimg", "keep_checkpoints"),
    *("micro_batch", "device", "data_on_gpu"),
)
FOREIGN = ("_tuning_objective_metric", "sagemaker_")


def next_name(name: str) -> str:
    """The name of what goes on after a job: faces, faces-2, faces-3 …"""
    found = re.fullmatch(r"(.*)-(\d{1,3})", name)
    stem, number = (found[1], int(found[2])) if found else (name, 1)
    return f"{stem}-{number + 1}"


def resumed_request(
    job: Description,
    name: str,
    *,
    tags: list[dict[str, str]],
    hyperparameters: Mapping[str, Any],
    instance_type: str | None = None,
    max_run_seconds: int | None = None,
) -> dict[str, Any]:
    """The request of a job that goes on with another's checkpoints.

    Args:
        job: The other, as it is described.
        name: The new one's.
        tags: Of the new one.
        hyperparameters: Those that shall be others.
        instance_type: Another one.
        max_run_seconds: Another limit.

    Raises:
        CloudError: it still runs, is finished, or keeps no checkpoints.
        ConfigError: a hyperparameter that must stay, or a value that the service refuses.
    """
    check_resumable(job, hyperparameters)
    check_name(name, "training job")
    request = given({part: job.get(part) for part in KEPT})
    values = {
        key: value
        for key, value in request.get("HyperParameters", {}).items()
        if not key.startswith(FOREIGN)
    }
    resolve(RunSpec.from_mapping(hyperparameters))  # those before were the image's to check
    request["HyperParameters"] = {**values, **hyperparameter_strings(hyperparameters)}
    if job.get("TuningJobArn"):  # its part of the folder that the tuning's jobs share
        folder = request["CheckpointConfig"]["S3Uri"].rstrip("/")
        request["CheckpointConfig"] = {"S3Uri": f"{folder}/{job['TrainingJobName']}"}
    request["ResourceConfig"] = resources(request["ResourceConfig"], instance_type)
    if max_run_seconds is not None:
        request["StoppingCondition"] = longer(request["StoppingCondition"], max_run_seconds)
    if "ExperimentConfig" in request:
        request["ExperimentConfig"] |= {"TrialComponentDisplayName": name}
    return {"TrainingJobName": name, **request} | given({"Tags": tags})


def check_resumable(job: Description, hyperparameters: Mapping[str, Any]) -> None:
    """Refuse to go on with what cannot be gone on with.

    Raises:
        CloudError: says why, and the next step.
        ConfigError: names a hyperparameter that must stay.
    """
    name = job["TrainingJobName"]
    if is_running(job):
        hint = f"`facegan cloud attach {name}` follows it; `facegan cloud stop {name}` ends it."
        raise CloudError(f"The job {name} is still running ({job['TrainingJobStatus']}).", hint)
    if not job.get("CheckpointConfig"):
        hint = "Start a new one: `facegan cloud train` keeps checkpoints."
        raise CloudError(f"The job {name} kept no checkpoints to go on with.", hint)
    if job["TrainingJobStatus"] == "Completed" and not hyperparameters:
        hint = f"Fetch it: `facegan cloud fetch {name}`. To train on: --set total_kimg=…"
        raise CloudError(f"The job {name} is complete: it has its model.", hint)
    for one in hyperparameters:
        if one not in MAY_CHANGE:
            hint = f"Only {', '.join(MAY_CHANGE)} may; for anything else start a new job."
            raise ConfigError(f"{one} cannot change when a run goes on.", hint)


def resources(told: Mapping[str, Any], instance_type: str | None) -> dict[str, Any]:
    """The machines as before, or of another type."""
    if instance_type is None:
        return dict(told)
    check_instances(instance_type, told.get("InstanceCount", 1))
    return {**told, "InstanceType": instance_type}


def longer(told: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """Another limit of time; of spot instances the waiting is kept."""
    check_number("max_run_seconds", seconds, 1, MAX_SECONDS)
    wait = told.get("MaxWaitTimeInSeconds")
    if wait is None:
        return {**told, "MaxRuntimeInSeconds": seconds}
    extra = wait - told["MaxRuntimeInSeconds"]
    most = min(seconds + extra, MAX_SECONDS)
    return {**told, "MaxRuntimeInSeconds": seconds, "MaxWaitTimeInSeconds": most}
