"""Another model behind an endpoint that goes on answering: blue/green, turned back by alarms.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.endpoint_requests import (
    GPU_SYSTEM,
    MAIN,
    MAX_NAME,
    create_configuration,
    create_model,
    digest,
)
from facegan.cloud.limits import check_image, check_instances, check_number, check_place
from facegan.cloud.scaling import alarm_prefix, rollback_alarms, scaled
from facegan.cloud.training_request import tag_list
from facegan.errors import CloudError, ConfigError
from facegan.gpu_check import has_gpu

WAYS = {"all-at-once": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
MODEL_KEYS = (
    "ExecutionRoleArn", "PrimaryContainer", "VpcConfig", "EnableNetworkIsolation",
)  # fmt: skip
CONFIGURATION_KEYS = (
    "ProductionVariants", "DataCaptureConfig", "KmsKeyId", "AsyncInferenceConfig",
    "ShadowProductionVariants", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How requests move from the old machines to the new ones, which run side by side meanwhile.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    way: str = "all-at-once"
    percent: int = 10  # canary: of the first step; linear: of each
    wait_seconds: int = 300  # after each step, while the alarms are watched
    max_errors: int = 5  # answers of 5xx in a minute that are still borne
    max_milliseconds: int | None = None  # what nine of ten answers stay below

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ConfigError(f"The way is {self.way!r}.", "Give " + ", ".join(WAYS) + ".")
        check_number("percent", self.percent, 10 if self.way == "linear" else 1, 50)
        check_number("wait_seconds", self.wait_seconds, 0, 3600)
        check_number("max_errors", self.max_errors, 0, 10**6)
        if self.max_milliseconds is not None:
            check_number("max_milliseconds", self.max_milliseconds, 1, 60_000)

    def request(self, alarms: Sequence[str]) -> dict[str, Any]:
        """``DeploymentConfig`` of an update."""
        routing: dict[str, Any] = {
            "Type": WAYS[self.way],
            "WaitIntervalInSeconds": self.wait_seconds,
        }
        step = {"Type": "CAPACITY_PERCENT", "Value": self.percent}
        if self.way != "all-at-once":
            routing["CanarySize" if self.way == "canary" else "LinearStepSize"] = step
        steps = 100 // self.percent + 1 if self.way == "linear" else 2
        policy = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 60,
            "MaximumExecutionTimeoutInSeconds": min(28800, 3600 + steps * self.wait_seconds),
        }
        watched = [{"AlarmName": name} for name in alarms]
        return {
            "BlueGreenUpdatePolicy": policy,
            "AutoRollbackConfiguration": {"Alarms": watched},
        }


@dataclass(frozen=True, kw_only=True)
class Change:
    """What of an endpoint becomes another; None stays as it is.

    Raises:
        ConfigError: nothing changes, or something the service would refuse; it is named.
    """

    model: str | None = None
    image: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None

    def __post_init__(self) -> None:
        if {self.model, self.image, self.instance_type, self.instance_count} == {None}:
            hint = "Give --model, --image, --instance-type or --instances."
            raise ConfigError("Nothing is to change.", hint)
        if self.model is not None:
            check_place(self.model, "model", "")
        if self.image is not None:
            check_image(self.image)
        count = 1 if self.instance_count is None else self.instance_count
        check_instances(self.instance_type or "ml.c7i.large", count)

    def of_model(self, described: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The request for a model that is otherwise as one that is described."""
        request = kept(described, MODEL_KEYS)
        container = {key: it for key, it in request["PrimaryContainer"].items() if it}
        if self.model is not None:
            is_many = container.get("Mode") == "MultiModel"
            if self.model.endswith("/") is not is_many:
                wanted = "a prefix that ends with a slash" if is_many else "one model.tar.gz"
                raise ConfigError(f"model is {self.model!r}.", f"The endpoint serves {wanted}.")
            container["ModelDataUrl"] = self.model
            container.pop("ModelDataSource", None)
        if self.image is not None:
            container["Image"] = self.image
        request["PrimaryContainer"] = container
        return named(request, "ModelName", name)

    def of_configuration(
        self, described: Mapping[str, Any], name: str, model: str
    ) -> dict[str, Any]:
        """The request for a configuration that is otherwise as one that is described."""
        request = kept(described, CONFIGURATION_KEYS)
        variants = [dict(one) for one in request["ProductionVariants"]]
        main = main_variant(variants)
        main["ModelName"] = model
        if "ServerlessConfig" in main:
            main.pop("InstanceType", None)
            main.pop("InitialInstanceCount", None)
            if self.instance_type or self.instance_count:
                raise ConfigError("The endpoint is serverless.", "It has no machines to change.")
        if self.instance_type is not None:
            main["InstanceType"] = self.instance_type
            main.pop("InferenceAmiVersion", None)
            if has_gpu(self.instance_type):
                main["InferenceAmiVersion"] = GPU_SYSTEM
        if self.instance_count is not None:
            main["InitialInstanceCount"] = self.instance_count
        request["ProductionVariants"] = variants
        return named(request, "EndpointConfigName", name)


@dataclass(frozen=True, kw_only=True)
class Update:
    """The calls of an update, and what nobody needs after it."""

    calls: tuple[Call, ...]
    old_configuration: str
    old_model: str
    is_serverless: bool = False

    @property
    def alarms(self) -> list[str]:
        """Those that are watched."""
        return [call.on for call in self.calls if call.action == "PutMetricAlarm"]


