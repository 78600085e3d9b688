"""`facegan cloud destroy` at its edge: listed, asked for by name, gone, looked for."""

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from canned_aws import CannedAws, missing
from whole_account import account

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud.desk import Desk
from facegan.cloud import takedown
from facegan.cloud.aws import Aws
from facegan.cloud.settings import PROJECT_TAG
from facegan.errors import CloudError

ROLE = "arn:aws:iam::123456789012:role/facegan"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-inference:1"


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", "destroy", "--project", "faces", *words])


@pytest.fixture
def served(aws: Aws, no_aws: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Aws]:
    """An endpoint of ours with all that belongs to it, and one of others, on a moto server."""
    no_aws.chdir(tmp_path)
    no_aws.setattr(Desk, "aws", aws)  # making clients is what takes time here
    sagemaker, logs, s3 = (aws.client(name) for name in ("sagemaker", "logs", "s3"))
    for name, project in (("faces", "faces"), ("theirs", "other")):
        tags = {"Tags": [{"Key": PROJECT_TAG, "Value": project}]}
        container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
        sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, **tags
        )
        variant = {
            "VariantName": "a", "ModelName": name, "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }  # fmt: skip
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], **tags
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, **tags)
        logs.create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=place)
    on = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration=on)
    for key in ("faces/a", "faces/a", "other/b"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"1")
    s3.delete_object(Bucket="bucket", Key="faces/a")
    s3.create_multipart_upload(Bucket="bucket", Key="faces/half")
    yield aws


def what_is_there(aws: Aws) -> dict[str, list[str]]:
    """Names of what the account has."""
    sagemaker, s3 = aws.client("sagemaker"), aws.client("s3")
    versions = s3.list_object_versions(Bucket="bucket")
    uploads = s3.list_multipart_uploads(Bucket="bucket")
    objects = [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]
    return {
        "endpoints": [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]],
        "models": [one["ModelName"] for one in sagemaker.list_models()["Models"]],
        "logs": [
            one["logGroupName"].rpartition("/")[2]
            for one in aws.client("logs").describe_log_groups()["logGroups"]
        ],
        "objects": [one["Key"] for one in [*objects, *uploads.get("Uploads", ())]],
    }


THEIRS = {"endpoints": ["theirs"], "models": ["theirs"], "logs": ["theirs"]}


def test_what_is_ours_goes_and_nothing_else(
    served: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the configuration moto's index has a broken entry: that of a canned account goes below."""
    assert run("--yes") == 0
    there = what_is_there(served)
    kept = ["faces/a", "faces/a", "faces/a", "faces/half", "other/b"]
    assert sorted(there.pop("objects")) == kept
    assert there == THEIRS
    told = capsys.readouterr().out
    for line in ("endpoint   faces", "model      faces", "gone: endpoint faces", "IAM roles"):
        assert line in told
    assert "3 of project faces (facegan:project=faces) in eu-west-1 are gone." in told
    assert run("--yes", "--with-data", "--bucket", "bucket") == 0  # again, and more
    assert what_is_there(served)["objects"] == ["other/b"]
    assert run("--yes") == 0
    assert "Nothing to take down." in capsys.readouterr().out


class Terminal(io.StringIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def canned(no_aws: pytest.MonkeyPatch, tmp_path: Any) -> CannedAws:
    """The whole account, of which the index knows nothing any more at a second look."""
    no_aws.chdir(tmp_path)
    aws = account()
    looks = iter([aws.answers["GetResources"]])
    aws.answers["GetResources"] = lambda request: next(looks, {})
    aws.answers["DescribeEndpoint"] = missing("endpoint")
    stacks = iter([aws.answers["DescribeStacks"]])
    aws.answers["DescribeStacks"] = lambda request: next(stacks, {"Stacks": [GONE]})
    no_aws.setattr(Desk, "aws", aws)
    return aws


GONE = {"StackStatus": "DELETE_COMPLETE"}
DELETES = ("Delete", "Stop", "Update", "Abort", "Deregister")


def test_a_dry_run_looks_and_changes_nothing(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--dry-run") == 0
    told = capsys.readouterr()
    actions = [one["action"] for one in json.loads(told.out)]
    assert actions[0] == "DeleteStack"
    assert "DeleteEndpointConfig" in actions
    assert "nothing is changed" in told.err
    assert canned.actions(*DELETES) == []


@pytest.mark.parametrize(("typed", "code"), [("faces\n", 0), ("y\n", 130), ("\n", 130), ("", 130)])
def test_the_projects_name_is_what_says_yes(
    canned: CannedAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    typed: str, code: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert run() == code
    assert ("DeleteEndpoint Faces" in canned.actions(*DELETES)) == (code == 0)
    assert ("Nothing was deleted." in capsys.readouterr().err) == bool(code)


def test_where_nobody_can_type_it_yes_is_asked_for(
    canned: CannedAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("faces\n"))
    assert run() == 2
    assert "add --yes" in capsys.readouterr().err


def test_data_of_no_bucket_is_asked_for(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--yes", "--with-data") == 9
    assert "Name it by --bucket" in capsys.readouterr().err


def test_an_interrupt_says_what_is_gone_and_what_may_remain(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    canned.answers["DeleteModel"] = KeyboardInterrupt()
    assert run("--yes") == 130
    told = capsys.readouterr().err
    assert "Interrupted. Gone: stack faces-door, " in told
    assert "endpoint Faces, configuration Faces.\nThese may remain:\n  model Faces: aws" in told
    assert "model Faces: aws sagemaker delete-model --model-name Faces\n" in told
    assert "log group /aws/sagemaker/Endpoints/Faces: aws logs delete-log-group" in told


def test_what_cannot_be_deleted_is_named_with_its_command(
    canned: CannedAws, capsys: pytest.CaptureFixture[str]
) -> None:
    canned.answers["DeleteModel"] = CloudError("You may not.", "", "AccessDeniedException")
    assert run("--yes", "--json") == 9
    told = capsys.readouterr()
    result = json.loads(told.out)
    gone = [one["kind"] for one in result["gone"]]
    assert gone[-5:] == ["configuration", "model group", "experiment", "alarm", "log group"]
    assert result["refused"][0]["error"] == "You may not."
    assert "1 could not be deleted" in told.err
    assert "aws sagemaker delete-model --model-name Faces" in told.err


def test_what_is_there_still_is_told_though_nothing_refused(
    canned: CannedAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    canned.answers["GetResources"] = account().answers["GetResources"]
    monkeypatch.setattr(takedown, "running_jobs", lambda ours: [])
    assert run("--yes") == 9
    assert "model Faces: it is there still" in capsys.readouterr().err
