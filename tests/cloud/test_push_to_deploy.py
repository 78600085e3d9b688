"""From `push` to a job and an endpoint: `check`, `train` and `deploy` take what was pushed."""

import io
import json
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from facegan import __version__
from facegan.cli.__main__ import facegan, run_safely
from facegan.cloud.aws import Aws

ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/facegan"
BUCKET = "my-bucket"
SETTINGS = (
    f'[cloud]\nregion = "eu-west-1"\nbucket = "{BUCKET}"\nrole = "{ROLE}"\nproject = "faces"\n'
)
TRAIN = ("train", "--data", f"s3://{BUCKET}/faces64", "--instance-type", "ml.g5.xlarge")
MODEL = f"s3://{BUCKET}/model.tar.gz"


@pytest.fixture
def account(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Aws:
    """A moto account with data and a model, an empty ECR, and a stand-in for Docker's client."""
    stand_in = tmp_path / "docker"
    script = Path(__file__).with_name("docker_stand_in.py")
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} -S {script} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(stand_in))
    monkeypatch.setattr("facegan.cli.cloud.desk.Aws", lambda *_: aws)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.chdir(tmp_path)
    Path("facegan.toml").write_text(SETTINGS)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=BUCKET, Key="faces64/dataset.json", Body=b'{"resolution": 64}')
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=archive())
    return aws


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz"):
        pass
    return packed.getvalue()


def cloud(*words: object) -> int:
    return run_safely(facegan, ["cloud", *map(str, words)])


def push(monkeypatch: pytest.MonkeyPatch, *tags: str) -> None:
    """Push both images with the tags that `make build` gave them."""
    monkeypatch.setenv("STAND_IN_TAGS", " ".join(tags))
    assert cloud("push", "--yes") == 0


def images(aws: Aws, kind: str) -> list[dict[str, Any]]:
    repository = f"facegan-{kind}"
    found: list[dict[str, Any]] = aws.client("ecr").describe_images(repositoryName=repository)[
        "imageDetails"
    ]
    return found


def test_what_push_pushes_is_what_check_train_and_deploy_take(
    account: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    push(monkeypatch, __version__, "abcdef123456", "local")
    for kind in ("training", "inference"):
        (one,) = images(account, kind)
        assert set(one["imageTags"]) == {__version__, "abcdef123456"}  # nobody pushed `latest`
    capsys.readouterr()

    cloud("check", "--json")  # moto has no role of that name: the images are what is looked at
    found = {it["what"]: it for it in json.loads(capsys.readouterr().out)}
    for kind in ("training", "inference"):
        assert found[f"{kind} image"]["state"] == "ok", found
        assert images(account, kind)[0]["imageDigest"] in found[f"{kind} image"]["told"]

    assert cloud(*TRAIN, "--name", "faces-1", "--yes") == 0
    sagemaker = account.client("sagemaker")
    job = sagemaker.describe_training_job(TrainingJobName="faces-1")
    assert job["AlgorithmSpecification"]["TrainingImage"] == by_digest(account, "training")

    assert cloud("deploy", "faces", "--model", MODEL, "--serverless", 4096, "--yes") == 0
    (model,) = sagemaker.list_models()["Models"]
    described = sagemaker.describe_model(ModelName=model["ModelName"])
    assert described["PrimaryContainer"]["Image"] == by_digest(account, "inference")


def by_digest(aws: Aws, kind: str, place: int = 0) -> str:
    return f"{REGISTRY}/facegan-{kind}@{images(aws, kind)[place]['imageDigest']}"


def test_the_image_that_was_pushed_last_counts(
    account: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(monkeypatch, "0.0.1", "aaaaaaaaaaaa")
    (first,) = images(account, "training")
    while datetime.now(UTC) < first["imagePushedAt"] + timedelta(seconds=1):
        pass  # moto's clock has whole seconds
    push(monkeypatch, "0.0.2", "bbbbbbbbbbbb")
    second = next(
        it for it in images(account, "training") if it["imageDigest"] != first["imageDigest"]
    )
    assert cloud(*TRAIN, "--name", "faces-1", "--yes") == 0
    job = account.client("sagemaker").describe_training_job(TrainingJobName="faces-1")
    assert job["AlgorithmSpecification"]["TrainingImage"].endswith(second["imageDigest"])


def test_the_variant_without_cuda_is_not_paid_on_a_gpu(
    account: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    push(monkeypatch, f"{__version__}-cpu", "abcdef123456-cpu")
    assert cloud(*TRAIN, "--yes") == 2
    assert "variant without CUDA" in capsys.readouterr().err
    assert cloud(*TRAIN, "--set", "device=cpu", "--yes") == 0
    on = ("--instance-type", "ml.g6.xlarge", "--model", MODEL, "--yes")
    assert cloud("deploy", "faces", *on) == 2
    assert not account.client("sagemaker").list_models()["Models"]
