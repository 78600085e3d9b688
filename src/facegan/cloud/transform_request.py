"""A batch transform job: requests or images in S3 become images, and the machines go.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html; what a line
asks and gets: docs/serving-reference.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.calls import Call
from facegan.cloud.endpoint_requests import OWN_DISKS, ModelEndpoint, create_model
from facegan.cloud.limits import (
    check_instances,
    check_name,
    check_number,
    check_place,
    is_local,
)
from facegan.cloud.training_request import tag_list
from facegan.errors import ConfigError
from facegan.gpu_check import has_gpu

LINES = "application/jsonlines"
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")
MAX_IMAGE_MB = 6  # of one image: the server's limit, as SageMaker's of endpoints
MAX_CONTENT_TYPE = 256  # characters, of the service


@dataclass(frozen=True, kw_only=True)
class TransformJob:
    """A job, and the model of its name that it runs; checked when it is made.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    name: str
    image: str
    role: str
    model: str  # s3://…/model.tar.gz
    requests: str  # s3://…: a file of JSON lines or an image, or a prefix of such
    output: str  # s3://…; REQUESTS.out is written below it
    content_type: str = LINES  # or of IMAGE_TYPES, with parameters: "image/png;direction=BtoA"
    instance_type: str
    instance_count: int = 1
    payload_mb: int = 1  # of lines in one request; a request's faces are counted together
    is_line_by_line: bool = False  # one line a request: slower, for lines of many faces
    kms_key: str | None = None
    network_isolation: bool = False
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "transform job")
        check_place(self.requests, "requests", "")
        check_place(self.output, "output", "")
        check_instances(self.instance_type, self.instance_count)
        check_number("payload_mb", self.payload_mb, 1, 100)
        self.check_content_type()
        if is_local(self.instance_type):
            raise ConfigError("A transform job runs on AWS.", "Give one like ml.c7i.large.")
        if has_gpu(self.instance_type):
            hint = "Its drivers end at 535, and the image's CUDA wants 580: take ml.c7i.xlarge."
            raise ConfigError(f"The transform job is to run on {self.instance_type}.", hint)
        self.served()

    @property
    def is_of_images(self) -> bool:
        """Whether each object is one image, and its answer one image."""
        return self.content_type != LINES

    def check_content_type(self) -> None:
        """Raise ConfigError if the content type is not one that can be split into requests."""
        bare = self.content_type.partition(";")[0].strip()
        is_long = len(self.content_type) > MAX_CONTENT_TYPE or not self.content_type.isascii()
        if (self.is_of_images and bare not in IMAGE_TYPES) or is_long:
            known = ", ".join((LINES, *IMAGE_TYPES))
            hint = f"It is one of {known}, with parameters as image/png;direction=BtoA, in ASCII."
            raise ConfigError(f"content_type is {self.content_type[:300]!r}.", hint)
        if self.is_of_images and self.is_line_by_line:
            raise ConfigError("is_line_by_line is of JSON lines.", "Images are sent one by one.")

    def served(self) -> ModelEndpoint:
        """What says of the model all that an endpoint says; no endpoint is made."""
        return ModelEndpoint(
            name=self.name,
            image=self.image,
            role=self.role,
            model=self.model,
            instance_type=self.instance_type,
            network_isolation=self.network_isolation,
            subnets=self.subnets,
            security_groups=self.security_groups,
            environment=self.environment,
            tags=self.tags,
        )

    def request(self) -> dict[str, Any]:
        """The arguments of ``create_transform_job``."""
        key = {"KmsKeyId": self.kms_key} if self.kms_key else {}
        machines: dict[str, Any] = {
            "InstanceType": self.instance_type,
            "InstanceCount": self.instance_count,
        }
        if self.kms_key and not OWN_DISKS.fullmatch(self.instance_type):
            machines["VolumeKmsKeyId"] = self.kms_key
        source = {"S3DataType": "S3Prefix", "S3Uri": self.requests}
        is_single = self.is_line_by_line or self.is_of_images
        request = {
            "TransformJobName": self.name,
            "ModelName": self.name,
            "BatchStrategy": "SingleRecord" if is_single else "MultiRecord",
            "MaxPayloadInMB": MAX_IMAGE_MB if self.is_of_images else self.payload_mb,
            "TransformInput": {
                "DataSource": {"S3DataSource": source},
                "ContentType": self.content_type,
                "SplitType": "None" if self.is_of_images else "Line",
            },
            "TransformOutput": {
                "S3OutputPath": self.output,
                "Accept": "image/png" if self.is_of_images else LINES,
                "AssembleWith": "None",  # every answer ends with a line feed of its own
            }
            | key,
            "TransformResources": machines,
        }
        return request | ({"Tags": tag_list(self.tags)} if self.tags else {})

    def creation(self) -> list[Call]:
        """The model, and the job."""
        job = Call("sagemaker", "CreateTransformJob", self.request(), self.name, stop(self.name))
        return [create_model(self.served().model_request()), job]


def stop(name: str) -> Call:
    """Stop a transform job; what is written stays."""
    return Call("sagemaker", "StopTransformJob", {"TransformJobName": name}, name)


def describe(name: str) -> Call:
    """A transform job as it is."""
    return Call("sagemaker", "DescribeTransformJob", {"TransformJobName": name}, name)
