"""`facegan cloud train`: what it sends, what it refuses before anything is paid, what it asks."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from described_jobs import described
from strict_aws import StrictAws, refusal

from facegan import __version__
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import wishes
from facegan.cloud.aws import Aws
from facegan.cloud.places import folder
from facegan.cloud.training_request import TrainingJob

DIGEST = "sha256:" + "a" * 64
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
LEAST = (
    *("cloud", "train", "--data", "s3://my-bucket/faces/toy32", "--instance-type", "ml.g5.xlarge"),
    *("--role", "arn:aws:iam::123456789012:role/facegan", "--bucket", "my-bucket"),
    *("--project", "faces", "--name", "faces-1", "--preset", "toy32"),
)
TWO_LAYERS = ("--experiment", "faces", "--run", "first")


def ready(strict: StrictAws, **others: Any) -> StrictAws:
    """An account with the image and the pictures."""
    strict.answers |= {
        "DescribeImages": {"imageDetails": [{"imageDigest": DIGEST}]},
        "ListObjectsV2": {"Contents": [{"Key": "dataset.json"}]},
        "GetObject": lambda _: {"Body": io.BytesIO(b'{"resolution": 32}')},
        "CreateTrainingJob": {"TrainingJobArn": "arn"},
    } | others
    return strict


def train(*more: str) -> int:
    return run_safely(facegan, [*LEAST, *more])


def test_a_dry_run_prints_the_requests_without_an_account(
    no_aws: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_aws.chdir(tmp_path)
    assert train("--dry-run", "--region", "eu-west-1", *TWO_LAYERS) == 0
    group, run, job = json.loads(capsys.readouterr().out)
    assert [call["action"] for call in (group, run)] == ["CreateExperiment", "CreateTrial"]
    assert job == {
        "service": "sagemaker",
        "action": "CreateTrainingJob",
        "request": TrainingJob(
            name="faces-1",
            image=f"{REGISTRY}/facegan-training:{__version__}",
            role="arn:aws:iam::123456789012:role/facegan",
            pictures="s3://my-bucket/faces/toy32/",
            output="s3://my-bucket/faces/jobs",
            checkpoints="s3://my-bucket/faces/jobs/faces-1/checkpoints",
            curves="s3://my-bucket/faces/jobs",
            instance_type="ml.g5.xlarge",
            hyperparameters={"preset": "toy32"},
            experiment="faces",
            run="first",
            tags={"facegan:project": "faces"},
        ).request(),
    }


def test_every_option_reaches_the_request(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--family", "stylegan2", "--preset", "tiny", "--resolution", "32", "--total-kimg", "5",
        "--set", "r1_gamma=0.5", "--evaluation", "s3://b/held", "--evaluate-kimg", "1",
        "--instances", "2", "--max-hours", "1", "--max-wait-hours", "3", "--spot", "--retries", "2",
        "--output", "s3://b/out", "--checkpoints", "s3://b/kept", "--input-mode", "FastFile",
        "--distribution", "ShardedByS3Key", "--channel", "manifest=s3://b/m,File",
        "--volume-gb", "99", "--image", "mine:1", "--kms-key", "alias/mine", "--subnet", "subnet-1",
        "--security-group", "sg-1", "--isolate", "--encrypt", "--env", "A=1", "--tag", "team=x",
    )  # fmt: skip
    assert train(*options, "--dry-run") == 0
    (call,) = json.loads(capsys.readouterr().out)
    request = call["request"]
    assert request["HyperParameters"] == {
        "family": "stylegan2", "preset": "tiny", "resolution": "32", "total_kimg": "5",
        "evaluate_kimg": "1", "r1_gamma": "0.5",
    }  # fmt: skip
    assert request["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800,
    }  # fmt: skip
    assert request["AlgorithmSpecification"]["TrainingImage"] == "mine:1"
    names = [one["ChannelName"] for one in request["InputDataConfig"]]
    assert names == ["training", "evaluation", "manifest"]
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 99,
    }  # fmt: skip
    assert request["CheckpointConfig"] == {"S3Uri": "s3://b/kept"}
    assert request["Tags"] == [
        {"Key": "facegan:project", "Value": "faces"}, {"Key": "team", "Value": "x"},
    ]  # fmt: skip
    assert request["EnableNetworkIsolation"] and request["EnableInterContainerTrafficEncryption"]
    assert request["VpcConfig"] and request["RetryStrategy"] and request["Environment"]
    assert strict.asked == []


@pytest.mark.parametrize(
    "options", [("--input-mode", "Pipe"), ("--channel", "more=s3://b/m,Pipe")], ids=" ".join
)
def test_pipe_mode_is_refused_with_what_to_use_instead(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert train(*options, "--dry-run") == 2
    assert "Pipe is not supported.\nUse FastFile" in capsys.readouterr().err


def test_settings_come_from_the_file(
    strict: StrictAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "facegan.toml").write_text(
        '[cloud]\nproject = "p"\nregion = "eu-west-1"\nbucket = "b"\nkms_key = "1234-abcd"\n'
        'role = "arn:aws:iam::123456789012:role/r"\nsubnets = ["subnet-1"]\n'
        'security_groups = ["sg-1"]\n'
    )
    given = ("cloud", "train", "--data", "s3://b/d", "--instance-type", "ml.m5.large", "--dry-run")
    assert run_safely(facegan, [*given, "--resolution", "64"]) == 0
    (call,) = json.loads(capsys.readouterr().out)
    assert call["request"]["OutputDataConfig"] == {
        "S3OutputPath": "s3://b/p/jobs", "KmsKeyId": "1234-abcd",
    }  # fmt: skip
    assert call["request"]["ResourceConfig"]["VolumeKmsKeyId"] == "1234-abcd"
    assert call["request"]["TrainingJobName"].startswith("dcgan-2")


def test_a_real_run_pins_the_image_and_says_how_to_go_on(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(strict)
    assert train("--yes") == 0
    assert strict.actions == ["DescribeImages", "ListObjectsV2", "GetObject", "CreateTrainingJob"]
    image = strict.request("CreateTrainingJob")["AlgorithmSpecification"]["TrainingImage"]
    assert image == f"{REGISTRY}/facegan-training@{DIGEST}"
    told = capsys.readouterr().out
    assert "facegan cloud attach faces-1" in told and "facegan cloud stop faces-1" in told


def test_json_is_the_only_thing_on_stdout(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(strict)
    assert train("--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["checkpoints"] == "s3://my-bucket/faces/jobs/faces-1/checkpoints"


def test_it_asks_first_and_says_what_it_costs_and_how_it_ends(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is here to answer: nothing is made."""
    ready(strict)
    assert train("--price", "1.5", "--instances", "2", "--max-hours", "3", "--keep-warm", "60") == 2
    told = capsys.readouterr().err
    assert "2 × ml.g5.xlarge for at most 4 h: $3.00 an hour, $12.00 at most" in told
    assert "1 h of it kept warm" in told and "facegan cloud stop faces-1" in told
    assert "CreateTrainingJob" not in strict.actions


