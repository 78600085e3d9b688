"""An endpoint as SageMaker's API takes it: models, a configuration, the endpoint, each one call.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html and its neighbours
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.absent import is_absent
from facegan.cloud.calls import Ask, Call
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
from facegan.errors import CloudError, ConfigError
from facegan.gpu_check import has_gpu

# GPU machines of an endpoint. The images' torch is built for CUDA 13, which wants a driver of 580;
# of the systems that SageMaker offers for endpoints only this one has it (docs/containers.md).
GPU_SYSTEM = "al2023-ami-sagemaker-inference-gpu-4-1"
# Machines with disks of their own, which are encrypted by hardware: the API refuses a key there.
OWN_DISKS = re.compile(r"ml\.(g4dn|g5|g6e?|g7e?|p4d?e?|p5e?n?|p6\S*|trn\d\S*|[a-z]+\d+[a-z]*d)\..*")
MAIN = "AllTraffic"  # the variant that every endpoint of ours has
MAX_NAME = 54  # of 63: an update makes NAME-1a2b3c4d beside NAME
SERVERLESS_MEMORY = (1024, 2048, 3072, 4096, 5120, 6144)  # MB
LONG_ANSWERS = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "100"}  # the most our server takes; else 6
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, "Feature exclusions"
NOT_SERVERLESS = (
    "SageMaker has none for serverless endpoints: leave it out, or give --instance-type."
)


@dataclass(frozen=True, kw_only=True)
class Serverless:
    """No machine while nobody asks. No GPU; an image of at most 10 GB; 60 seconds an answer.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    memory_mb: int = 4096
    max_concurrency: int = 5
    provisioned: int | None = None  # kept warm, and paid for

    def __post_init__(self) -> None:
        if self.memory_mb not in SERVERLESS_MEMORY:
            hint = "It must be one of " + ", ".join(map(str, SERVERLESS_MEMORY)) + " (MB)."
            raise ConfigError(f"serverless memory is {self.memory_mb!r}.", hint)
        check_number("max_concurrency", self.max_concurrency, 1, 200)
        if self.provisioned is not None:
            check_number("provisioned concurrency", self.provisioned, 1, self.max_concurrency)

    def request(self) -> dict[str, int]:
        """``ServerlessConfig`` of a variant."""
        always = {"MemorySizeInMB": self.memory_mb, "MaxConcurrency": self.max_concurrency}
        kept = self.provisioned
        return always if kept is None else always | {"ProvisionedConcurrency": kept}


