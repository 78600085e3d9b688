"""A training job as SageMaker's API takes it: the same request for AWS and for local mode.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.limits import (
    check_image,
    check_instances,
    check_key,
    check_name,
    check_network,
    check_number,
    check_place,
    check_role,
    check_tags,
    check_variables,
    hyperparameter_strings,
)
from facegan.errors import ConfigError
from facegan.tick_line import METRIC_DEFINITIONS

INPUT_MODES = ("File", "FastFile")  # how the container can read its inputs
DISTRIBUTIONS = ("FullyReplicated", "ShardedByS3Key")  # all to every host, or a share to each
PICTURES, HELD_OUT = "training", "evaluation"  # the channels' names, as the container has them
MAX_SECONDS = 28 * 24 * 3600  # of a job, by the service
MAX_VOLUME_GB = 16384
MAX_WARM_SECONDS = 6 * 3600
# Instances with disks of their own: those encrypt themselves, and take no key of a volume
# (API_ResourceConfig, VolumeKmsKeyId).
OWN_DISKS = re.compile(
    r"ml\.(g4dn|g5|g6|g6e|g7e|gr6|p3dn|p4d|p4de|p5|p5e|p5en|p6\S*|trn\S*|\w+d)\."
)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One input of a job.

    Args:
        name: What the container knows it by.
        place: ``s3://bucket/prefix``; in local mode also ``file:///absolute/path``.
        input_mode: How it comes to the hosts; None: as the job says for all.
        distribution: Which objects come to which host.

    Raises:
        ConfigError: the service, or the container, would refuse it.
    """

    name: str
    place: str
    input_mode: str | None = None
    distribution: str = DISTRIBUTIONS[0]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.name):
            hint = "It must be 1 to 64 letters, digits, dots, hyphens and underscores."
            raise ConfigError(f"A channel is named {self.name!r}.", hint)
        if self.input_mode is not None:
            check_input_mode(self.input_mode)
        if self.distribution not in DISTRIBUTIONS:
            hint = "Give " + " or ".join(DISTRIBUTIONS) + "."
            raise ConfigError(f"distribution is {self.distribution!r}.", hint)

    def request(self) -> dict[str, Any]:
        """As ``InputDataConfig`` lists it."""
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": self.place,
            "S3DataDistributionType": self.distribution,
        }
        mode = {} if self.input_mode is None else {"InputMode": self.input_mode}
        return {"ChannelName": self.name, "DataSource": {"S3DataSource": source}} | mode


