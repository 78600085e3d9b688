"""What is asked of ECR; the push itself, into a real registry, is in tests/container."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import desk
from facegan.cloud.aws import Aws
from facegan.cloud.registry import LIFECYCLE, ensure_repository, local_tags
from facegan.errors import CloudError

ADDRESS = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/faces"
TAGS = {"facegan:project": "faces"}
CREATE = {
    "repositoryName": "faces",
    "imageScanningConfiguration": {"scanOnPush": True},
    "tags": [{"Key": "facegan:project", "Value": "faces"}],
}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The client, once for all: to make it takes a third of a second."""
    return {}


@pytest.fixture
def ecr(made: dict[str, Any], credentials: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    credentials.chdir(tmp_path)
    aws = Aws()
    aws.clients = made
    return aws


@pytest.fixture
def stub(ecr: Aws) -> Iterator[Stubber]:
    """Answers as ECR, from botocore's model of its API, which both sides have to fit."""
    with Stubber(ecr.client("ecr")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_a_missing_repository_is_made_with_scanning_and_a_lifecycle(
    ecr: Aws, stub: Stubber
) -> None:
    stub.add_client_error("describe_repositories", "RepositoryNotFoundException")
    stub.add_response("create_repository", {"repository": {"repositoryUri": ADDRESS}}, CREATE)
    policy = {"repositoryName": "faces", "lifecyclePolicyText": json.dumps(LIFECYCLE)}
    stub.add_response("put_lifecycle_policy", {}, policy)
    assert ensure_repository(ecr, "faces", TAGS) == ADDRESS


def test_one_that_is_there_keeps_its_settings(ecr: Aws, stub: Stubber) -> None:
    there = {"repositories": [{"repositoryUri": ADDRESS}]}
    stub.add_response("describe_repositories", there, {"repositoryNames": ["faces"]})
    assert ensure_repository(ecr, "faces") == ADDRESS


def test_what_a_role_lacks_is_named(ecr: Aws, stub: Stubber) -> None:
    stub.add_client_error("describe_repositories", "RepositoryNotFoundException")
    stub.add_client_error("create_repository", "AccessDeniedException", "no")
    with pytest.raises(CloudError, match=r"on faces failed.* permission ecr:CreateRepository"):
        ensure_repository(ecr, "faces")


def test_no_region_is_said(no_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match=r"region.*--region, as eu-west-1"):
        ensure_repository(Aws(), "faces")


# --- what there is, and its end -----------------------------------------------------------------


class Images:
    """Docker, as far as names go."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def output(self, *words: str, doing: str) -> str:
        return json.dumps(self.names)


def test_an_image_is_pushed_under_the_names_that_make_build_gave_it() -> None:
    names = ("facegan-training:0.1.0", "facegan-training:local", "facegan-training:ab12-dirty")
    elsewhere = ("other:0.1.0", "1.dkr.ecr.eu-west-1.amazonaws.com/facegan-training:old")
    docker = Images(*names, *elsewhere)
    assert local_tags(docker, "facegan-training:local") == ["0.1.0", "ab12-dirty"]  # type: ignore[arg-type]


def image(number: int) -> dict[str, object]:
    return {
        "imageDigest": f"sha256:{number:064}", "imageTags": [str(number)],
        "imagePushedAt": number, "imageSizeInBytes": 10**9,
    }  # fmt: skip


def run(ecr: Aws, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(desk, "Aws", lambda *_: ecr)
    return run_safely(facegan, ["cloud", *words])


def test_images_are_listed_and_go_with_their_repository(
    ecr: Aws, stub: Stubber, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.add_response("describe_images", {"imageDetails": [image(1), image(2)]})
    stub.add_client_error("describe_images", "RepositoryNotFoundException")
    force = {"repositoryName": "facegan-training", "force": True}
    stub.add_response("delete_repository", {}, force)
    assert run(ecr, monkeypatch, "remove-images", "--yes") == 0
    said = capsys.readouterr().out
    assert "facegan-training: 2 images, 2.0 GB" in said
    assert "There is no repository facegan-inference" in said


def test_the_newest_images_stay_where_that_is_asked_for(
    ecr: Aws, stub: Stubber, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.add_response("describe_images", {"imageDetails": [image(1), image(3), image(2)]})
    stub.add_response("describe_images", {"imageDetails": [image(1)]})
    old = {"imageIds": [{"imageDigest": f"sha256:{1:064}"}], "repositoryName": "faces-training"}
    refused = {"failures": [{"failureCode": "ImageReferencedByManifestList", "failureReason": "x"}]}
    stub.add_response("batch_delete_image", refused, old)
    words = ["remove-images", "--repository", "faces", "--keep", "2", "--yes"]
    assert run(ecr, monkeypatch, *words) == 9
    assert "kept some of 1 images of faces-training" in capsys.readouterr().err


def test_a_push_is_printed_without_an_account_or_docker(
    no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    no_aws.chdir(tmp_path)
    assert run_safely(facegan, ["cloud", "push", "--project", "faces", "--dry-run"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [call["action"] for call in made] == ["CreateRepository", "PutLifecyclePolicy"] * 2
    assert made[0]["request"]["tags"] == [{"Key": "facegan:project", "Value": "faces"}]
