"""What the registry keeps of a card, which version a text names, and what may be deployed."""

from typing import Any

import pytest
from api_model import complaints
from fake_aws import FakeAws, absent

from facegan.cloud.model_registry import (
    RegisteredModel,
    creation,
    find_model,
    find_version,
    properties,
    register,
)
from facegan.errors import CloudError, ConfigError

CARD: dict[str, Any] = {
    "family": "stylegan2",
    "preset": "tiny",
    "kimg": 25000.0,
    "image_shape": [3, 64, 64],
    "weights_sha256": "ab" * 32,
    "dataset": {"name": "photos “64”", "images": 20000, "digest": "cd" * 32},
    "metrics": {
        "last": {"kimg": 25000.0, "kid_lite0": 0.0051},
        "best": {"kimg": 24000.0, "kid_lite0": 0.0043, "judged_by": "kid_lite0"},
        "protocol": {"images": 5000},
    },
}
WISH = RegisteredModel(group="faces", image="i@sha256:1", model="s3://b/model.tar.gz", card=CARD)
PREFIX = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/faces/"


def version(number: int, status: str = "Approved", sha: str = "") -> dict[str, Any]:
    return {
        "ModelPackageArn": f"{PREFIX}{number}",
        "ModelPackageVersion": number,
        "ModelApprovalStatus": status,
        "CustomerMetadataProperties": {"weights_sha256": sha},
        "InferenceSpecification": {
            "Containers": [{"Image": f"image:{number}", "ModelDataUrl": f"s3://b/{number}.tar.gz"}]
        },
    }


def registry(*versions: dict[str, Any]) -> FakeAws:
    by_arn = {one["ModelPackageArn"]: one for one in versions}
    listed = [{"ModelPackageArn": arn} for arn in by_arn]
    return FakeAws(
        ListModelPackages={"ModelPackageSummaryList": listed},
        DescribeModelPackage=lambda call: by_arn[call.request["ModelPackageName"]],
        CreateModelPackage={"ModelPackageArn": f"{PREFIX}9"},
    )


def test_the_requests_are_ones_that_the_api_takes() -> None:
    for call in creation(WISH):
        assert complaints(call.action, call.request) == ""
    assert WISH.request()["ModelApprovalStatus"] == "PendingManualApproval"
    assert WISH.request()["ModelPackageDescription"] == "stylegan2 tiny, 64 pixels, 25000 kimg"


def test_a_cards_facts_and_figures_are_kept_as_texts_that_the_registry_takes() -> None:
    kept = properties(CARD)
    assert kept["best.kid_lite0"] == "0.0043" and kept["last.kid_lite0"] == "0.0051"
    assert kept["resolution"] == "64" and kept["weights_sha256"] == "ab" * 32
    assert kept["dataset.name"] == "photos _64_"
    assert properties({}) == {}


def test_the_first_version_makes_its_group() -> None:
    aws = registry()
    aws.answers["DescribeModelPackageGroup"] = absent("faces")
    assert register(aws, WISH) == (f"{PREFIX}9", True)  # type: ignore[arg-type]
    assert aws.made == ["CreateModelPackageGroup faces", "CreateModelPackage faces"]


def test_the_same_weights_are_registered_once() -> None:
    aws = registry(version(4, sha="other"), version(3, sha="ab" * 32))
    assert register(aws, WISH) == (f"{PREFIX}3", False)  # type: ignore[arg-type]
    assert aws.made == []


@pytest.mark.parametrize(
    ("text", "number"), [("faces/2", 2), ("2", 2), ("faces/latest", 1), (f"{PREFIX}2", 2)]
)
def test_a_version_is_named_in_four_ways(text: str, number: int) -> None:
    aws = registry(version(3, "Rejected"), version(2, "PendingManualApproval"), version(1))
    assert find_version(aws, text, "faces")["ModelPackageVersion"] == number  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "told"),
    [("faces/7", "no version 7.*versions are: 1"), ("faces/latest", "no approved")],
)
def test_a_version_that_is_not_there_is_said_with_those_that_are(text: str, told: str) -> None:
    with pytest.raises(CloudError, match=told):
        find_version(registry(version(1, "Rejected")), text)  # type: ignore[arg-type]


def test_a_group_that_is_not_there_has_no_versions() -> None:
    with pytest.raises(CloudError, match=r"no version 1\. Its versions are: none"):
        find_version(FakeAws(ListModelPackages=absent("faces")), "faces/1")  # type: ignore[arg-type]


def test_what_names_no_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="'faces' names no registered version"):
        find_version(registry(), "faces")  # type: ignore[arg-type]


def test_only_an_approved_version_is_deployed_unless_that_is_asked() -> None:
    aws = registry(version(1, "Rejected"))
    with pytest.raises(CloudError, match=r"faces/1 is Rejected.*--unapproved"):
        find_model(aws, "faces/1")  # type: ignore[arg-type]
    source = find_model(aws, "faces/1", is_unapproved_taken=True)  # type: ignore[arg-type]
    assert (source.model, source.image) == ("s3://b/1.tar.gz", "image:1")


def test_a_jobs_model_is_where_the_job_put_it() -> None:
    job = {
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/job/output/model.tar.gz"},
    }
    aws = FakeAws(DescribeTrainingJob=job)
    assert find_model(aws, "job-1").model == "s3://b/job/output/model.tar.gz"  # type: ignore[arg-type]


def test_a_job_that_is_not_there_is_said() -> None:
    refusal = CloudError("Requested resource not found.", "", "ValidationException")
    with pytest.raises(CloudError, match="There is no training job job-1"):
        find_model(FakeAws(DescribeTrainingJob=refusal), "job-1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"group": "my faces"}, "group of models is named"),
        ({"model": "s3://b/folder/"}, "ends with model.tar.gz"),
        ({"model": "runs/model.tar.gz"}, "Give s3://"),
    ],
)
def test_what_the_registry_would_refuse_is_refused_here(change: dict[str, str], told: str) -> None:
    wish: dict[str, Any] = {"group": "g", "image": "i", "model": "s3://b/m.tar.gz", "card": {}}
    with pytest.raises(ConfigError) as refused:
        RegisteredModel(**wish | change)
    assert told in str(refused.value)
