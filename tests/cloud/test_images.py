"""Which image is run: the named one, else ours by the role's account; pinned to its digest."""

import pytest
from strict_aws import StrictAws, refusal

from facegan.cloud.images import image_address, pinned
from facegan.cloud.settings import Settings
from facegan.errors import CloudError

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = "sha256:" + "b" * 64
OURS = Settings(role="arn:aws:iam::123456789012:role/facegan", repository="mine")


def test_ours_is_in_the_roles_account() -> None:
    assert image_address(OURS, "training", "eu-west-1") == f"{ECR}/mine-training:latest"


def test_china_has_a_domain_of_its_own() -> None:
    settings = OURS.but(role="arn:aws-cn:iam::123456789012:role/facegan")
    assert ".amazonaws.com.cn/mine-inference:" in image_address(settings, "inference", "cn-north-1")


def test_a_named_one_counts_first() -> None:
    assert image_address(Settings(training_image="x:1"), "training", None) == "x:1"


def test_without_a_region_it_is_asked_for() -> None:
    with pytest.raises(CloudError, match=r"No region is known\. Name a --region"):
        image_address(OURS, "training", None)


@pytest.mark.parametrize(
    ("address", "by"),
    [
        (f"{ECR}/a/b:1.2", {"imageTag": "1.2"}),
        (f"{ECR}/a/b", {"imageTag": "latest"}),
        (f"{ECR}/a/b@{DIGEST}", {"imageDigest": DIGEST}),
    ],
)
def test_an_image_is_pinned_to_its_digest(address: str, by: dict[str, str]) -> None:
    aws = StrictAws(DescribeImages={"imageDetails": [{"imageDigest": DIGEST}]})
    assert pinned(aws, address) == f"{ECR}/a/b@{DIGEST}"  # type: ignore[arg-type]
    assert aws.request("DescribeImages") == {
        "registryId": "123456789012", "repositoryName": "a/b", "imageIds": [by],
    }  # fmt: skip


def test_another_registrys_is_left_as_it_is() -> None:
    assert pinned(StrictAws(), "localhost:5000/a:1") == "localhost:5000/a:1"  # type: ignore[arg-type]


def test_one_that_is_missing_is_said() -> None:
    aws = StrictAws(DescribeImages=refusal("ImageNotFoundException"))
    with pytest.raises(CloudError, match=r"is not in ECR\. Push it: `facegan cloud push`"):
        pinned(aws, f"{ECR}/a/b:1")  # type: ignore[arg-type]


def test_other_refusals_are_not_hidden() -> None:
    with pytest.raises(CloudError, match="ThrottlingException"):
        pinned(StrictAws(DescribeImages=refusal("ThrottlingException")), f"{ECR}/a/b:1")  # type: ignore[arg-type]
