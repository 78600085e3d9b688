"""What an update keeps, what it changes, and how it is turned back."""

from typing import Any

import pytest
from botocore.stub import Stubber
from fake_aws import FakeAws, absent

from facegan.cloud.aws import Aws
from facegan.cloud.deploying import update
from facegan.cloud.updating import Change, Rollout, plan_update
from facegan.errors import CloudError, ConfigError

NEW = "s3://bucket/new/model.tar.gz"
VARIANT: dict[str, Any] = {
    "VariantName": "AllTraffic",
    "ModelName": "faces",
    "InstanceType": "ml.c7i.large",
    "InitialInstanceCount": 2,
    "ContainerStartupHealthCheckTimeoutInSeconds": 600,
}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 5,
    "DestinationS3Uri": "s3://bucket/seen",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
NOW: dict[str, Any] = {
    "DescribeEndpoint": {
        "EndpointName": "faces",
        "EndpointConfigName": "faces",
        "EndpointStatus": "InService",
    },
    "DescribeEndpointConfig": {
        "EndpointConfigName": "faces",
        "EndpointConfigArn": "arn:…",
        "ProductionVariants": [VARIANT],
        "DataCaptureConfig": CAPTURE,
        "CreationTime": 0,
    },
    "DescribeModel": {
        "ModelName": "faces",
        "ModelArn": "arn:…",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/facegan",
        "PrimaryContainer": {"Image": "image:1", "ModelDataUrl": "s3://b/m.tar.gz", "Mode": ""},
        "EnableNetworkIsolation": True,
        "VpcConfig": {},
    },
}


def plan(aws: FakeAws, rollout: Rollout | None = None, **change: Any) -> Any:
    return plan_update(aws, "faces", Change(**change), rollout or Rollout(), {"a": "b"})  # type: ignore[arg-type]


def requests(found: Any) -> dict[str, dict[str, Any]]:
    return {call.action: call.request for call in found.calls}


def test_all_but_the_model_stays_as_it_was() -> None:
    made = requests(plan(FakeAws(**NOW), model=NEW))
    model = made["CreateModel"]
    assert model["PrimaryContainer"] == {"Image": "image:1", "ModelDataUrl": NEW}
    assert model["EnableNetworkIsolation"] is True and "VpcConfig" not in model
    configuration = made["CreateEndpointConfig"]
    assert configuration["DataCaptureConfig"] == CAPTURE
    assert configuration["ProductionVariants"] == [VARIANT | {"ModelName": model["ModelName"]}]
    assert configuration["Tags"] == [{"Key": "a", "Value": "b"}]


def test_the_same_update_has_the_same_names_and_another_others() -> None:
    names = [
        requests(plan(FakeAws(**NOW), model=model))["CreateEndpointConfig"]["EndpointConfigName"]
        for model in (NEW, NEW, "s3://bucket/other/model.tar.gz")
    ]
    assert names[0] == names[1] != names[2]


def test_another_machine_needs_no_other_model_and_a_gpu_gets_its_system() -> None:
    made = requests(plan(FakeAws(**NOW), instance_type="ml.g6.xlarge", instance_count=3))
    assert "CreateModel" not in made
    (variant,) = made["CreateEndpointConfig"]["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.g6.xlarge", 3)
    assert variant["InferenceAmiVersion"].startswith("al2023")
    assert variant["ModelName"] == "faces"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("all-at-once", {"Type": "ALL_AT_ONCE"}),
        ("canary", {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20}}),
        ("linear", {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 20}}),
    ],
)
def test_requests_move_as_asked_under_alarms(way: str, expected: dict[str, Any]) -> None:
    rollout = Rollout(way=way, percent=20, wait_seconds=60, max_milliseconds=500)
    found = plan(FakeAws(**NOW), rollout, model=NEW)
    deployment = requests(found)["UpdateEndpoint"]["DeploymentConfig"]
    routing = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == expected | {"WaitIntervalInSeconds": 60}
    watched = [it["AlarmName"] for it in deployment["AutoRollbackConfiguration"]["Alarms"]]
    assert watched == ["facegan/faces/5xx/AllTraffic", "facegan/faces/latency/AllTraffic"]
    assert watched == found.alarms


def test_machines_that_scale_keep_their_number() -> None:
    target = {"ScalableTargets": [{"ResourceId": "endpoint/faces/variant/AllTraffic"}]}
    made = requests(plan(FakeAws(**NOW, DescribeScalableTargets=target), model=NEW))
    assert made["UpdateEndpoint"]["RetainAllVariantProperties"] is True
    assert (
        "RetainAllVariantProperties"
        not in requests(plan(FakeAws(**NOW), model=NEW))["UpdateEndpoint"]
    )


def test_a_serverless_endpoint_moves_at_once_without_alarms() -> None:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "faces",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    now = NOW | {"DescribeEndpointConfig": {"ProductionVariants": [variant]}}
    made = requests(plan(FakeAws(**now), model=NEW))
    assert "PutMetricAlarm" not in made and "DeploymentConfig" not in made["UpdateEndpoint"]
    with pytest.raises(ConfigError, match="The endpoint is serverless"):
        plan(FakeAws(**now), instance_type="ml.c7i.large")


