"""What is asked of ECR; the push itself, into a real registry, is in tests/container."""

import json
from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from facegan.cloud.aws import Aws
from facegan.cloud.registry import LIFECYCLE, ensure_repository
from facegan.errors import CloudError

ADDRESS = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/faces"
CREATE = {"repositoryName": "faces", "imageScanningConfiguration": {"scanOnPush": True}}


@pytest.fixture
def ecr(credentials: pytest.MonkeyPatch) -> Aws:
    return Aws()


@pytest.fixture
def stub(ecr: Aws) -> Iterator[Stubber]:
    """Answers as ECR, from botocore's model of its API, which both sides have to fit."""
    with Stubber(ecr.client("ecr")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_a_missing_repository_is_made_with_scanning_and_a_lifecycle(
    ecr: Aws, stub: Stubber
) -> None:
    stub.add_response("create_repository", {"repository": {"repositoryUri": ADDRESS}}, CREATE)
    policy = {"repositoryName": "faces", "lifecyclePolicyText": json.dumps(LIFECYCLE)}
    stub.add_response("put_lifecycle_policy", {}, policy)
    assert ensure_repository(ecr, "faces") == ADDRESS


def test_one_that_is_there_keeps_its_settings(ecr: Aws, stub: Stubber) -> None:
    stub.add_client_error("create_repository", "RepositoryAlreadyExistsException")
    there = {"repositories": [{"repositoryUri": ADDRESS}]}
    stub.add_response("describe_repositories", there, {"repositoryNames": ["faces"]})
    assert ensure_repository(ecr, "faces") == ADDRESS


def test_what_a_role_lacks_is_named(ecr: Aws, stub: Stubber) -> None:
    stub.add_client_error("create_repository", "AccessDeniedException", "no")
    with pytest.raises(CloudError, match=r"on faces failed.* permission ecr:CreateRepository"):
        ensure_repository(ecr, "faces")


def test_no_region_is_said(no_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match=r"region.*--region, as eu-west-1"):
        ensure_repository(Aws(), "faces")