def test_an_unknown_price_is_said(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    ready(strict)
    train()
    assert "a price that is not known here (`facegan cloud costs" in capsys.readouterr().err


def test_a_group_that_is_there_is_not_made_again(strict: StrictAws) -> None:
    there = ready(strict, DescribeExperiment={}, CreateTrial={})
    there.answers["DescribeTrial"] = refusal("ResourceNotFound")
    assert train("--yes", *TWO_LAYERS) == 0
    assert strict.actions[-2:] == ["CreateTrial", "CreateTrainingJob"]
    assert "CreateExperiment" not in strict.actions


def test_a_group_that_was_made_goes_again_where_the_job_is_refused(strict: StrictAws) -> None:
    absent = refusal("ResourceNotFound")
    ready(strict, DescribeExperiment=absent, DescribeTrial=absent, CreateExperiment={})
    strict.answers |= {"CreateTrial": {}, "DeleteTrial": {}, "DeleteExperiment": {}}
    strict.answers["CreateTrainingJob"] = refusal("ResourceLimitExceeded")
    assert train("--yes", *TWO_LAYERS) == 9
    assert strict.actions[-2:] == ["DeleteTrial", "DeleteExperiment"]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"ListObjectsV2": {}}, "There is nothing at s3://my-bucket/faces/toy32/.*cloud upload"),
        (
            {"DescribeImages": refusal("RepositoryNotFoundException")},
            "no repository facegan-training in ECR.*facegan cloud push",
        ),
        (
            {"CreateTrainingJob": refusal("ResourceInUse")},
            "a job named faces-1 already.*another --name; `facegan cloud attach faces-1`",
        ),
        (
            {"CreateTrainingJob": refusal("ValidationException", "Could not assume role x.")},
            "Could not assume role.*facegan cloud check",
        ),
    ],
)
def test_what_aws_refuses_ends_in_the_next_step(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], answers: dict[str, Any], told: str
) -> None:
    ready(strict, **answers)
    assert train("--yes") == 9
    assert re.search(told, capsys.readouterr().err, re.DOTALL)