def test_alarms_that_were_there_before_outlive_a_failed_update() -> None:
    there = {"MetricAlarms": [{"AlarmName": "facegan/faces/5xx/AllTraffic"}]}
    found = plan(FakeAws(**NOW, DescribeAlarms=there), model=NEW)
    assert [call.undo for call in found.calls if call.action == "PutMetricAlarm"] == [None]


@pytest.mark.parametrize(
    ("answers", "change", "told"),
    [
        ({"DescribeEndpoint": absent("faces")}, {"model": NEW}, "no endpoint faces in eu-west-1"),
        (
            {"DescribeEndpoint": NOW["DescribeEndpoint"] | {"EndpointStatus": "Updating"}},
            {"model": NEW},
            "is Updating; .*--wait",
        ),
        (
            {"DescribeEndpoint": NOW["DescribeEndpoint"] | {"EndpointStatus": "Failed"}},
            {"model": NEW},
            "is Failed; .*facegan cloud delete",
        ),
        ({}, {"instance_count": 2}, "like that already"),
    ],
)
def test_an_endpoint_that_cannot_be_changed_is_said(
    answers: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    with pytest.raises(CloudError, match=told):
        plan(FakeAws(**NOW | answers), **change)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Change(), "Nothing is to change"),
        (lambda: Change(model="/tmp/model.tar.gz"), "model is '/tmp"),
        (lambda: Change(instance_count=0), "instance_count is 0"),
        (lambda: Rollout(way="slowly"), "The way is 'slowly'"),
        (lambda: Rollout(way="linear", percent=5), "percent is 5"),
        (lambda: Rollout(way="canary", percent=60), "percent is 60"),
    ],
)
def test_a_change_that_is_none_is_refused(make: Any, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make()
    assert told in str(refused.value)


def test_one_archive_does_not_take_the_place_of_many() -> None:
    many = {"Image": "i", "ModelDataUrl": "s3://b/models/", "Mode": "MultiModel"}
    now = NOW | {"DescribeModel": NOW["DescribeModel"] | {"PrimaryContainer": many}}
    with pytest.raises(ConfigError, match="a prefix that ends with a slash"):
        plan(FakeAws(**now), model=NEW)


def test_an_update_that_is_turned_back_leaves_nothing_of_itself_but_its_alarms() -> None:
    told: list[str] = []
    aws = FakeAws(**NOW)
    found = plan(aws, model=NEW)
    updating = NOW["DescribeEndpoint"] | {"EndpointStatus": "Updating"}
    back = NOW["DescribeEndpoint"] | {"FailureReason": "Alarm went off"}
    aws.answers["DescribeEndpoint"] = [updating, updating, back]
    slept: list[float] = []
    with pytest.raises(
        CloudError, match=r"turned back: Alarm went off.*serves what it served before"
    ):
        update(aws, found, told.append, slept.append)  # type: ignore[arg-type]
    assert [line.split()[0] for line in aws.made[-2:]] == ["DeleteEndpointConfig", "DeleteModel"]
    assert "faces" not in [line.split()[1] for line in aws.made[-2:]]  # the old ones serve
    assert slept == [15, 15]


REFUSALS = {
    "ThrottlingException": "wait a minute",
    "ResourceLimitExceeded": "facegan cloud check",
    "AccessDeniedException": "lack the permission sagemaker:UpdateEndpoint",
}


def test_a_refusal_of_aws_is_told_with_the_next_step(credentials: pytest.MonkeyPatch) -> None:
    """Through boto3 itself, whose client takes a while to make; moto answers by 500."""
    (*_, call) = plan(FakeAws(**NOW), model=NEW).calls
    aws = Aws()
    with Stubber(aws.client("sagemaker")) as stub:
        for code, told in REFUSALS.items():
            stub.add_client_error("update_endpoint", code, "No.", expected_params=call.request)
            with pytest.raises(CloudError, match=rf"Endpoint on faces failed: {code}.*{told}"):
                aws.ask(call)


def test_what_an_interrupted_update_left_is_used() -> None:
    """Its name is a digest of what it says."""
    aws = FakeAws(**NOW, CreateModel=CloudError("Cannot create already existing model"))
    found = plan(aws, model=NEW)
    aws.answers["DescribeEndpoint"] = NOW["DescribeEndpoint"] | {
        "EndpointConfigName": found.calls[-2].on
    }
    update(aws, found)  # type: ignore[arg-type]
    assert aws.made[-2:] == ["DeleteEndpointConfig faces", "DeleteModel faces"]


def test_an_endpoint_of_another_make_is_left_alone() -> None:
    several = {"ModelName": "faces", "Containers": [{"Image": "i"}, {"Image": "j"}]}
    with pytest.raises(CloudError, match="none of facegan's"):
        plan(FakeAws(**NOW | {"DescribeModel": several}), model=NEW)


def test_a_refused_update_takes_back_what_was_made_for_it() -> None:
    aws = FakeAws(**NOW, UpdateEndpoint=CloudError("no quota.", "", "ResourceLimitExceeded"))
    with pytest.raises(CloudError, match="no quota"):
        update(aws, plan(aws, model=NEW))  # type: ignore[arg-type]
    assert [line.split()[0] for line in aws.made[-3:]] == [
        "DeleteEndpointConfig", "DeleteModel", "DeleteAlarms",
    ]  # fmt: skip