@dataclass(frozen=True, kw_only=True)
class Asynchronous:
    """Requests and answers lie in S3, of up to 100 MB with our server; it may have no machine.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    output: str  # s3://…
    failures: str | None = None  # s3://…; None: output/failures
    max_concurrent: int | None = None  # requests to a machine at once; None: SageMaker's choice
    success_topic: str | None = None  # ARN of SNS
    error_topic: str | None = None

    def __post_init__(self) -> None:
        for what in ("output", "failures"):
            place = getattr(self, what)
            if place is not None:
                check_place(place, what, "")
        if self.max_concurrent is not None:
            check_number("max_concurrent", self.max_concurrent, 1, 1000)
        for topic in (self.success_topic, self.error_topic):
            if topic and not re.fullmatch(r"arn:aws[a-z\-]*:sns:[a-z0-9\-]*:\d{12}:[\w.-]+", topic):
                hint = "Give its ARN, like arn:aws:sns:eu-west-1:123456789012:faces."
                raise ConfigError(f"The topic is {topic!r}.", hint)

    def request(self, kms_key: str | None) -> dict[str, Any]:
        """``AsyncInferenceConfig`` of a configuration."""
        failures = self.failures or self.output.rstrip("/") + "/failures"
        output: dict[str, Any] = {"S3OutputPath": self.output, "S3FailurePath": failures}
        if kms_key:
            output["KmsKeyId"] = kms_key
        topics = {"SuccessTopic": self.success_topic, "ErrorTopic": self.error_topic}
        if told := {name: topic for name, topic in topics.items() if topic}:
            output["NotificationConfig"] = told
        wish: dict[str, Any] = {"OutputConfig": output}
        if self.max_concurrent is not None:
            wish["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": self.max_concurrent}
        return wish


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Requests and answers kept in S3, a part of them.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    place: str  # s3://…
    percent: int = 10

    def __post_init__(self) -> None:
        check_place(self.place, "capture", "")
        check_number("capture percent", self.percent, 1, 100)

    def request(self, kms_key: str | None) -> dict[str, Any]:
        """``DataCaptureConfig`` of a configuration."""
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": self.percent,
            "DestinationS3Uri": self.place,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        } | ({"KmsKeyId": kms_key} if kms_key else {})


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A second model behind the same endpoint, with its share of the requests (A/B).

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    name: str  # of its variant
    model: str  # s3://…/model.tar.gz
    weight: float = 1.0  # its share is weight / sum of all weights

    def __post_init__(self) -> None:
        check_name(self.name, "variant")
        if self.name == MAIN:
            raise ConfigError(f"The variant is named {MAIN!r}.", "That is the first one's name.")
        check_archive_address(self.model)
        check_weight(self.weight)


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """A model, the image that serves it, and on what; checked when it is made.

    Model, configuration and endpoint have the same name, so that deleting is three calls with it;
    what else belongs to an endpoint is named NAME-1a2b3c4d.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    name: str
    image: str
    role: str  # its ARN; local mode takes any
    model: str  # place of model.tar.gz: s3://…, in local mode also file:///…; or of many: s3://…/
    instance_type: str = ""  # or serverless
    instance_count: int = 1
    serverless: Serverless | None = None
    asynchronous: Asynchronous | None = None
    is_multi_model: bool = False  # model is a prefix of many; a request names its TargetModel
    weight: float = 1.0  # of this model, where there are rivals
    rivals: tuple[Rival, ...] = ()
    capture: Capture | None = None
    start_seconds: int = 300  # until /ping must answer 200
    network_isolation: bool = False
    subnets: tuple[str, ...] = ()  # a VPC's, with security_groups
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None  # of volumes, captured data and asynchronous answers
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "endpoint")
        if len(self.name) > MAX_NAME:
            hint = f"At most {MAX_NAME} characters leave room for an update's NAME-1a2b3c4d."
            raise ConfigError(f"The endpoint's name has {len(self.name)} characters.", hint)
        check_image(self.image)
        check_role(self.role)
        check_place(self.model, "model", self.instance_type)
        if not self.is_multi_model:
            check_archive_address(self.model)
        elif not self.model.endswith("/"):
            hint = "Of many models give the prefix they lie below, with a slash at its end."
            raise ConfigError(f"model is {self.model!r}.", hint)
        if self.serverless is None:
            check_instances(self.instance_type, self.instance_count)
        self.check_together()
        check_number("start_seconds", self.start_seconds, 60, 3600)
        check_variables(self.environment, max_characters=1024)

    def check_together(self) -> None:
        """What each is fine, and together is refused."""
        if is_local(self.instance_type) and self.instance_count != 1:
            hint = "Local mode serves from one container."
            raise ConfigError(f"instance_count is {self.instance_count}.", hint)
        if bool(self.subnets) != bool(self.security_groups):
            hint = "A VPC takes both subnets and security_groups, or neither."
            raise ConfigError("One of subnets and security_groups is missing.", hint)
        check_weight(self.weight)
        names = [rival.name for rival in self.rivals]
        if len(set(names)) < len(names) or len(names) > 9:
            raise ConfigError(f"The variants are {names}.", "Each name once, at most nine.")
        if self.is_multi_model and self.rivals:
            raise ConfigError("Many models have no variants.", "Give either of the two.")
        if self.serverless is not None:
            self.check_serverless()

    def check_serverless(self) -> None:
        """What a serverless endpoint cannot have."""
        asked = {
            "an instance type": self.instance_type,
            "asynchronous answers": self.asynchronous,
            "many models": self.is_multi_model,
            "variants": self.rivals,
            "data capture": self.capture,
            "network isolation": self.network_isolation,
            "a VPC": self.subnets,
        }
        for what, value in asked.items():
            if value:
                raise ConfigError(f"A serverless endpoint is asked for {what}.", NOT_SERVERLESS)

    def model_request(self) -> dict[str, Any]:
        """The arguments of ``create_model``."""
        return self.model_requests()[0]

    def model_requests(self) -> list[dict[str, Any]]:
        """The arguments of ``create_model``, once for each variant."""
        names = [self.name, *(f"{self.name}-{digest(rival.model)}" for rival in self.rivals)]
        models = [self.model, *(rival.model for rival in self.rivals)]
        return [self.one_model(name, model) for name, model in zip(names, models, strict=True)]

    def one_model(self, name: str, model: str) -> dict[str, Any]:
        """The arguments of ``create_model`` for one variant."""
        container = {
            "Image": self.image,
            "ModelDataUrl": model,
            "Environment": (LONG_ANSWERS if self.asynchronous else {}) | dict(self.environment),
        }
        if self.is_multi_model:
            container["Mode"] = "MultiModel"
        isolated = {"EnableNetworkIsolation": True} if self.network_isolation else {}
        network = {"Subnets": [*self.subnets], "SecurityGroupIds": [*self.security_groups]}
        inside = {"VpcConfig": network} if self.subnets else {}
        named = {"ModelName": name, "ExecutionRoleArn": self.role}
        return named | {"PrimaryContainer": container} | isolated | inside | self.tagged()

    def configuration_request(self) -> dict[str, Any]:
        """The arguments of ``create_endpoint_config``."""
        models = [request["ModelName"] for request in self.model_requests()]
        shares = [(MAIN, self.weight), *((rival.name, rival.weight) for rival in self.rivals)]
        variants = [
            self.variant(*share, model) for share, model in zip(shares, models, strict=True)
        ]
        named = {"EndpointConfigName": self.name}
        request: dict[str, Any] = named | {"ProductionVariants": variants}
        if self.capture:
            request["DataCaptureConfig"] = self.capture.request(self.kms_key)
        if self.asynchronous:
            request["AsyncInferenceConfig"] = self.asynchronous.request(self.kms_key)
        if self.kms_key and not self.serverless and not OWN_DISKS.fullmatch(self.instance_type):
            request["KmsKeyId"] = self.kms_key
        return request | self.tagged()

    def variant(self, name: str, weight: float, model: str) -> dict[str, Any]:
        """One of ``ProductionVariants``."""
        variant: dict[str, Any] = {"VariantName": name, "ModelName": model}
        if self.serverless:
            return variant | {"ServerlessConfig": self.serverless.request()}
        variant |= {
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instance_count,
            "ContainerStartupHealthCheckTimeoutInSeconds": self.start_seconds,
        }
        if self.rivals:
            variant["InitialVariantWeight"] = weight
        if has_gpu(self.instance_type):
            variant["InferenceAmiVersion"] = GPU_SYSTEM
        return variant

    def endpoint_request(self) -> dict[str, Any]:
        """The arguments of ``create_endpoint``."""
        return {"EndpointName": self.name, "EndpointConfigName": self.name} | self.tagged()

    def tagged(self) -> dict[str, Any]:
        """The tags, where there are some."""
        return {"Tags": tag_list(self.tags)} if self.tags else {}

    def creation(self) -> list[Call]:
        """Models, configuration, endpoint: what :func:`facegan.cloud.calls.carry_out` makes."""
        return [
            *(create_model(request) for request in self.model_requests()),
            create_configuration(self.configuration_request()),
            create_endpoint(self.endpoint_request()),
        ]


