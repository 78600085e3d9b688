"""A training job as SageMaker's API takes it: the same request for AWS and for local mode.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.limits import (
    check_image,
    check_instances,
    check_name,
    check_number,
    check_place,
    check_role,
    check_variables,
    hyperparameter_strings,
)
from facegan.errors import ConfigError
from facegan.tick_line import METRIC_DEFINITIONS

INPUT_MODES = ("File", "FastFile")  # what the container reads pictures by
DISTRIBUTIONS = ("FullyReplicated", "ShardedByS3Key")  # all files to every host, or some to each
MAX_SECONDS = 28 * 24 * 3600  # of a job, by the service
MAX_VOLUME_GB = 16384


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What a job is to do, with what, and where its results go; checked when it is made.

    A place is ``s3://bucket/prefix``; in local mode (the instance types ``local`` and
    ``local_gpu``) also ``file:///absolute/path``. Nothing else differs between the two.

    Raises:
        ConfigError: something the service, or the container, would refuse; it is named.
    """

    name: str
    image: str
    role: str  # its ARN; local mode takes any
    pictures: str  # place of the channel "training"
    output: str  # place of model.tar.gz and output.tar.gz
    instance_type: str
    instance_count: int = 1
    hyperparameters: Mapping[str, str | int | float] = field(default_factory=dict)
    held_out_pictures: str | None = None  # place of the channel "evaluation"
    checkpoints: str | None = None  # place; local mode keeps none
    curves: str | None = None  # place of TensorBoard's files; local mode keeps none
    input_mode: str = "File"
    distribution: str = "FullyReplicated"  # of the pictures; held-out ones go to every host
    volume_gb: int = 30
    max_run_seconds: int = 24 * 3600
    max_wait_seconds: int | None = None  # for spot instances, the run included; None: on demand
    network_isolation: bool = False  # nothing but the job's hosts can be reached
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "training job")
        check_image(self.image)
        check_role(self.role)
        check_instances(self.instance_type, self.instance_count)
        for what in ("pictures", "output", "held_out_pictures", "checkpoints", "curves"):
            if (place := getattr(self, what)) is not None:
                check_place(place, what, self.instance_type)
        if self.input_mode not in INPUT_MODES:
            hint = "The container reads " + " and ".join(INPUT_MODES) + "."
            raise ConfigError(f"input_mode is {self.input_mode!r}.", hint)
        if self.distribution not in DISTRIBUTIONS:
            hint = "Give " + " or ".join(DISTRIBUTIONS) + "."
            raise ConfigError(f"distribution is {self.distribution!r}.", hint)
        check_number("volume_gb", self.volume_gb, 1, MAX_VOLUME_GB)
        check_number("max_run_seconds", self.max_run_seconds, 1, MAX_SECONDS)
        self.check_spot()
        check_variables(self.environment, max_characters=512)
        hyperparameter_strings(self.hyperparameters)

    def check_spot(self) -> None:
        """A spot instance may be taken away at any time, with all that was not synced."""
        if self.max_wait_seconds is None:
            return
        check_number("max_wait_seconds", self.max_wait_seconds, self.max_run_seconds, MAX_SECONDS)
        if self.checkpoints is None:
            hint = "Give a place for them, or leave max_wait_seconds out."
            raise ConfigError("A job on spot instances has no place for its checkpoints.", hint)

    def request(self) -> dict[str, Any]:
        """The arguments of ``create_training_job``, each time a new dict."""
        wait = self.max_wait_seconds
        always = {
            "TrainingJobName": self.name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": self.input_mode,
                "MetricDefinitions": [dict(one) for one in METRIC_DEFINITIONS],
            },
            "HyperParameters": hyperparameter_strings(self.hyperparameters),
            "InputDataConfig": self.channels(),
            "OutputDataConfig": {"S3OutputPath": self.output},
            "ResourceConfig": {
                "InstanceType": self.instance_type,
                "InstanceCount": self.instance_count,
                "VolumeSizeInGB": self.volume_gb,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_run_seconds}
            | ({} if wait is None else {"MaxWaitTimeInSeconds": wait}),
        }
        perhaps = {
            "Environment": dict(self.environment),
            "Tags": tag_list(self.tags),
            "CheckpointConfig": self.checkpoints and {"S3Uri": self.checkpoints},
            "TensorBoardOutputConfig": self.curves and {"S3OutputPath": self.curves},
            "EnableManagedSpotTraining": wait is not None,
            "EnableNetworkIsolation": self.network_isolation,
        }
        return always | {name: value for name, value in perhaps.items() if value}

    def channels(self) -> list[dict[str, Any]]:
        """The inputs; every host takes its share of each batch, wherever the files are."""
        places = {
            "training": (self.pictures, self.distribution),
            "evaluation": (self.held_out_pictures, "FullyReplicated"),
        }
        return [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": place,
                        "S3DataDistributionType": distribution,
                    }
                },
            }
            for name, (place, distribution) in places.items()
            if place is not None
        ]


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
