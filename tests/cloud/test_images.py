"""Which image is run: the named one, else ours by the role's account; pinned to its digest."""

from datetime import UTC, datetime

import pytest
from strict_aws import StrictAws, refusal

from facegan import __version__
from facegan.cloud.images import image_address, pinned, unpinned
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = "sha256:" + "b" * 64
OURS = Settings(role="arn:aws:iam::123456789012:role/facegan", repository="mine")


def test_ours_is_in_the_roles_account() -> None:
    assert image_address(OURS, "training", "eu-west-1") == f"{ECR}/mine-training"


def test_china_has_a_domain_of_its_own() -> None:
    settings = OURS.but(role="arn:aws-cn:iam::123456789012:role/facegan")
    assert ".amazonaws.com.cn/mine-inference" in image_address(settings, "inference", "cn-north-1")


def test_a_named_one_counts_first() -> None:
    assert image_address(Settings(training_image="x:1"), "training", None) == "x:1"


def test_without_a_region_it_is_asked_for() -> None:
    with pytest.raises(CloudError, match=r"No region is known\. Name a --region"):
        image_address(OURS, "training", None)


@pytest.mark.parametrize(
    ("address", "by"),
    [
        (f"{ECR}/a/b:1.2", {"imageIds": [{"imageTag": "1.2"}]}),
        (f"{ECR}/a/b", {"filter": {"tagStatus": "TAGGED"}}),
        (f"{ECR}/a/b@{DIGEST}", {"imageIds": [{"imageDigest": DIGEST}]}),
    ],
)
def test_an_image_is_pinned_to_its_digest(address: str, by: dict[str, object]) -> None:
    aws = StrictAws(DescribeImages={"imageDetails": [{"imageDigest": DIGEST}]})
    assert pinned(aws, address) == f"{ECR}/a/b@{DIGEST}"  # type: ignore[arg-type]
    assert aws.request("DescribeImages") == {
        "registryId": "123456789012", "repositoryName": "a/b", **by,
    }  # fmt: skip


def test_without_a_tag_the_newest_is_meant() -> None:
    images = [pushed(day, f"v{day}") for day in (3, 9, 5)]
    aws = StrictAws(DescribeImages={"imageDetails": images})
    assert pinned(aws, f"{ECR}/faces") == f"{ECR}/faces@{images[1]['imageDigest']}"  # type: ignore[arg-type]


def pushed(day: int, *tags: str) -> dict[str, object]:
    at = datetime(2026, 11, day, tzinfo=UTC)
    return {"imageDigest": f"sha256:{day:064x}", "imagePushedAt": at, "imageTags": list(tags)}


@pytest.mark.parametrize(
    ("tags", "machine", "is_refused"),
    [
        (["1-cpu", "abc-cpu"], "ml.g5.xlarge", True),
        (["1-cpu"], "ml.p4d.24xlarge", True),
        (["1-cpu"], "ml.m5.large", False),
        (["1-cpu"], None, False),
        (["1-cpu", "2026-11"], "ml.g5.xlarge", False),
        (["1"], "ml.g5.xlarge", False),
    ],
)
def test_a_gpu_is_not_paid_for_the_image_without_cuda(
    tags: list[str], machine: str | None, is_refused: bool
) -> None:
    aws = StrictAws(DescribeImages={"imageDetails": [pushed(1, *tags)]})
    if is_refused:
        with pytest.raises(ConfigError, match=r"variant without CUDA.*--variant cuda"):
            pinned(aws, f"{ECR}/faces", machine)  # type: ignore[arg-type]
    else:
        assert pinned(aws, f"{ECR}/faces", machine).endswith("1")  # type: ignore[arg-type]


def test_a_dry_run_has_this_versions_tag_where_nobody_named_one() -> None:
    assert unpinned(f"{ECR}/faces") == f"{ECR}/faces:{__version__}"
    for named in (f"{ECR}/faces:2", f"{ECR}/faces@{DIGEST}", "a", "localhost:5000/a"):
        assert unpinned(named) == named


def test_what_may_not_be_looked_at_is_taken_only_where_it_is_named() -> None:
    aws = StrictAws(DescribeImages=refusal("AccessDeniedException"))
    assert pinned(aws, f"{ECR}/faces:2") == f"{ECR}/faces:2"  # type: ignore[arg-type]
    with pytest.raises(CloudError, match=r"newest image is not known\. Name one \(--image"):
        pinned(aws, f"{ECR}/faces")  # type: ignore[arg-type]


def test_another_registrys_is_left_as_it_is() -> None:
    assert pinned(StrictAws(), "localhost:5000/a:1") == "localhost:5000/a:1"  # type: ignore[arg-type]


def test_one_that_is_missing_is_said() -> None:
    aws = StrictAws(DescribeImages=refusal("ImageNotFoundException"))
    with pytest.raises(CloudError, match=r"is not in ECR\. Push it: `facegan cloud push`"):
        pinned(aws, f"{ECR}/a/b:1")  # type: ignore[arg-type]
    aws = StrictAws(DescribeImages={"imageDetails": []})
    with pytest.raises(CloudError, match=r"No image was pushed .* yet\. Push it"):
        pinned(aws, f"{ECR}/a/b")  # type: ignore[arg-type]


def test_other_refusals_are_not_hidden() -> None:
    with pytest.raises(CloudError, match="ThrottlingException"):
        pinned(StrictAws(DescribeImages=refusal("ThrottlingException")), f"{ECR}/a/b:1")  # type: ignore[arg-type]
