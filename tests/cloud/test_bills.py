"""What a job cost by SageMaker's own seconds, and what costs by the hour now."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from canned_aws import CannedAws, index, missing

from facegan.cloud.aws import Aws
from facegan.cloud.bills import JobBill, Running, job_bill, running
from facegan.errors import CloudError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TYPE = "ml.g5.xlarge"
ENDED = {
    "TrainingJobStatus": "Completed",
    "ResourceConfig": {"InstanceType": TYPE, "InstanceCount": 4, "VolumeSizeInGB": 30},
    "TrainingStartTime": NOW - timedelta(hours=2),
    "TrainingEndTime": NOW - timedelta(hours=1),
    "TrainingTimeInSeconds": 3600,
    "BillableTimeInSeconds": 3600,
}


def bill(told: dict[str, Any], price: float | None = 2.0) -> JobBill:
    ask = CannedAws({"DescribeTrainingJob": told}).ask
    return job_bill(ask, "faces-1", lambda kind, use: price, NOW)


def test_a_job_costs_its_billed_seconds_on_every_instance() -> None:
    found = bill(ENDED)
    assert (found.dollars, found.savings) == (8.0, None)
    assert found.as_data()["billable_instance_seconds"] == 4 * 3600


def test_spot_instances_save_what_is_not_billed() -> None:
    found = bill(ENDED | {"BillableTimeInSeconds": 900, "EnableManagedSpotTraining": True})
    assert (found.savings, found.dollars) == (0.75, 2.0)


def test_a_running_job_costs_so_far() -> None:
    ended = ("TrainingEndTime", "TrainingTimeInSeconds", "BillableTimeInSeconds")
    told = {name: it for name, it in ENDED.items() if name not in ended}
    found = bill(told | {"TrainingJobStatus": "InProgress", "EnableManagedSpotTraining": True})
    assert (found.billable_seconds, found.dollars, found.savings) == (7200, 16.0, None)


def test_a_job_that_never_started_cost_nothing() -> None:
    ended = {"TrainingJobStatus": "Failed", "ResourceConfig": ENDED["ResourceConfig"]}
    assert bill(ended | {"EnableManagedSpotTraining": True}).dollars == 0
    assert bill(ended).savings is None


def test_machines_kept_warm_and_groups_of_them_are_counted() -> None:
    groups = [
        {"InstanceType": TYPE, "InstanceCount": n, "InstanceGroupName": f"g{n}"} for n in (1, 2)
    ]
    pool = {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 1800}
    found = bill(ENDED | {"ResourceConfig": {"InstanceGroups": groups}, "WarmPoolStatus": pool})
    assert (found.count, found.dollars) == (3, 3 * 1.5 * 2.0)


def test_without_a_price_there_are_seconds_and_no_money() -> None:
    assert bill(ENDED, price=None).as_data()["dollars"] is None


def account(**others: Any) -> CannedAws:
    """An endpoint of two variants, a job, a warm pool, a batch job; and another's."""
    jobs = [
        {"TrainingJobName": "Faces-1", "TrainingJobArn": arn("training-job/faces-1")},
        {"TrainingJobName": "theirs", "TrainingJobArn": arn("training-job/theirs")},
    ]
    transforms = [{"TransformJobName": "draw", "TransformJobArn": arn("transform-job/draw")}]
    endpoints = [
        {"EndpointName": name, "EndpointArn": arn(f"endpoint/{name.lower()}")}
        for name in ("Faces", "theirs")
    ]
    tagged = index("endpoint/faces", "training-job/faces-1", "transform-job/draw")
    variants = [
        {"VariantName": "a", "CurrentInstanceCount": 2}, {"VariantName": "b"},
    ]  # fmt: skip
    wanted = [{"VariantName": "a", "InstanceType": "ml.c7i.xlarge"}, {"VariantName": "b"}]
    answers = {
        "GetResources": {"ResourceTagMappingList": tagged},
        "ListEndpoints": {"Endpoints": endpoints},
        "ListTrainingJobs": {"TrainingJobSummaries": jobs},
        "ListTransformJobs": {"TransformJobSummaries": transforms},
        "DescribeEndpoint": {
            "EndpointConfigName": "c", "EndpointStatus": "InService",
            "ProductionVariants": variants,
        },
        "DescribeEndpointConfig": {"ProductionVariants": wanted},
        "DescribeTrainingJob": ENDED | {"TrainingJobStatus": "InProgress"},
        "DescribeTransformJob": {
            "TransformJobStatus": "InProgress",
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
    }  # fmt: skip
    return CannedAws(answers | others)


def arn(resource: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:{resource}"


def costing(aws: CannedAws) -> list[Running]:
    return running(cast(Aws, aws), "faces", lambda kind, use: {"ml.m5.large": None}.get(kind, 0.5))


def test_what_costs_by_the_hour_is_ours_and_has_a_command_that_ends_it() -> None:
    aws = account()
    found = [(one.kind, one.name, one.count, one.hourly) for one in costing(aws)]
    assert found == [
        ("endpoint", "Faces", 2, 1.0),
        ("serverless endpoint", "Faces", 0, 0.0),
        ("training job", "Faces-1", 4, 2.0),
        ("warm pool", "Faces-1", 4, 2.0),
        ("transform job", "draw", 1, None),
    ]
    assert costing(aws)[0].as_data()["stop"] == "facegan cloud delete Faces"
    states = [one.request for one in aws.asked if one.action == "ListTrainingJobs"][:2]
    assert states == [{"StatusEquals": "InProgress"}, {"WarmPoolStatusEquals": "Available"}]


def test_an_endpoint_that_is_gone_since_is_passed_over() -> None:
    found = costing(account(DescribeEndpoint=missing("endpoint")))
    assert [one.kind for one in found] == ["training job", "warm pool", "transform job"]


def test_another_refusal_is_one() -> None:
    with pytest.raises(CloudError, match="slowly"):
        costing(account(DescribeEndpoint=CloudError("slowly", "", "ThrottlingException")))


def test_where_the_index_has_nothing_nothing_is_listed() -> None:
    aws = account(GetResources={"ResourceTagMappingList": []})
    assert costing(aws) == []
    assert aws.actions() == ["GetResources project faces"]