def test_what_only_the_role_may_look_at_is_no_reason_to_stop(strict: StrictAws) -> None:
    denied = refusal("AccessDeniedException")
    ready(strict, DescribeImages=denied, ListObjectsV2=refusal("AccessDenied"), GetObject=denied)
    named = f"{REGISTRY}/facegan-training:1"
    assert train("--yes", "--image", named) == 0
    image = strict.request("CreateTrainingJob")["AlgorithmSpecification"]["TrainingImage"]
    assert image == named


WITHOUT_PRESET = [word for word in LEAST if word not in ("--preset", "toy32")]
NOT_KNOWN = "Give --resolution, what the data was prepared at, or a --preset"


@pytest.mark.parametrize(
    ("manifest", "family", "told"),
    [
        ({"resolution": 64}, "dcgan", ""),
        ({"resolution": 256}, "stylegan2", ""),
        ({}, "dcgan", ""),  # plain images are made as large as the container's default
        ({"resolution": 128}, "dcgan", "no default preset at 128 px"),
        ({"resolution": 512}, "r3gan", "no default preset at 512 px"),
        (refusal("AccessDenied"), "dcgan", NOT_KNOWN),
    ],
)
def test_a_job_whose_preset_cannot_be_chosen_is_refused_before_it_costs(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], manifest: Any, family: str, told: str
) -> None:
    refused = isinstance(manifest, Exception)
    body = manifest if refused else lambda _: {"Body": io.BytesIO(json.dumps(manifest).encode())}
    ready(strict, GetObject=body)
    code = run_safely(facegan, [*WITHOUT_PRESET, "--family", family, "--yes"])
    assert (code, "CreateTrainingJob" in strict.actions) == ((2, False) if told else (0, True))
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("has_torch", [True, False])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), NOT_KNOWN),
        (("--resolution", "64"), ""),
        (("--resolution", "512"), "no default preset at 512 px"),
        (("--resolution", "512", "--family", "stylegan2"), "no default preset at 512 px"),
    ],
)
def test_a_dry_run_which_reads_no_data_needs_the_resolution_or_the_preset(
    strict: StrictAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    has_torch: bool, options: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    if not has_torch:
        monkeypatch.setitem(sys.modules, "torch", None)
    assert run_safely(facegan, [*WITHOUT_PRESET, *options, "--dry-run"]) == (2 if told else 0)
    assert told in " ".join(capsys.readouterr().err.split())
    assert strict.asked == []


@pytest.mark.parametrize(
    ("options", "told", "code"),
    [
        (("--set", "total_king=5"), "Did you mean --total-kimg", 2),
        (("--set", "beta1=2"), "beta1 is 2.0. It must lie between", 2),
        (("--set", "augment_target=0.5"), "nothing is augmented", 2),
        (("--total-kimg", "5", "--set", "total_kimg=6"), "total_kimg is given twice", 2),
        (("--set", "beta1"), "is not NAME=VALUE", 2),
        (("--resolution", "33"), "33", 2),
        (("--evaluation", "s3://b/e"), "nothing would be evaluated.*--evaluate-kimg", 2),
        (("--evaluate-split", "test"), "nothing would be evaluated.*--evaluate-kimg", 2),
        (("--max-minutes", "60", "--max-hours", "1"), "a job that is stopped has no model", 2),
        (("--max-wait-hours", "3"), "--max-wait-hours goes with --spot", 2),
        (("--instance-type", "local"), "make local-test", 2),
        (("--max-hours", "700"), "672 at most", 2),
        (("--data", "photos"), "pictures is 'photos/'. Give s3://", 2),
        (("--channel", "x=s3://b/x,Slow"), "'Slow' is none of File", 2),
        (("--role", ""), "No role is known.*--role", 9),
    ],
)
def test_what_would_fail_later_is_refused_before_aws_is_asked(
    strict: StrictAws,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    told: str,
    code: int,
) -> None:
    assert train(*options, "--yes") == code
    assert re.search(told, " ".join(capsys.readouterr().err.split()), re.IGNORECASE)
    assert strict.asked == []


def test_without_torch_names_types_and_ranges_are_checked(
    strict: StrictAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert train("--dry-run", "--set", "beta1=0.5") == 0
    for value, message in (("half", "beta1 is 'half'. It must be a number."),
                           ("2", "beta1 is 2.0. It must lie between 0 and 0.9999.")):  # fmt: skip
        assert train("--dry-run", "--set", f"beta1={value}") == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_the_same_command_twice_in_a_minute_names_one_job() -> None:
    values = {"family": "r3gan", "preset": "tiny"}
    assert wishes.derived_name(values).startswith("r3gan-tiny-20")


def test_the_same_data_is_not_its_neighbours() -> None:
    """SageMaker takes every key that begins with a channel's address."""
    assert folder("s3://b/cats") == folder("s3://b/cats/") == "s3://b/cats/"


def test_it_can_be_followed_at_once(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    ready(strict, DescribeTrainingJob=described(), DescribeLogStreams={"logStreams": []})
    assert train("--yes", "--wait") == 0
    assert "faces-1 is complete: s3://" in capsys.readouterr().out


def test_an_interrupt_while_it_is_started_says_what_may_be(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(strict, CreateTrainingJob=KeyboardInterrupt())
    assert train("--yes") == 130
    assert "Whether faces-1 was started is not known" in capsys.readouterr().err


def test_from_start_to_end_on_moto(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which completes a job at once, and fails where it is asked for an experiment it has not."""
    sagemaker = aws.client("sagemaker")
    sagemaker.create_experiment(ExperimentName="faces")
    sagemaker.create_trial(TrialName="faces-first", ExperimentName="faces")
    s3 = aws.client("s3")
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="my-bucket", CreateBucketConfiguration=where)
    s3.put_object(Bucket="my-bucket", Key="faces/toy32/dataset.json", Body=b"{}")
    monkeypatch.setattr("facegan.cli.cloud.desk.Aws", lambda *_: aws)
    monkeypatch.chdir(tmp_path)
    assert train("--image", "mine:1", "--yes", *TWO_LAYERS) == 0
    assert run_safely(facegan, ["cloud", "attach", "faces-1"]) == 0
    told = capsys.readouterr().out
    assert "Started faces-1." in told and "faces-1 is complete: s3://my-bucket/" in told
    arn = sagemaker.describe_training_job(TrainingJobName="faces-1")["TrainingJobArn"]
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "facegan:project", "Value": "faces"}]
