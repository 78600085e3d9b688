"""How many machines an endpoint has: by its requests, or of an asynchronous one by its backlog.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling.html
https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.calls import Call
from facegan.cloud.endpoint_requests import MAIN
from facegan.cloud.limits import check_name, check_number
from facegan.cloud.training_request import tag_list
from facegan.errors import ConfigError

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
ANSWERED = "ARN-THAT-PutScalingPolicy-ANSWERS"  # in a dry run, of what is not made yet
METRICS = "AWS/SageMaker"


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Machines from a minimum to a maximum; registered when the endpoint is in service.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    endpoint: str
    minimum: int
    maximum: int
    per_instance: float  # requests a minute, or of an asynchronous endpoint those that wait
    variant: str = MAIN
    is_asynchronous: bool = False
    in_seconds: int = 600  # until a machine more may go
    out_seconds: int = 60  # until one more may come
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.endpoint, "endpoint")
        check_number("minimum", self.minimum, 0, 1000)
        check_number("maximum", self.maximum, max(1, self.minimum), 1000)
        if self.minimum == 0 and not self.is_asynchronous:
            hint = "Only asynchronous endpoints queue what comes while no machine is there."
            raise ConfigError(
                "The minimum is 0 machines.", f"{hint} Add --asynchronous, or take 1."
            )
        if not self.per_instance > 0:
            raise ConfigError(f"per_instance is {self.per_instance!r}.", "It must be above 0.")
        check_number("in_seconds", self.in_seconds, 0, 3600)
        check_number("out_seconds", self.out_seconds, 0, 3600)

    @property
    def target(self) -> dict[str, str]:
        """What scales."""
        return scaled(self.endpoint, self.variant)

    def creation(self) -> list[Call]:
        """Register the machines, and the policies that change their number.

        The answer to the last one of an endpoint whose minimum is 0 has the ARN that
        :meth:`wake_alarm` wants.
        """
        name = f"{self.endpoint}/{self.variant}"
        register = self.target | {"MinCapacity": self.minimum, "MaxCapacity": self.maximum}
        if self.tags:
            register["Tags"] = dict(self.tags)  # type: ignore[assignment]
        undo = deregister(self.endpoint, self.variant)  # its policies go with it
        calls = [
            Call("application-autoscaling", "RegisterScalableTarget", register, name, undo),
            Call("application-autoscaling", "PutScalingPolicy", self.tracking(), name),
        ]
        if self.minimum == 0:
            wake = Call("application-autoscaling", "PutScalingPolicy", self.waking(), name)
            calls.append(wake)
        return calls

    def tracking(self) -> dict[str, Any]:
        """The policy that keeps requests, or backlog, a machine at a number."""
        if self.is_asynchronous:
            metric: dict[str, Any] = {
                "CustomizedMetricSpecification": {
                    "MetricName": "ApproximateBacklogSizePerInstance",
                    "Namespace": METRICS,
                    "Dimensions": [{"Name": "EndpointName", "Value": self.endpoint}],
                    "Statistic": "Average",
                }
            }
        else:
            kind = "SageMakerVariantInvocationsPerInstance"
            metric = {"PredefinedMetricSpecification": {"PredefinedMetricType": kind}}
        configuration = metric | {
            "TargetValue": float(self.per_instance),
            "ScaleInCooldown": self.in_seconds,
            "ScaleOutCooldown": self.out_seconds,
        }
        return self.target | {
            "PolicyName": f"{self.endpoint}-load",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": configuration,
        }

    def waking(self) -> dict[str, Any]:
        """The policy that makes the first machine: of none there is no backlog *per instance*."""
        step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
        return self.target | {
            "PolicyName": f"{self.endpoint}-wake",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "MetricAggregationType": "Average",
                "Cooldown": 300,
                "StepAdjustments": [step],
            },
        }

    def wake_alarm(self, policy_arn: str) -> Call:
        """The alarm that calls the policy when something waits and no machine is there."""
        return put_alarm(
            self.endpoint,
            "wake",
            {
                "AlarmDescription": f"Requests wait, and {self.endpoint} has no machine.",
                "MetricName": "HasBacklogWithoutCapacity",
                "Dimensions": [{"Name": "EndpointName", "Value": self.endpoint}],
                "Statistic": "Average",
                "EvaluationPeriods": 2,
                "DatapointsToAlarm": 2,
                "Threshold": 1.0,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "missing",
                "AlarmActions": [policy_arn],
            },
            self.tags,
        )


def scaled(endpoint: str, variant: str) -> dict[str, str]:
    """What application-autoscaling calls a variant's machines."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


def deregister(endpoint: str, variant: str) -> Call:
    """Leave the number of machines as it is; the policies go too."""
    on = f"{endpoint}/{variant}"
    request = scaled(endpoint, variant)
    return Call("application-autoscaling", "DeregisterScalableTarget", request, on)


def rollback_alarms(
    endpoint: str,
    variants: tuple[str, ...],
    max_errors: int,
    max_milliseconds: int | None,
    tags: Mapping[str, str],
) -> list[Call]:
    """The alarms that turn an update back.

    Args:
        endpoint: Its name.
        variants: Those watched.
        max_errors: Answers of 5xx in a minute that are still borne.
        max_milliseconds: What nine of ten answers stay below; None: any time.
        tags: Of the alarms.
    """
    calls = []
    for variant in variants:
        of = {
            "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant},
            ],
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",  # nobody asked
        }
        errors = {"MetricName": "Invocation5XXErrors", "Statistic": "Sum"} | of
        told = {"AlarmDescription": f"{endpoint} fails.", "Threshold": float(max_errors)}
        calls.append(put_alarm(endpoint, f"5xx/{variant}", errors | told, tags))
        if max_milliseconds is not None:
            slow = {"MetricName": "ModelLatency", "ExtendedStatistic": "p90"} | of
            limit = float(max_milliseconds * 1000)  # microseconds
            told = {"AlarmDescription": f"{endpoint} is slow.", "Threshold": limit}
            calls.append(put_alarm(endpoint, f"latency/{variant}", slow | told, tags))
    return calls


def put_alarm(
    endpoint: str, what: str, request: Mapping[str, Any], tags: Mapping[str, str]
) -> Call:
    """Make or change an alarm of an endpoint."""
    name = alarm_prefix(endpoint) + what
    whole = {"AlarmName": name, "Namespace": METRICS, "Period": 60, **request}
    if tags:
        whole["Tags"] = tag_list(tags)
    return Call("cloudwatch", "PutMetricAlarm", whole, name, delete_alarms([name]))


def alarm_prefix(endpoint: str) -> str:
    """How the names of an endpoint's alarms begin; no endpoint's name has a slash."""
    return f"facegan/{endpoint}/"


def delete_alarms(names: list[str]) -> Call:
    """Delete alarms."""
    return Call("cloudwatch", "DeleteAlarms", {"AlarmNames": names}, ", ".join(names))
