"""An endpoint as SageMaker's API takes it, in three requests: model, configuration, endpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html and its neighbours
"""

from collections.abc import Mapping
from contextlib import ExitStack
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
    is_local,
)
from facegan.cloud.training_request import tag_list
from facegan.errors import ConfigError

# GPU machines of an endpoint. The images' torch is built for CUDA 13, which wants a driver of 580;
# of the systems that SageMaker offers for endpoints only this one has it (docs/containers.md).
GPU_FAMILIES = ("ml.g", "ml.p")
GPU_SYSTEM = "al2023-ami-sagemaker-inference-gpu-4-1"


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """A model, the image that serves it, and on what; checked when it is made.

    Model, configuration and endpoint have the same name, so that deleting is three calls with it.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    name: str
    image: str
    role: str  # its ARN; local mode takes any
    model: str  # place of model.tar.gz: s3://…, in local mode also file:///…
    instance_type: str
    instance_count: int = 1
    start_seconds: int = 300  # until /ping must answer 200
    network_isolation: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "endpoint")
        check_image(self.image)
        check_role(self.role)
        check_instances(self.instance_type, self.instance_count)
        check_place(self.model, "model", self.instance_type)
        if not self.model.endswith(".tar.gz"):
            hint = "Give the archive's own address: it ends with model.tar.gz."
            raise ConfigError(f"model is {self.model!r}.", hint)
        if is_local(self.instance_type) and self.instance_count != 1:
            hint = "Local mode serves from one container."
            raise ConfigError(f"instance_count is {self.instance_count}.", hint)
        check_number("start_seconds", self.start_seconds, 60, 3600)
        check_variables(self.environment, max_characters=1024)

    def model_request(self) -> dict[str, Any]:
        """The arguments of ``create_model``."""
        container = {
            "Image": self.image,
            "ModelDataUrl": self.model,
            "Environment": dict(self.environment),
        }
        isolated = {"EnableNetworkIsolation": True} if self.network_isolation else {}
        named = {"ModelName": self.name, "ExecutionRoleArn": self.role}
        return named | {"PrimaryContainer": container} | isolated | self.tagged()

    def configuration_request(self) -> dict[str, Any]:
        """The arguments of ``create_endpoint_config``."""
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": self.name,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instance_count,
            "ContainerStartupHealthCheckTimeoutInSeconds": self.start_seconds,
        }
        if self.instance_type.startswith(GPU_FAMILIES):
            variant["InferenceAmiVersion"] = GPU_SYSTEM
        return {"EndpointConfigName": self.name, "ProductionVariants": [variant]} | self.tagged()

    def endpoint_request(self) -> dict[str, Any]:
        """The arguments of ``create_endpoint``."""
        return {"EndpointName": self.name, "EndpointConfigName": self.name} | self.tagged()

    def tagged(self) -> dict[str, Any]:
        """The tags, where there are some."""
        return {"Tags": tag_list(self.tags)} if self.tags else {}


def create_endpoint(client: Any, endpoint: ModelEndpoint) -> None:
    """Make model, configuration and endpoint; those that were made go again if a later one fails.

    Args:
        client: boto3's ``sagemaker`` client, or local mode's.
        endpoint: What to make.
    """
    with ExitStack() as undo:  # by what was made, not by name: another's may have the same
        client.create_model(**endpoint.model_request())
        undo.callback(client.delete_model, ModelName=endpoint.name)
        client.create_endpoint_config(**endpoint.configuration_request())
        undo.callback(client.delete_endpoint_config, EndpointConfigName=endpoint.name)
        client.create_endpoint(**endpoint.endpoint_request())
        undo.pop_all()


def delete_endpoint(client: Any, name: str) -> None:
    """Delete endpoint, configuration and model of a name, those of them that are there.

    Args:
        client: boto3's ``sagemaker`` client, or local mode's.
        name: As in :class:`ModelEndpoint`.
    """
    from botocore.exceptions import ClientError

    for delete, argument in (
        (client.delete_endpoint, "EndpointName"),
        (client.delete_endpoint_config, "EndpointConfigName"),
        (client.delete_model, "ModelName"),
    ):
        try:
            delete(**{argument: name})
        except ClientError as cause:
            if not cause.response["Error"].get("Message", "").startswith("Could not find"):
                raise
