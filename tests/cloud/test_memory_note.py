"""`facegan cloud train` says before it costs what a preset needs and what the GPU has."""

import json

import pytest
from strict_aws import StrictAws

from facegan.cli.__main__ import facegan, run_safely
from facegan.gans.memory import GIB
from facegan.gpu_check import gpus_of

LEAST = (
    *("cloud", "train", "--data", "s3://my-bucket/faces/photos64", "--dry-run"),
    *("--role", "arn:aws:iam::123456789012:role/facegan", "--bucket", "my-bucket"),
    *("--project", "faces", "--name", "faces-1", "--region", "eu-west-1"),
)
PAPER64 = ("--family", "r3gan", "--resolution", "64")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*PAPER64, "--instance-type", "ml.g5.xlarge"), "for 256 images at once in bf16"),
        ((*PAPER64, "--instance-type", "ml.g5.xlarge"), "a GPU of ml.g5.xlarge has 22.0 GiB. "
         "micro_batch=64 needs about"),
        ((*PAPER64, "--instance-type", "ml.g5.12xlarge", "--instances", "2"), "for 32 images"),
        ((*PAPER64, "--instance-type", "ml.g4dn.xlarge", "--set", "micro_batch=auto"), "in fp32"),
        ((*PAPER64, "--instance-type", "ml.g5.xlarge", "--set", "micro_batch=8"), "for 8 images"),
        (("--family", "r3gan", "--resolution", "256", "--instance-type", "ml.g4dn.xlarge", "--set",
          "micro_batch=32"), "has 14.6 GiB. micro_batch="),
    ],
)  # fmt: skip
def test_the_need_and_the_gpu_are_said_beside_the_requests(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert run_safely(facegan, [*LEAST, *words]) == 0
    said = capsys.readouterr()
    assert told in said.err and said.err.count("Memory: about") == 1
    assert json.loads(said.out)[-1]["action"] == "CreateTrainingJob"


@pytest.mark.parametrize(
    "words",
    [
        (*PAPER64, "--instance-type", "ml.m5.xlarge"),
        (*PAPER64, "--instance-type", "ml.g99.xlarge"),
        (*PAPER64, "--instance-type", "ml.g5.xlarge", "--set", "device=cpu"),
        (*PAPER64, "--instance-type", "ml.g5.xlarge", "--set", "width=384"),
        ("--family", "r3gan", "--preset", "tiny", "--instance-type", "ml.g5.xlarge"),
    ],
)
def test_where_nothing_is_known_nothing_is_said(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run_safely(facegan, [*LEAST, *words]) == 0
    assert "Memory" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--set", "micro_batch=7"), "does not divide the batch of 256 images"),
        (("--set", "micro_batch=some"), "It must be a number of images, or auto."),
        (("--set", "micro_batch=64", "--instances", "8"), "more than the 32 images of the batch "
         "that each of 8 processes holds"),
    ],
)  # fmt: skip
def test_a_micro_batch_that_is_not_exact_is_refused_before_it_costs(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert run_safely(facegan, [*LEAST, *PAPER64, "--instance-type", "ml.g5.xlarge", *words]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert strict.asked == []


def test_instance_types_have_the_gpus_that_aws_lists() -> None:
    found = {name: gpus_of(f"ml.{name}") for name in
             ("g4dn.12xlarge", "g5.16xlarge", "g5.48xlarge", "p3.8xlarge", "p4de.24xlarge",
              "p5.4xlarge", "p5.48xlarge", "c7i.xlarge")}  # fmt: skip
    counts = {name: gpus and gpus.count for name, gpus in found.items()}
    assert list(counts.values()) == [4, 1, 8, 4, 8, 1, 8, None]
    assert found["p4de.24xlarge"].bytes == pytest.approx(79.2 * GIB)
    assert not found["p3.8xlarge"].has_bf16 and found["g5.48xlarge"].has_bf16