def check_input_mode(mode: str) -> None:
    """Raise ConfigError for an input mode that the container cannot read."""
    if mode == "Pipe":
        hint = "Use FastFile, which streams from S3 too, or File."
        raise ConfigError("The input mode Pipe is not supported.", hint)
    if mode not in INPUT_MODES:
        hint = "The container reads " + ", ".join(INPUT_MODES) + "."
        raise ConfigError(f"input_mode is {mode!r}.", hint)


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
    input_mode: str = "File"  # of all channels that have none of their own
    distribution: str = DISTRIBUTIONS[0]  # of the pictures; the held-out ones go to every host
    more_channels: tuple[Channel, ...] = ()
    volume_gb: int = 30
    max_run_seconds: int = 24 * 3600
    max_wait_seconds: int | None = None  # for spot instances, the run included; None: on demand
    warm_seconds: int | None = None  # instances are kept, and paid, for the next job so long
    retries: int | None = None  # after a fault of the service's
    network_isolation: bool = False  # nothing but the job's hosts can be reached
    encrypt_between_hosts: bool = False
    subnets: tuple[str, ...] = ()  # a VPC's, with security_groups
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None  # of the output, and of volumes that take one
    experiment: str | None = None  # SageMaker Experiments: the group of runs…
    run: str | None = None  # …and the one in it that this job belongs to
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
        check_input_mode(self.input_mode)
        self.check_channels()
        check_number("volume_gb", self.volume_gb, 1, MAX_VOLUME_GB)
        check_number("max_run_seconds", self.max_run_seconds, 1, MAX_SECONDS)
        self.check_spot()
        self.check_warm_pool()
        if self.retries is not None:
            check_number("retries", self.retries, 1, 30)
        check_network(self.subnets, self.security_groups)
        self.check_encryption()
        self.check_experiment()
        check_tags(self.tags)
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

    def check_channels(self) -> None:
        """Each channel once, and each a place that can be reached."""
        channels = self.all_channels()
        for channel in self.more_channels:
            check_place(channel.place, f"channel {channel.name}", self.instance_type)
        names = [channel.name for channel in channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"The channel {twice[0]} is given twice.", "Name each only once.")

    def check_encryption(self) -> None:
        """Outputs take a key by any of its names, volumes by its id and its ARN alone."""
        if self.kms_key is None:
            return
        check_key(self.kms_key)
        if "alias/" in self.kms_key and not OWN_DISKS.match(self.instance_type):
            hint = f"Give its id or ARN: `aws kms describe-key --key-id {self.kms_key}`."
            raise ConfigError(f"The KMS key is {self.kms_key!r}, and volumes take no alias.", hint)

    def check_warm_pool(self) -> None:
        """Instances are kept warm for a while, and never spot ones."""
        if self.warm_seconds is None:
            return
        check_number("warm_seconds", self.warm_seconds, 1, MAX_WARM_SECONDS)
        if self.max_wait_seconds is not None:
            raise ConfigError(
                "A warm pool of spot instances is asked for.", "Choose one of the two."
            )

    def check_experiment(self) -> None:
        """A run belongs to an experiment."""
        if self.run is not None and self.experiment is None:
            raise ConfigError(f"The run {self.run!r} has no experiment.", "Name it by experiment.")
        for kind, name in (("experiment", self.experiment), ("run", self.run)):
            if name is not None:
                check_name(name, kind)
        if self.trial and len(self.trial) > 120:
            told = f"The experiment's and the run's names have {len(self.trial)} characters."
            raise ConfigError(told, "Together they may have 119.")

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
            "InputDataConfig": [channel.request() for channel in self.all_channels()],
            "OutputDataConfig": given({"S3OutputPath": self.output, "KmsKeyId": self.kms_key}),
            "ResourceConfig": self.resources(),
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
            "EnableInterContainerTrafficEncryption": self.encrypt_between_hosts,
            "VpcConfig": self.subnets
            and {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)},
            "RetryStrategy": self.retries and {"MaximumRetryAttempts": self.retries},
            "ExperimentConfig": self.experiment and self.experiment_config(),
        }
        return always | given(perhaps)

    def resources(self) -> dict[str, Any]:
        """The machines, and what they keep things on."""
        key = None if OWN_DISKS.match(self.instance_type) else self.kms_key
        return given(
            {
                "InstanceType": self.instance_type,
                "InstanceCount": self.instance_count,
                "VolumeSizeInGB": self.volume_gb,
                "VolumeKmsKeyId": key,
                "KeepAlivePeriodInSeconds": self.warm_seconds,
            }
        )

    def experiment_config(self) -> dict[str, Any]:
        """Where the job is listed: API_ExperimentConfig; both have to exist."""
        return {
            "ExperimentName": self.experiment,
            "TrialName": self.trial,
            "TrialComponentDisplayName": self.name,
        }

    @property
    def trial(self) -> str | None:
        """The API's name of :attr:`run`; names are unique in a region, so it has the group's."""
        return self.experiment and f"{self.experiment}-{self.run or 'runs'}"

    def all_channels(self) -> list[Channel]:
        """The inputs; a host that gets all pictures takes its share of each batch."""
        told = [Channel(name=PICTURES, place=self.pictures, distribution=self.distribution)]
        if self.held_out_pictures is not None:
            told.append(Channel(name=HELD_OUT, place=self.held_out_pictures))
        return [*told, *self.more_channels]


def given(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Those parts of a request that say something."""
    return {name: value for name, value in parts.items() if value}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
