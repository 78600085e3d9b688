"""Waiting for an endpoint, what is shown when it fails, and what belongs to it."""

from typing import Any

import pytest
from fake_aws import FakeAws, absent

from facegan.cloud.deploying import (
    belongings,
    check_free,
    deploy,
    is_named_after,
    last_lines,
    wait_until_gone,
)
from facegan.cloud.endpoint_requests import ModelEndpoint
from facegan.cloud.scaling import Scaling
from facegan.errors import CloudError

ENDPOINT = ModelEndpoint(
    name="faces",
    image="image:1",
    role="arn:aws:iam::123456789012:role/facegan",
    model="s3://bucket/model.tar.gz",
    instance_type="ml.c7i.large",
)
FROM_ZERO = Scaling(endpoint="faces", minimum=0, maximum=2, per_instance=5, is_asynchronous=True)


def state(status: str, **more: Any) -> dict[str, Any]:
    return {"EndpointName": "faces", "EndpointConfigName": "faces", "EndpointStatus": status} | more


def test_each_change_of_status_is_told_once() -> None:
    starting = [{"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}]
    states = [state("Creating")] * 3 + [state("Creating", ProductionVariants=starting)]
    told: list[str] = []
    aws = FakeAws(DescribeEndpoint=[*states, state("InService")])
    deploy(aws, ENDPOINT, say=told.append, sleep=lambda _: None)  # type: ignore[arg-type]
    assert told[3:] == [
        "0:00  faces: Creating", "0:45  faces: Creating Baking", "1:00  faces: InService",
    ]  # fmt: skip


def test_an_endpoint_that_scales_from_zero_gets_the_alarm_that_wakes_it() -> None:
    arn = "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:1"
    aws = FakeAws(DescribeEndpoint=state("InService"), PutScalingPolicy={"PolicyARN": arn})
    deploy(aws, ENDPOINT, FROM_ZERO)  # type: ignore[arg-type]
    assert aws.calls[-1].request["AlarmActions"] == [arn]


def test_scaling_that_is_refused_takes_all_down() -> None:
    arn = {"PolicyARN": "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:1"}
    refusal = CloudError("no.", "", "AccessDenied")
    aws = FakeAws(DescribeEndpoint=state("InService"), PutScalingPolicy=arn, PutMetricAlarm=refusal)
    with pytest.raises(CloudError, match="no"):
        deploy(aws, ENDPOINT, FROM_ZERO)  # type: ignore[arg-type]
    assert aws.made[-4:] == [
        "DeregisterScalableTarget faces/AllTraffic", "DeleteEndpoint faces",
        "DeleteEndpointConfig faces", "DeleteModel faces",
    ]  # fmt: skip


def test_what_failed_stays_where_that_is_asked_and_says_so() -> None:
    aws = FakeAws(DescribeEndpoint=state("Failed", FailureReason="no capacity"))
    with pytest.raises(CloudError, match=r"Failed: no capacity.*kept: `facegan cloud delete"):
        deploy(aws, ENDPOINT, is_kept=True)  # type: ignore[arg-type]
    assert aws.made[-1] == "CreateEndpoint faces"


def test_an_endpoint_that_cannot_be_asked_for_goes_on() -> None:
    """A lost network, or expired credentials, while it is waited for, are no fault of its."""
    lost = CloudError("Could not connect.", "Check the network.", "EndpointConnectionError")
    aws = FakeAws(DescribeEndpoint=[state("Creating"), lost])
    with pytest.raises(CloudError, match=r"Check the network\. It goes on there: `facegan cloud"):
        deploy(aws, ENDPOINT, sleep=lambda _: None)  # type: ignore[arg-type]
    assert aws.made[-1] == "CreateEndpoint faces"


def test_what_is_left_of_a_name_is_said_with_what_deletes_it() -> None:
    aws = FakeAws(CreateModel=CloudError("Cannot create already existing model", "", "Validation"))
    with pytest.raises(CloudError, match="`facegan cloud delete faces`"):
        deploy(aws, ENDPOINT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Creating", "already, which is Creating.*--wait"),
        ("InService", "already.*update"),
        ("Deleting", "still being"),
    ],
)
def test_a_name_that_is_taken_is_said_before_anything(status: str, told: str) -> None:
    with pytest.raises(CloudError, match=told):
        check_free(FakeAws(DescribeEndpoint=state(status)), "faces")  # type: ignore[arg-type]


def test_other_errors_are_not_taken_for_a_free_name() -> None:
    aws = FakeAws(DescribeEndpoint=CloudError("denied.", "", "AccessDeniedException"))
    with pytest.raises(CloudError, match="denied"):
        check_free(aws, "faces")  # type: ignore[arg-type]


def test_a_log_that_may_not_be_read_has_no_lines() -> None:
    aws = FakeAws(DescribeLogStreams=CloudError("denied."))
    assert last_lines(aws, "/aws/sagemaker/Endpoints/faces") == []  # type: ignore[arg-type]
    aws = FakeAws(DescribeLogStreams={"logStreams": []})
    assert last_lines(aws, "/aws/sagemaker/TransformJobs", "batch/") == []  # type: ignore[arg-type]


def test_deleting_is_waited_for() -> None:
    told: list[str] = []
    slept: list[float] = []
    aws = FakeAws(DescribeEndpoint=[state("Deleting"), state("Deleting"), absent("faces")])
    wait_until_gone(aws, "faces", told.append, slept.append)  # type: ignore[arg-type]
    assert told == ["  faces: Deleting"] and slept == [5, 5]


def test_an_endpoint_that_does_not_go_is_said_after_a_while() -> None:
    aws = FakeAws(DescribeEndpoint=state("Deleting"))
    with pytest.raises(CloudError, match=r"faces is Deleting after 15:00"):
        wait_until_gone(aws, "faces", lambda _: None, lambda _: None)  # type: ignore[arg-type]


def test_a_log_cannot_steer_the_terminal() -> None:
    aws = FakeAws(
        DescribeLogStreams={"logStreams": [{"logStreamName": "a"}]},
        GetLogEvents={"events": [{"message": "no \x1b[2Jweights\n"}]},
    )
    assert last_lines(aws, "/aws/sagemaker/Endpoints/faces") == ["no  [2Jweights"]  # type: ignore[arg-type]


def test_all_that_belongs_to_an_endpoint_is_found_and_nothing_else() -> None:
    """Leftovers of updates too; a model of another's name stays, and is named."""
    variants = [{"VariantName": "AllTraffic"}]
    aws = FakeAws(
        DescribeEndpoint=state("InService", ProductionVariants=variants),
        DescribeEndpointConfig={"ProductionVariants": [{"ModelName": "shared"}]},
        ListEndpointConfigs={
            "EndpointConfigs": [
                {"EndpointConfigName": name} for name in ("faces", "faces-1a2b3c4d", "faces-two")
            ]
        },
        ListModels={"Models": [{"ModelName": "faces-00000000"}, {"ModelName": "my-faces"}]},
        DescribeScalableTargets={
            "ScalableTargets": [{"ResourceId": "endpoint/faces/variant/AllTraffic"}]
        },
        DescribeAlarms={"MetricAlarms": [{"AlarmName": "facegan/faces/wake"}]},
    )
    found = belongings(aws, "faces")  # type: ignore[arg-type]
    assert [f"{call.action} {call.on}" for call in found.deletion()] == [
        "DeregisterScalableTarget faces/AllTraffic",
        "DeleteAlarms facegan/faces/wake",
        "DeleteEndpoint faces",
        "DeleteEndpointConfig faces",
        "DeleteEndpointConfig faces-1a2b3c4d",
        "DeleteModel faces-00000000",
    ]
    assert "stays          shared" in found.described()


def test_what_an_interrupted_command_left_is_found_without_its_endpoint() -> None:
    aws = FakeAws(DescribeEndpoint=absent("faces"), ListModels={"Models": [{"ModelName": "faces"}]})
    calls = belongings(aws, "faces").deletion()  # type: ignore[arg-type]
    assert [call.action for call in calls] == ["DeleteModel"]


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [("faces", True), ("faces-0123abcd", True), ("faces-two", False), ("my-faces", False)],
)
def test_a_name_says_whose_it_is(name: str, is_ours: bool) -> None:
    assert is_named_after(name, "faces") is is_ours
