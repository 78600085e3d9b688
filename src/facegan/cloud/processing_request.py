"""A Processing job that prepares pictures on several hosts, and the one that merges their parts.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from facegan.cloud.limits import (
    check_image,
    check_instances,
    check_name,
    check_number,
    check_place,
    check_role,
    check_variables,
)
from facegan.cloud.training_request import MAX_VOLUME_GB, tag_list
from facegan.errors import ConfigError

INPUTS, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"  # in the container
ENTRY = ("entry", "python", "-m", "facegan.cli", "data")  # of the training image
MAX_HOSTS = 100  # of a Processing job, by the service
MAX_SECONDS = 9 * 24 * 3600
MAX_CHARACTERS = 256  # of an argument, and of a variable
MAX_ARGUMENTS = 100


@dataclass(frozen=True, kw_only=True)
class ProcessingJob:
    """What `facegan data` is to do, with what, and where its results go; checked when it is made.

    A place is ``s3://bucket/prefix``; in local mode (the instance types ``local`` and
    ``local_gpu``) also ``file:///absolute/path``. Nothing else differs between the two. Made by
    :meth:`preparing` and :meth:`merging`.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    name: str
    image: str  # the training image
    role: str  # its ARN; local mode takes any
    source: str  # place of what is read
    source_folder: str  # where that lies in the container
    output: str  # place of what is made
    arguments: tuple[str, ...]  # of `facegan data`
    instance_type: str
    instance_count: int = 1
    is_sharded: bool = False  # each host gets its share of the source's files, else all
    volume_gb: int = 30
    max_run_seconds: int = 24 * 3600
    network_isolation: bool = True  # all that is read and written is copied by SageMaker
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def preparing(
        cls, *, pictures: str, resolution: int, options: tuple[str, ...] = (), **job: Any
    ) -> Self:
        """Prepare pictures on every host, each its part, into a folder of its own in the output.

        Args:
            pictures: Their place.
            resolution: The side of every image, in pixels.
            options: Of `facegan data prepare`, as ``("--crop", "celeba")``.
            job: The rest of a :class:`ProcessingJob`.
        """
        folder = f"{INPUTS}/pictures"
        command = ("prepare", folder, "--out", OUTPUT, "--resolution", str(resolution))
        return cls(
            source=pictures,
            source_folder=folder,
            arguments=(*command, "--shard", "auto", *options),
            **job,
        )

    @classmethod
    def merging(cls, *, parts: str, **job: Any) -> Self:
        """Make one data set, with one manifest, of what the hosts of another job left.

        Args:
            parts: The place that they left it in.
            job: The rest of a :class:`ProcessingJob`, of one host.
        """
        folder = f"{INPUTS}/parts"
        command = ("merge", folder, "--out", OUTPUT)
        return cls(source=parts, source_folder=folder, arguments=command, **job)

    def __post_init__(self) -> None:
        check_name(self.name, "processing job")
        check_image(self.image)
        check_role(self.role)
        check_instances(self.instance_type, self.instance_count)
        check_number("instance_count", self.instance_count, 1, MAX_HOSTS)
        if self.arguments[0] == "merge":
            check_number("instance_count of a merging job", self.instance_count, 1, 1)
        check_place(self.source, "source", self.instance_type)
        check_place(self.output, "output", self.instance_type)
        check_number("volume_gb", self.volume_gb, 1, MAX_VOLUME_GB)
        check_number("max_run_seconds", self.max_run_seconds, 1, MAX_SECONDS)
        check_variables(self.environment, MAX_CHARACTERS)
        self.check_arguments()

    def check_arguments(self) -> None:
        """Refuse a command line that the service would."""
        if len(self.arguments) > MAX_ARGUMENTS:
            hint = f"SageMaker takes {MAX_ARGUMENTS} at most."
            raise ConfigError(f"The command has {len(self.arguments)} words.", hint)
        for word in self.arguments:
            if not isinstance(word, str) or len(word) > MAX_CHARACTERS:
                hint = f"It must be a text of at most {MAX_CHARACTERS} characters."
                raise ConfigError(f"The option {str(word)[:40]!r} is no such text.", hint)

    def request(self) -> dict[str, Any]:
        """The arguments of ``create_processing_job``, each time a new dict."""
        always = {
            "ProcessingJobName": self.name,
            "RoleArn": self.role,
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerEntrypoint": list(ENTRY),
                "ContainerArguments": list(self.arguments),
            },
            "ProcessingInputs": [self.source_input()],
            "ProcessingOutputConfig": {"Outputs": [self.made_output()]},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": self.instance_type,
                    "InstanceCount": self.instance_count,
                    "VolumeSizeInGB": self.volume_gb,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_run_seconds},
            "NetworkConfig": {"EnableNetworkIsolation": self.network_isolation},
        }
        perhaps = {"Environment": dict(self.environment), "Tags": tag_list(self.tags)}
        return always | {name: value for name, value in perhaps.items() if value}

    def source_input(self) -> dict[str, Any]:
        """What is copied to the hosts before they start."""
        return {
            "InputName": self.source_folder.rpartition("/")[2],
            "S3Input": {
                "S3Uri": self.source,
                "LocalPath": self.source_folder,
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
                "S3DataDistributionType": "ShardedByS3Key"
                if self.is_sharded
                else "FullyReplicated",
            },
        }

    def made_output(self) -> dict[str, Any]:
        """What is copied from the hosts when they have ended, all to one place."""
        return {
            "OutputName": "made",
            "S3Output": {
                "S3Uri": self.output,
                "LocalPath": OUTPUT,
                "S3UploadMode": "EndOfJob",
            },
        }
