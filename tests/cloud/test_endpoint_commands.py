"""`facegan cloud deploy` and its siblings, on a moto server, or on a table of answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_aws import FakeAws, absent

from facegan import __version__
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import desk as desk_room
from facegan.cloud.aws import Aws
from facegan.errors import CloudError

ROLE = "arn:aws:iam::123456789012:role/facegan"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-inference@sha256:" + "a" * 64
MODEL = "s3://faces-bucket/faces/model.tar.gz"
WITH = ["--role", ROLE, "--image", IMAGE]
ON = ["--instance-type", "ml.c5.large"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No facegan.toml but the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cloud(*arguments: object) -> int:
    return run_safely(facegan, ["cloud", *map(str, arguments)])


def requests_of(text: str) -> list[dict[str, Any]]:
    """What --dry-run printed."""
    found: list[dict[str, Any]] = json.loads(text)
    return found


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, no_aws: pytest.MonkeyPatch) -> Any:
    """Puts a FakeAws in the place of AWS; nothing is slept."""

    def laid(**answers: Any) -> FakeAws:
        fake = FakeAws(**answers)
        monkeypatch.setattr(desk_room, "Aws", lambda *_: fake)
        return fake

    return laid


CLIENTS: dict[str, Any] = {}  # of the one moto server: making them takes a tenth of a second each


@pytest.fixture
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An empty account, for the test and for the commands it gives.

    Scaling and alarms are a table of answers: moto takes seconds to import what they belong to.
    """
    aws.clients = CLIENTS
    fake = FakeAws()
    ask, pages = aws.ask, aws.pages

    def is_light(call: Any) -> bool:
        return call.service in ("application-autoscaling", "cloudwatch")

    monkeypatch.setattr(aws, "ask", lambda it: (fake.ask if is_light(it) else ask)(it))
    monkeypatch.setattr(
        aws, "pages", lambda it, items: (fake.pages if is_light(it) else pages)(it, items)
    )
    monkeypatch.setattr(desk_room, "Aws", lambda *_: aws)
    return aws


# --- deploy ---------------------------------------------------------------------------------------


