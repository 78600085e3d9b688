"""Machines by load, from zero where requests can wait, and the alarms of an update."""

from typing import Any

import pytest
from api_model import complaints

from facegan.cloud.calls import Call
from facegan.cloud.scaling import Scaling, rollback_alarms
from facegan.errors import ConfigError

FACES: dict[str, Any] = {"endpoint": "faces", "minimum": 1, "maximum": 4, "per_instance": 60.0}
SLOW = FACES | {"minimum": 0, "is_asynchronous": True, "per_instance": 5.0}
TAGS = {"facegan:project": "faces"}


def check(calls: list[Call]) -> None:
    for call in calls:
        assert complaints(call.action, call.request, call.service) == ""


def test_machines_follow_the_requests_a_machine() -> None:
    register, policy = Scaling(**FACES, tags=TAGS).creation()
    check([register, policy])
    assert register.request["ResourceId"] == "endpoint/faces/variant/AllTraffic"
    assert (register.request["MinCapacity"], register.request["MaxCapacity"]) == (1, 4)
    assert register.undo and register.undo.action == "DeregisterScalableTarget"
    tracking = policy.request["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 60.0
    assert tracking["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    }


def test_from_zero_machines_follow_the_backlog_and_an_alarm_makes_the_first() -> None:
    scaling = Scaling(**SLOW)
    _, backlog, wake = calls = scaling.creation()
    alarm = scaling.wake_alarm("arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:1")
    check([*calls, alarm])
    metric = backlog.request["TargetTrackingScalingPolicyConfiguration"][
        "CustomizedMetricSpecification"
    ]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert wake.request["PolicyType"] == "StepScaling"
    assert wake.request["StepScalingPolicyConfiguration"]["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    ]
    assert alarm.request["MetricName"] == "HasBacklogWithoutCapacity"
    assert alarm.request["AlarmActions"][0].startswith("arn:aws:autoscaling")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (FACES | {"minimum": 0}, "Add --asynchronous"),
        (FACES | {"maximum": 0}, "maximum is 0"),
        (FACES | {"minimum": 5}, "maximum is 4"),
        (FACES | {"per_instance": 0.0}, "per_instance is 0.0"),
        (FACES | {"in_seconds": 4000}, "in_seconds is 4000"),
    ],
)
def test_a_range_that_is_none_is_refused(wish: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Scaling(**wish)
    assert told in str(refused.value)


def test_alarms_watch_errors_and_times_of_every_variant() -> None:
    calls = rollback_alarms("faces", ("AllTraffic", "new"), 5, 400, TAGS)
    check(calls)
    assert [call.on for call in calls] == [
        "facegan/faces/5xx/AllTraffic", "facegan/faces/latency/AllTraffic",
        "facegan/faces/5xx/new", "facegan/faces/latency/new",
    ]  # fmt: skip
    errors, latency = calls[0].request, calls[1].request
    assert (errors["MetricName"], errors["Threshold"]) == ("Invocation5XXErrors", 5.0)
    assert (latency["MetricName"], latency["Threshold"]) == ("ModelLatency", 400_000.0)
    assert errors["TreatMissingData"] == "notBreaching"