def check_archive_address(model: str) -> None:
    """Refuse the address of a folder where an archive's is wanted.

    Raises:
        ConfigError: names it.
    """
    if not model.endswith(".tar.gz"):
        hint = "Give the archive's own address: it ends with model.tar.gz."
        raise ConfigError(f"model is {model!r}.", hint)


def check_weight(weight: float) -> None:
    """Refuse a share that is none.

    Raises:
        ConfigError: names it.
    """
    if not 0 <= weight < 1e6:
        raise ConfigError(f"The weight is {weight!r}.", "It must be from 0 up; 0 gets no request.")


def digest(value: Any) -> str:
    """Eight letters that a request's content comes to: the same request has the same name."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def create_model(request: dict[str, Any]) -> Call:
    """Make a model; it costs nothing."""
    name = request["ModelName"]
    return Call("sagemaker", "CreateModel", request, name, delete_model(name))


def create_configuration(request: dict[str, Any]) -> Call:
    """Make a configuration; it costs nothing."""
    name = request["EndpointConfigName"]
    return Call("sagemaker", "CreateEndpointConfig", request, name, delete_configuration(name))


def create_endpoint(request: dict[str, Any]) -> Call:
    """Make an endpoint; it costs from here on."""
    name = request["EndpointName"]
    return Call("sagemaker", "CreateEndpoint", request, name, delete_endpoint(name))


def delete_model(name: str) -> Call:
    """Delete a model; the archive in S3 stays."""
    return Call("sagemaker", "DeleteModel", {"ModelName": name}, name)


def delete_configuration(name: str) -> Call:
    """Delete a configuration."""
    return Call("sagemaker", "DeleteEndpointConfig", {"EndpointConfigName": name}, name)


def delete_endpoint(name: str) -> Call:
    """Delete an endpoint; it costs no longer."""
    return Call("sagemaker", "DeleteEndpoint", {"EndpointName": name}, name)


def deletion(name: str) -> list[Call]:
    """Endpoint, configuration and model of a name."""
    return [delete_endpoint(name), delete_configuration(name), delete_model(name)]


def delete_all(ask: Ask, calls: Iterable[Call], on_done: Any = lambda call: None) -> None:
    """Make calls that delete, those whose thing is not there passed over, all others made.

    Where an endpoint stays, what comes after it stays too: it lives on that.

    Raises:
        CloudError: one was refused; the first refusal, with what is left.
    """
    refusals: list[CloudError] = []
    left: list[Call] = []
    for call in calls:
        if any(other.action == "DeleteEndpoint" for other in left):
            left.append(call)
            continue
        try:
            ask(call)
            on_done(call)
        except CloudError as error:
            if not is_absent(error):
                refusals.append(error)
                left.append(call)
    if refusals:
        first = refusals[0]
        names = ", ".join(f"{call.on} ({call.action})" for call in left)
        hint = f"{first.hint} Still there: {names}.".strip()
        raise CloudError(first.message, hint, first.code) from first