def plan_update(
    aws: Aws, endpoint: str, change: Change, rollout: Rollout, tags: Mapping[str, str]
) -> Update:
    """Look at an endpoint, and say what calls change it.

    Raises:
        CloudError: there is none of that name, it is not in service, or it is like that already.
        ConfigError: the change does not fit it.
    """
    now = describe_endpoint(aws, endpoint)
    if (status := now["EndpointStatus"]) not in ("InService", "UpdateRollbackFailed"):
        hint = f"`facegan cloud endpoints {endpoint} --wait` waits for it."
        if status in ("Failed", "OutOfService"):
            hint = f"`facegan cloud delete {endpoint}`, and deploy it again."
        raise CloudError(
            f"The endpoint {endpoint} is {status}; it can be changed in service.", hint
        )
    old = now["EndpointConfigName"]
    configuration = aws.ask(describe_configuration(old))
    variants = configuration["ProductionVariants"]
    old_model = main_variant(variants).get("ModelName", "")
    described = aws.ask(describe_model(old_model)) if old_model else {}
    if not described.get("PrimaryContainer"):
        hint = "It has several containers, or inference components: update it where it was made."
        raise CloudError(f"The endpoint {endpoint} is none of facegan's.", hint)
    model = create_model(change.of_model(described, endpoint))
    model = tagged(model, tags)
    is_same_model = change.model is None and change.image is None
    model_name = old_model if is_same_model else model.on
    wanted = tagged(
        create_configuration(change.of_configuration(configuration, endpoint, model_name)), tags
    )
    if wanted.on == old or without_name(configuration) == without_name(wanted.request):
        hint = "Nothing was changed."
        raise CloudError(f"The endpoint {endpoint} is like that already.", hint)
    is_serverless = "ServerlessConfig" in main_variant(variants)
    alarms = [] if is_serverless else watching(aws, endpoint, variants, rollout, tags)
    request: dict[str, Any] = {"EndpointName": endpoint, "EndpointConfigName": wanted.on}
    if not is_serverless:  # which move all at once, whatever is asked
        request["DeploymentConfig"] = rollout.request([alarm.on for alarm in alarms])
    if change.instance_count is None and scaling_targets(aws, endpoint, variants):
        request["RetainAllVariantProperties"] = True  # as many machines as there are by now
    made = [wanted] if is_same_model else [model, wanted]
    return Update(
        calls=(*alarms, *made, Call("sagemaker", "UpdateEndpoint", request, endpoint)),
        old_configuration=old,
        old_model="" if is_same_model else old_model,
        is_serverless=is_serverless,
    )


def watching(
    aws: Aws,
    endpoint: str,
    variants: Sequence[Mapping[str, Any]],
    rollout: Rollout,
    tags: Mapping[str, str],
) -> list[Call]:
    """The alarms of an update; those that are there already stay if it fails."""
    names = tuple(one["VariantName"] for one in variants)
    there = {one["AlarmName"] for one in alarms_of(aws, endpoint)}
    wanted = rollback_alarms(endpoint, names, rollout.max_errors, rollout.max_milliseconds, tags)
    return [replace(call, undo=None) if call.on in there else call for call in wanted]


def main_variant(variants: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ours of an endpoint's variants, or its only or first one."""
    return next((one for one in variants if one["VariantName"] == MAIN), variants[0])


def kept(described: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Of a description what a request takes; AWS describes what is empty too."""
    return {key: described[key] for key in keys if described.get(key)}


def named(request: dict[str, Any], key: str, endpoint: str) -> dict[str, Any]:
    """A request under a name that its content comes to: the same twice is one thing."""
    return {key: f"{endpoint[:MAX_NAME]}-{digest(request)}", **request}


def without_name(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of the endpoint."""
    return kept(request, CONFIGURATION_KEYS)


def tagged(call: Call, tags: Mapping[str, str]) -> Call:
    """A call with tags, which no description shows."""
    return replace(call, request=call.request | ({"Tags": tag_list(tags)} if tags else {}))


# --- looking --------------------------------------------------------------------------------------


def describe_endpoint(aws: Aws, name: str) -> Any:
    """An endpoint as it is.

    Raises:
        CloudError: there is none of that name, or AWS refused.
    """
    try:
        return aws.ask(Call("sagemaker", "DescribeEndpoint", {"EndpointName": name}, name))
    except CloudError as error:
        if "could not find" not in error.message.lower():
            raise
        place = f" in {aws.region}" if aws.region else ""
        hint = "`facegan cloud endpoints` lists those there are; --region names another region."
        raise CloudError(f"There is no endpoint {name}{place}.", hint, error.code) from error


def describe_configuration(name: str) -> Call:
    """A configuration as it is."""
    return Call("sagemaker", "DescribeEndpointConfig", {"EndpointConfigName": name}, name)


def describe_model(name: str) -> Call:
    """A model as it is."""
    return Call("sagemaker", "DescribeModel", {"ModelName": name}, name)


def alarms_of(aws: Aws, endpoint: str) -> list[Any]:
    """The alarms that we made for an endpoint."""
    request = {"AlarmNamePrefix": alarm_prefix(endpoint)}
    return list(aws.pages(Call("cloudwatch", "DescribeAlarms", request, endpoint), "MetricAlarms"))


def scaling_targets(
    aws: Aws, endpoint: str, variants: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The variants of an endpoint whose machines are counted by application-autoscaling."""
    resources = [scaled(endpoint, one["VariantName"])["ResourceId"] for one in variants]
    if not resources:
        return []
    request = {"ServiceNamespace": "sagemaker", "ResourceIds": resources}
    call = Call("application-autoscaling", "DescribeScalableTargets", request, endpoint)
    return list(aws.pages(call, "ScalableTargets"))