def test_a_dry_run_needs_no_account(no_aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", MODEL, *ON, "--role", ROLE, "--region", "eu-west-1"]
    assert cloud("deploy", "faces", *words, "--dry-run") == 0
    told = capsys.readouterr()
    calls = requests_of(told.out)
    assert [it["action"] for it in calls] == [
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ]
    assert calls[0]["request"]["PrimaryContainer"]["ModelDataUrl"] == MODEL
    assert calls[0]["request"]["Tags"] == [{"Key": "facegan:project", "Value": "facegan"}]
    image = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-inference:{__version__}"
    assert calls[0]["request"]["PrimaryContainer"]["Image"] == image


def test_a_dry_run_of_scaling_from_zero_shows_what_wakes_it(
    no_aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--asynchronous", "--output", "s3://b/out", "--min-instances", 0, "--max-instances", 2]
    assert cloud("deploy", "slow", "--model", MODEL, *ON, *WITH, *words, "--dry-run") == 0
    calls = requests_of(capsys.readouterr().out)
    assert [it["action"] for it in calls[3:]] == [
        "RegisterScalableTarget", "PutScalingPolicy", "PutScalingPolicy", "PutMetricAlarm",
    ]  # fmt: skip
    (variant,) = calls[1]["request"]["ProductionVariants"]
    assert variant["InitialInstanceCount"] == 1  # AWS makes none of nothing


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (ON, "either --model or --multi-model"),
        (["--model", MODEL], "either --instance-type or --serverless"),
        (["--model", MODEL, *ON, "--output", "s3://b/o"], "--output goes with --asynchronous"),
        (["--model", MODEL, *ON, "--asynchronous"], "--asynchronous needs --output"),
        (["--model", MODEL, "--serverless", 4096, "--instances", 2], "has no machines"),
        (["--model", MODEL, *ON, "--load", 5], "--load goes with --max-instances"),
        (["--model", MODEL, *ON, "--max-instances", 2, "--no-wait"], "drop --no-wait"),
        (
            ["--model", MODEL, *ON, "--max-instances", 2, "--variant", "b=1:s3://b/m.tar.gz"],
            "not sc",
        ),
        (["--model", MODEL, *ON, "--weight", 2], "--weight goes with --variant"),
        (["--model", MODEL, *ON, "--variant", "b"], "write new=1:s3://"),
        (["--model", MODEL, *ON, "--env", "A"], "write NAME=VALUE"),
        (["--model", MODEL, "--serverless", 5000], "serverless memory is 5000"),
        (["--model", MODEL, *ON, "--min-instances", 0, "--max-instances", 1], "Add --asynchronous"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything(
    no_aws: Any, capsys: pytest.CaptureFixture[str], words: list[object], told: str
) -> None:
    assert cloud("deploy", "faces", *words, *WITH, "--dry-run") == 2
    assert told in capsys.readouterr().err


def test_without_a_role_it_says_where_one_goes(
    no_aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cloud("deploy", "faces", "--model", MODEL, *ON, "--dry-run") == 9
    assert "No role is known" in capsys.readouterr().err


def test_an_endpoint_is_deployed_listed_and_deleted(
    account: Aws, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "facegan.toml").write_text('[cloud.price]\n"ml.c5.large" = 0.107\n')
    scaled = ["--max-instances", 3, "--instances", 2]
    assert cloud("deploy", "faces", "--model", MODEL, *ON, *WITH, *scaled, "--yes") == 0
    told = capsys.readouterr().out
    assert "0:00  faces: InService" in told
    assert "RegisterScalableTarget" in told
    assert "`facegan cloud delete faces` takes it down" in told

    assert cloud("deploy", "faces", "--model", MODEL, *ON, *WITH, "--yes") == 9
    assert "There is an endpoint faces already" in capsys.readouterr().err

    assert cloud("endpoints") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "STATUS", "ON", "AGE", "$/HOUR", "MODEL"]
    assert row.split() == ["faces", "InService", "2", "ml.c5.large", "now", "0.21", MODEL]
    assert cloud("endpoints", "--settings", "facegan.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["hourly"] == "0.21"

    assert cloud("delete", "faces", "--dry-run") == 0
    assert len(requests_of(capsys.readouterr().out)) == 3
    assert cloud("delete", "faces", "--yes") == 0
    assert "faces is gone, and costs no longer" in capsys.readouterr().out
    assert account.client("sagemaker").list_models()["Models"] == []
    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []

    assert cloud("delete", "faces", "--yes") == 9
    assert "nothing that belongs to an endpoint faces" in capsys.readouterr().err


def test_endpoints_of_other_projects_are_listed_on_demand(
    account: Aws, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", MODEL, *ON, *WITH, "--yes", "--project", "cats", "--no-wait"]
    assert cloud("deploy", "faces", *words) == 0
    capsys.readouterr()
    assert cloud("endpoints") == 0
    assert capsys.readouterr().out == "There is no endpoint of the project facegan.\n"
    assert cloud("endpoints", "--all") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("faces ")


def test_an_endpoint_that_fails_shows_its_log_and_goes_again(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {
        "EndpointName": "faces",
        "EndpointStatus": "Failed",
        "FailureReason": "The primary container did not pass the ping health check.",
    }
    fake = table(
        DescribeEndpoint=[absent("faces"), failed],
        DescribeLogStreams={"logStreams": [{"logStreamName": "AllTraffic/i-1"}]},
        GetLogEvents={"events": [{"message": "Error: no weights\n"}]},
    )
    assert cloud("deploy", "faces", "--model", MODEL, *ON, *WITH, "--yes") == 9
    told = capsys.readouterr()
    assert "  | Error: no weights" in told.out
    assert "did not pass the ping health check" in told.err
    assert "--start-seconds" in told.err
    assert fake.made == [
        "CreateModel faces", "CreateEndpointConfig faces", "CreateEndpoint faces",
        "DeleteEndpoint faces", "DeleteEndpointConfig faces", "DeleteModel faces",
    ]  # fmt: skip


def test_an_interrupt_while_waiting_says_what_goes_on(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = table(DescribeEndpoint=[absent("faces"), KeyboardInterrupt()])
    assert cloud("deploy", "faces", "--model", MODEL, *ON, *WITH, "--yes") == 130
    assert "`facegan cloud delete faces` takes it down" in capsys.readouterr().err
    assert fake.made[-1] == "CreateEndpoint faces"


def test_a_no_makes_nothing(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fake = table(DescribeEndpoint=absent("faces"))
    assert cloud("deploy", "faces", "--model", MODEL, *ON, *WITH) == 2
    told = capsys.readouterr().err
    assert "1 × ml.c5.large until it is deleted, at a price" in told and "add --yes" in told
    assert fake.made == []


def test_the_image_is_taken_by_its_digest(table: Any) -> None:
    fake = table(
        DescribeEndpoint=absent("faces"),
        DescribeImages={"imageDetails": [{"imageDigest": "sha256:" + "a" * 64}]},
    )
    words = ["--model", MODEL, *ON, "--role", ROLE, "--yes", "--no-wait"]
    assert cloud("deploy", "faces", *words) == 0
    (model,) = [call for call in fake.calls if call.action == "CreateModel"]
    assert model.request["PrimaryContainer"]["Image"] == IMAGE


def test_an_image_that_is_not_pushed_is_said(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    table(DescribeImages=CloudError("no.", "", "ImageNotFoundException"))
    assert cloud("deploy", "faces", "--model", MODEL, *ON, "--role", ROLE, "--yes") == 9
    shown = capsys.readouterr().err
    assert "facegan-inference is not in ECR" in shown and "facegan cloud push" in shown


def test_a_job_without_a_model_is_not_deployed(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    table(DescribeTrainingJob={"TrainingJobStatus": "Stopped"})
    assert cloud("deploy", "faces", "--model", "job-1", *ON, *WITH, "--yes") == 9
    assert "The training job job-1 is Stopped; it has no model" in capsys.readouterr().err


# --- update ---------------------------------------------------------------------------------------


def test_an_update_on_a_dry_run_only_looks(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fake = table(**IN_SERVICE)
    assert cloud("update", "faces", "--model", "s3://b/new/model.tar.gz", "--dry-run") == 0
    calls = requests_of(capsys.readouterr().out)
    assert [it["action"] for it in calls] == [
        "PutMetricAlarm", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint",
    ]  # fmt: skip
    assert fake.made == []


def test_an_update_deletes_what_it_replaced(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fake = table(**IN_SERVICE)
    new: dict[str, Any] = {}

    def describe(_: Any) -> Any:
        asked = [call for call in fake.calls if call.action == "UpdateEndpoint"]
        name = asked[0].request["EndpointConfigName"] if asked else "faces"
        new["name"] = name
        return {**IN_SERVICE["DescribeEndpoint"], "EndpointConfigName": name}

    fake.answers["DescribeEndpoint"] = describe
    words = ["--model", "s3://b/new/model.tar.gz", "--way", "canary", "--yes"]
    assert cloud("update", "faces", *words) == 0
    assert "faces serves the new model" in capsys.readouterr().out
    assert fake.made[-2:] == ["DeleteEndpointConfig faces", "DeleteModel faces"]
    assert new["name"].startswith("faces-")


IN_SERVICE: dict[str, Any] = {
    "DescribeEndpoint": {
        "EndpointName": "faces",
        "EndpointConfigName": "faces",
        "EndpointStatus": "InService",
    },
    "DescribeEndpointConfig": {
        "EndpointConfigName": "faces",
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "ModelName": "faces",
                "InstanceType": "ml.c5.large",
                "InitialInstanceCount": 1,
            }
        ],
    },
    "DescribeModel": {
        "ModelName": "faces",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": MODEL, "Environment": {}},
        "VpcConfig": {},
    },
}


# --- registry -------------------------------------------------------------------------------------


def put_model(aws: Aws, archive: Path) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(
        Bucket="faces-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    s3.put_object(Bucket="faces-bucket", Key="faces/model.tar.gz", Body=archive.read_bytes())


def test_a_model_is_registered_approved_and_deployed_by_its_version(
    account: Aws, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(account, model_dir / "model.tar.gz")
    words = ["register", MODEL, "--group", "faces", "--image", IMAGE]
    assert cloud(*words) == 0
    assert "faces/1 is registered" in capsys.readouterr().out
    assert cloud(*words, "--json") == 0  # the same weights
    assert json.loads(capsys.readouterr().out)["new"] is False

    deploy = ["deploy", "faces", "--model", "faces/1", *ON, "--role", ROLE, "--yes"]
    assert cloud(*deploy) == 9
    assert "is PendingManualApproval. `facegan cloud approve faces/1`" in " ".join(
        capsys.readouterr().err.split()
    )
    assert cloud("approve", "faces/1", "--why", "looked at 64") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "faces/1 is approved."
    assert cloud("models", "faces") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.startswith("VERSION  STATUS") and row.startswith("faces/1  approved")
    assert cloud(*deploy) == 0
    made = account.client("sagemaker").describe_model(ModelName="faces")
    assert made["PrimaryContainer"]["ModelDataUrl"] == MODEL
    assert made["PrimaryContainer"]["Image"] == IMAGE


def test_a_dry_run_of_registering_an_archive_here_needs_no_account(
    no_aws: Any, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = ["--archive", model_dir / "model.tar.gz", "--image", IMAGE]
    assert cloud("register", MODEL, *archive, "--dry-run") == 0
    group, version = requests_of(capsys.readouterr().out)
    assert group["request"]["ModelPackageGroupName"] == "facegan"
    assert version["request"]["CustomerMetadataProperties"]["family"] == "dcgan"


def test_unregistering_a_group_takes_its_versions_first(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/faces/1"
    group = {"ModelPackageGroupName": "faces", "ModelPackageGroupArn": "arn:g"}
    fake = table(
        ListModelPackageGroups={"ModelPackageGroupSummaryList": [group]},
        ListModelPackages={"ModelPackageSummaryList": [{"ModelPackageArn": arn}]},
        DescribeModelPackage={"ModelPackageArn": arn},
    )
    assert cloud("unregister", "faces", "--yes") == 0
    assert fake.made == [f"DeleteModelPackage {arn}", "DeleteModelPackageGroup faces"]
    assert cloud("unregister", "cats", "--yes") == 9
    assert "no group of models cats" in capsys.readouterr().err


# --- transform ------------------------------------------------------------------------------------


BATCH = [
    "transform", "start", "batch-1", "--model", MODEL, "--requests", "s3://b/in.jsonl",
    "--output", "s3://b/out", "--instance-type", "ml.c5.large", *WITH,
]  # fmt: skip


def test_a_transform_job_is_started_and_waited_for(
    table: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"ModelName": "batch-1", "TransformJobStatus": "Completed"}
    fake = table(DescribeTransformJob=[absent("batch-1"), job])
    assert cloud(*BATCH, "--yes") == 0
    assert "the faces lie below s3://b/out" in capsys.readouterr().out
    assert fake.made == ["CreateModel batch-1", "CreateTransformJob batch-1", "DeleteModel batch-1"]


@pytest.mark.parametrize("image_type", ["", "image/jpeg;direction=BtoA"])
def test_a_transform_job_of_images(
    table: Any, image_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = BATCH.index("--requests")
    words = [*BATCH[:at], "--images", "s3://b/photos", *BATCH[at + 2 :]]
    given = ["--image-type", image_type] if image_type else []
    table()
    assert cloud(*words, *given, "--dry-run", "--json") == 0
    told = capsys.readouterr().out
    assert f'"ContentType": "{image_type or "image/png"}"' in told and "s3://b/photos" in told


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--images", "s3://b/photos"], "either --requests"),
        (["--image-type", "image/png"], "--image-type goes with --images"),
    ],
)
def test_a_transform_job_is_of_lines_or_of_images(
    table: Any, change: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table()
    assert cloud(*BATCH, *change) == 2
    assert sentence in capsys.readouterr().err


def test_a_transform_job_that_fails_says_why(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"ModelName": "batch-1", "TransformJobStatus": "Failed", "FailureReason": "No such file"}
    table(
        DescribeTransformJob=[absent("batch-1"), job],
        DescribeLogStreams={"logStreams": [{"logStreamName": "batch-1/i-1"}]},
        GetLogEvents={"events": [{"message": "a line"}]},
    )
    assert cloud(*BATCH, "--yes") == 9
    told = capsys.readouterr()
    assert "The job batch-1 failed: No such file" in told.err
    assert "  | a line" in told.out


def test_a_transform_jobs_name_is_used_once(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fake = table(DescribeTransformJob={"ModelName": "x", "TransformJobStatus": "InProgress"})
    assert cloud(*BATCH, "--yes") == 9
    assert "There is a transform job batch-1 already, which is InPr" in capsys.readouterr().err
    assert fake.made == []


def test_a_transform_job_goes_through_moto(
    account: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cloud(*BATCH, "--yes", "--no-wait") == 0
    capsys.readouterr()
    assert cloud("transform", "status") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("batch-1 ")
    assert cloud("transform", "status", "batch-1") == 0
    assert "output below s3://b/out" in capsys.readouterr().out


def test_stopping_a_transform_job_deletes_its_model(table: Any) -> None:
    job = {"ModelName": "batch-1", "TransformJobStatus": "InProgress"}
    fake = table(DescribeTransformJob=job)
    assert cloud("transform", "stop", "batch-1", "--yes") == 0
    assert fake.made == ["StopTransformJob batch-1", "DeleteModel batch-1"]


def test_a_transform_job_that_is_not_there_is_said(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    table(DescribeTransformJob=absent("batch-9"))
    assert cloud("transform", "status", "batch-9") == 9
    assert "There is no transform job batch-9" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb",
    ["deploy", "update", "endpoints", "delete", "register", "approve", "models", "unregister"],
)
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cloud(verb, "--help") == 0
    assert f"facegan cloud {verb}" in capsys.readouterr().out
