"""`facegan cloud tune`: what is sent, and how results are told."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from described_jobs import BEGUN, described
from strict_aws import StrictAws, refusal

from facegan.cli.__main__ import facegan, run_safely

START = (
    *("cloud", "tune", "start", "--data", "s3://my-bucket/d", "--instance-type", "ml.g5.xlarge"),
    *("--role", "arn:aws:iam::123456789012:role/facegan", "--bucket", "my-bucket"),
    *("--name", "faces-tune", "--preset", "article32", "--max-hours", "2"),
)
WISHES = ("--range", "beta1=0.1:0.9", "--choice", "conv_dim=16,32", "--evaluate-kimg", "20")
READY = {
    "DescribeImages": {"imageDetails": [{"imageDigest": "sha256:" + "a" * 64}]},
    "ListObjectsV2": {"Contents": [{"Key": "dataset.json"}]},
    "GetObject": refusal("NoSuchKey"),
    "CreateHyperParameterTuningJob": {},
}


def tuning(status: str = "InProgress", goal: str = "Minimize", **others: Any) -> dict[str, Any]:
    objective = {"Type": goal, "MetricName": "kid_lite0"}
    return {
        "HyperParameterTuningJobName": "faces-tune",
        "HyperParameterTuningJobStatus": status,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian", "HyperParameterTuningJobObjective": objective,
        },
        "CreationTime": BEGUN,
        "TrainingJobStatusCounters": {"Completed": 2, "InProgress": 1, "Stopped": 0},
        **others,
    }  # fmt: skip


def trained(name: str, value: float | None, **tuned: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "TrainingJobName": name, "TrainingJobStatus": "Completed", "TunedHyperParameters": tuned,
        "TrainingStartTime": BEGUN, "TrainingEndTime": BEGUN + timedelta(minutes=7),
    }  # fmt: skip
    if value is not None:
        figure = {"MetricName": "kid_lite0", "Value": value}
        told["FinalHyperParameterTuningJobObjectiveMetric"] = figure
    return told


JOBS = [
    trained("a", None, beta1='"0.5"'),
    trained("b", 0.3, beta1='"0.123456"'),
    trained("c", 0.2, beta1='"0.9"'),
]


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", "tune", *words])


def test_a_dry_run_prints_the_request(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_safely(facegan, [*START, *WISHES, "--spot", "--dry-run"]) == 0
    (call,) = json.loads(capsys.readouterr().out)
    assert call["action"] == "CreateHyperParameterTuningJob" and strict.asked == []
    definition = call["request"]["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == {"preset": "article32", "evaluate_kimg": "20"}
    assert definition["CheckpointConfig"]["S3Uri"].endswith("/jobs/faces-tune/checkpoints")


def test_it_asks_first_with_all_that_it_may_cost(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers |= READY
    assert run_safely(facegan, [*START, *WISHES, "--price", "1", "--max-jobs", "10"]) == 2
    told = capsys.readouterr().err
    assert "10 training jobs of 2 h at most, 2 at a time" in told
    assert "$20.00 at most" in told and "facegan cloud tune stop faces-tune" in told
    assert "CreateHyperParameterTuningJob" not in strict.actions


def test_it_is_started(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers |= READY
    assert run_safely(facegan, [*START, *WISHES, "--yes"]) == 0
    request = strict.request("CreateHyperParameterTuningJob")
    image = request["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"]
    assert "@sha256:" in image
    assert request["Tags"] == [{"Key": "facegan:project", "Value": "facegan"}]
    assert "12 jobs at most, kid_lite0 to minimize" in capsys.readouterr().out


def test_a_taken_name_is_said(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers |= READY | {"CreateHyperParameterTuningJob": refusal("ResourceInUse")}
    assert run_safely(facegan, [*START, *WISHES, "--yes"]) == 9
    assert "There is a tuning job named faces-tune already." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (WISHES[2:], None),
        (("--range", "beta1=0.1"), "is not NAME=LOW:HIGH"),
        (("--choice", "beta1"), "is not NAME=A,B"),
        (("--range", "beta1=0.1:2", "--evaluate-kimg", "20"), "beta1 is 2"),
        (("--range", "beta=0.1:0.2", "--evaluate-kimg", "20"), "Did you mean beta"),
        (("--range", "beta1=0.1:0.2"), "no job would measure it"),
        (("--evaluate-kimg", "20"), "0 hyperparameters are to be found"),
    ],
)
def test_what_would_fail_later_is_refused_before_aws_is_asked(
    strict: StrictAws,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    told: str | None,
) -> None:
    assert run_safely(facegan, [*START, *options, "--dry-run"]) == (2 if told else 0)
    assert (told or "") in " ".join(capsys.readouterr().err.split())
    assert strict.asked == []


@pytest.mark.parametrize(("goal", "order"), [("Minimize", "cba"), ("Maximize", "bca")])
def test_results_are_a_table_with_the_best_first(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], goal: str, order: str
) -> None:
    strict.answers["DescribeHyperParameterTuningJob"] = tuning(goal=goal)
    strict.answers["ListTrainingJobsForHyperParameterTuningJob"] = {"TrainingJobSummaries": JOBS}
    assert run("results", "faces-tune") == 0
    head, heads, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("faces-tune: InProgress (2 Completed, 1 InProgress); the ")
    assert re.fullmatch(r" +NAME +STATUS +KID_LITE0 +beta1 +TOOK", heads)
    assert [row.split()[1] for row in rows] == list(order)
    (line,) = [row for row in rows if " b " in row]
    assert re.search(r"Completed +0\.3 +0\.1235 +7 min$", line)


def test_results_for_programs(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers["DescribeHyperParameterTuningJob"] = tuning()
    strict.answers["ListTrainingJobsForHyperParameterTuningJob"] = {"TrainingJobSummaries": JOBS}
    assert run("results", "faces-tune", "--json", "--max", "1") == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (job["name"], job["value"]) == ("c", 0.2)


def test_without_a_name_all_tuning_jobs_are_listed(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers["Search"] = {"Results": [{"HyperParameterTuningJob": tuning()}]}
    assert run("results") == 0
    assert re.search(r"faces-tune +InProgress +kid_lite0 +3", capsys.readouterr().out)
    filters = strict.request("Search")["SearchExpression"]["Filters"]
    assert filters == [{"Name": "Tags.facegan:project", "Operator": "Equals", "Value": "facegan"}]


def test_the_best_has_a_model_to_deploy(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    won = trained("faces-1", 0.2, beta1='"0.9"')
    strict.answers["DescribeHyperParameterTuningJob"] = tuning(BestTrainingJob=won)
    strict.answers["DescribeTrainingJob"] = described()
    assert run("best", "faces-tune") == 0
    told = capsys.readouterr().out
    assert "faces-1: kid_lite0 0.2" in told and "beta1 = 0.9" in told
    assert "facegan cloud deploy NAME --model s3://my-bucket/faces/jobs/faces-1/output" in told
    assert "it may be beaten" in told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (tuning(), "No job of faces-tune has measured"),
        (refusal("ResourceNotFound"), "There is no tuning job 'faces-tune'"),
    ],
)
def test_no_best_is_said(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], answer: Any, told: str
) -> None:
    strict.answers["DescribeHyperParameterTuningJob"] = answer
    assert run("best", "faces-tune") == 9
    assert told in capsys.readouterr().err


def test_it_is_stopped_once(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers["DescribeHyperParameterTuningJob"] = [tuning(), tuning("Stopped")]
    strict.answers["StopHyperParameterTuningJob"] = {}
    assert run("stop", "faces-tune", "--yes") == 0
    assert run("stop", "faces-tune", "--yes") == 0
    assert strict.actions.count("StopHyperParameterTuningJob") == 1
    assert "has ended already (Stopped)" in capsys.readouterr().out
