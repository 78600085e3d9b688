"""`facegan cloud jobs`, `attach`, `logs`, `stop`, `resume`: what people see, and what is sent."""

import json
import re
from typing import Any

import click
import pytest
from described_jobs import described
from strict_aws import StrictAws, refusal

from facegan.cli.__main__ import facegan, run_safely
from facegan.cloud.job_status import duration, failure_hint, list_jobs, spot_savings
from facegan.cloud.resuming import next_name, resumed_request
from facegan.errors import CloudError, ConfigError

LINES = {
    "faces-1/algo-1-170": ["kimg=1; generator=0.7;", "kimg=2; generator=0.6;"],
    "faces-1/algo-2-170": ["hello from the other"],
}
ABSENT = refusal("ValidationException", "Requested resource not found.")
OTHER = {"Key": "team", "Value": "x"}
TAGS = {"Tags": [OTHER, {"Key": "aws:created", "Value": "y"}]}


def speak(request: dict[str, Any]) -> dict[str, Any]:
    """A stream's lines at the first look, none later."""
    if "nextToken" in request:
        return {"events": [], "nextForwardToken": request["nextToken"]}
    lines = LINES[request["logStreamName"]]
    events = [{"timestamp": at, "message": text} for at, text in enumerate(lines)]
    return {"events": events, "nextForwardToken": "end"}


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", *words])


@pytest.fixture
def logged(strict: StrictAws) -> StrictAws:
    """With the lines of two hosts."""
    strict.answers |= {
        "DescribeLogStreams": {"logStreams": [{"logStreamName": name} for name in LINES]},
        "GetLogEvents": speak,
    }
    return strict


# --- jobs ---------------------------------------------------------------------------------------


def test_jobs_are_a_table(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    spot = described(EnableManagedSpotTraining=True)
    running = described("InProgress", "Training", TrainingJobName="longer-name")
    running.pop("BillableTimeInSeconds")
    strict.answers["Search"] = {"Results": [{"TrainingJob": it} for it in (running, spot)]}
    assert run("jobs", "--name", "fac", "--status", "Completed", "--project", "faces") == 0
    heads, first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"NAME +STATUS +MACHINES +AGE +PAID +SPOT SAVED", heads)
    assert re.fullmatch(r"longer-name +InProgress +Training +2 × ml.g5.xlarge +.* – +–", first)
    assert re.fullmatch(r"faces-1 +Completed +2 × ml.g5.xlarge .* 5 min +70 %", second)
    assert strict.request("Search") == {
        "Resource": "TrainingJob", "SortBy": "CreationTime", "SortOrder": "Descending",
        "MaxResults": 20,
        "SearchExpression": {"Filters": [
            {"Name": "TrainingJobName", "Operator": "Contains", "Value": "fac"},
            {"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "Completed"},
            {"Name": "Tags.facegan:project", "Operator": "Equals", "Value": "faces"},
        ]},
    }  # fmt: skip


def test_jobs_for_programs(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers["Search"] = {"Results": [{"TrainingJob": described()}]}
    assert run("jobs", "--all", "--json") == 0
    (job,) = json.loads(capsys.readouterr().out)
    assert (job["name"], job["billable_seconds"]) == ("faces-1", 300)
    assert "SearchExpression" not in strict.request("Search")


def test_no_jobs_are_said(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers["Search"] = {"Results": []}
    assert run("jobs") == 0
    told = "There are no such training jobs of the project 'facegan' in eu-west-1."
    assert told in capsys.readouterr().out


def test_jobs_of_a_project_are_found_by_their_tag(aws: Any) -> None:
    """On moto, which keeps tags, but of a search's filters minds the first tag alone."""
    for name, project in (("a", "faces"), ("b", "others")):
        aws.client("sagemaker").create_training_job(
            TrainingJobName=name,
            RoleArn="arn:aws:iam::123456789012:role/r",
            AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "mine:1"},
            OutputDataConfig={"S3OutputPath": "s3://b/o"},
            ResourceConfig={
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=[{"Key": "facegan:project", "Value": project}],
        )  # fmt: skip
    found = list_jobs(aws, "faces", None, None, 10)
    assert [job["TrainingJobName"] for job in found] == ["a"]


# --- attach and logs ----------------------------------------------------------------------------


def test_a_job_is_followed_to_its_end(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    running = described("InProgress", "Training")
    running["SecondaryStatusTransitions"] = running["SecondaryStatusTransitions"][:1]
    logged.answers["DescribeTrainingJob"] = [running, described()]
    assert run("attach", "faces-1") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("Starting: Preparing the instances")
    assert told[1:4] == [
        "algo-1  kimg=1; generator=0.7;", "algo-2  hello from the other",
        "algo-1  kimg=2; generator=0.6;",
    ]  # fmt: skip
    assert told[4].endswith("Training")
    assert told[5].startswith("faces-1 is complete: s3://my-bucket/")
    assert "It took 16 min 40 s, of which 5 min an instance are paid." in told[6]


def test_a_failure_is_told_with_its_reason_and_the_next_step(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "AlgorithmError: CUDA error: out of memory, exit code: 1"
    logged.answers["DescribeTrainingJob"] = described("Failed", FailureReason=reason)
    assert run("attach", "faces-1") == 9
    told = capsys.readouterr()
    assert "hello from the other" in told.out
    assert f"The job faces-1 failed: {reason}" in told.err
    assert "set micro_batch" in told.err


def test_a_stopped_job_has_an_exit_code_of_its_own(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.answers["DescribeTrainingJob"] = described("Stopped", "MaxRuntimeExceeded")
    assert run("attach", "faces-1") == 4
    told = capsys.readouterr().err
    assert "ended without a model: MaxRuntimeExceeded" in told
    assert "facegan cloud resume faces-1 --max-hours" in told


def test_an_interrupt_says_that_the_job_goes_on(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.answers["DescribeTrainingJob"] = [described("InProgress"), KeyboardInterrupt()]
    assert run("attach", "faces-1") == 130
    told = capsys.readouterr().err
    assert "faces-1 goes on, and costs until it ends: 2 × ml.g5.xlarge for at most 1 h" in told
    assert "facegan cloud stop faces-1" in told and "facegan cloud attach faces-1" in told


def test_an_interrupt_before_the_first_look_says_so_too(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.answers["DescribeTrainingJob"] = KeyboardInterrupt()
    assert run("attach", "faces-1") == 130
    assert "faces-1 goes on, and costs until it ends.\n" in capsys.readouterr().err


def test_a_lost_connection_says_that_the_job_goes_on(
    logged: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = CloudError("sagemaker: no connection.", "Check the network.")
    logged.answers["DescribeTrainingJob"] = [described("InProgress"), lost]
    assert run("attach", "faces-1") == 9
    assert "Check the network. The job goes on: `facegan cloud attach" in capsys.readouterr().err


def test_a_job_that_is_not_there_is_said(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers["DescribeTrainingJob"] = ABSENT
    assert run("attach", "faces-1") == 9
    assert "There is no training job 'faces-1'." in capsys.readouterr().err


def test_a_host_has_one_colour_and_none_where_nobody_sees(
    logged: StrictAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("logs", "faces-1") == 0
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    assert run("logs", "faces-1") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("\x1b[36malgo-1") and told[1].startswith("\x1b[35malgo-2")
    assert told[2].startswith("\x1b[36malgo-1")


def test_the_last_lines_alone(logged: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("logs", "faces-1", "--tail", "1") == 0
    assert capsys.readouterr().out == "algo-1  kimg=2; generator=0.6;\n"


def test_lines_for_programs(logged: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("logs", "faces-1", "--json", "--tail", "1") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"milliseconds": 1, "host": "algo-1", "text": "kimg=2; generator=0.6;"}


def test_logs_are_followed_until_the_job_ends(logged: StrictAws) -> None:
    logged.answers["DescribeTrainingJob"] = [described("InProgress"), described()]
    assert run("logs", "faces-1", "--follow") == 0
    assert logged.actions.count("DescribeTrainingJob") == 2


def test_logs_of_an_endpoint(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    strict.answers["DescribeLogStreams"] = refusal("ResourceNotFoundException")
    assert run("logs", "faces", "--endpoint") == 0
    assert strict.request("DescribeLogStreams") == {
        "logGroupName": "/aws/sagemaker/Endpoints/faces"
    }
    assert "faces has printed nothing yet." in capsys.readouterr().err


# --- stop and resume ----------------------------------------------------------------------------


def test_a_job_is_stopped_after_a_yes(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers |= {"DescribeTrainingJob": described("InProgress"), "StopTrainingJob": {}}
    assert run("stop", "faces-1") == 2
    assert "Stop faces-1? It leaves no model; its checkpoints stay." in capsys.readouterr().err
    assert run("stop", "faces-1", "--yes") == 0
    assert strict.request("StopTrainingJob") == {"TrainingJobName": "faces-1"}
    assert "facegan cloud resume faces-1" in capsys.readouterr().out


def test_a_job_that_has_ended_is_not_stopped(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    strict.answers["DescribeTrainingJob"] = described()
    assert run("stop", "faces-1", "--yes") == 0
    assert "has ended already (Completed)" in capsys.readouterr().out


def test_instances_that_are_kept_warm_are_given_back(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    warm = described(WarmPoolStatus={"Status": "Available"})
    strict.answers |= {"DescribeTrainingJob": warm, "UpdateTrainingJob": {}}
    assert run("stop", "faces-1", "--yes") == 0
    assert strict.request("UpdateTrainingJob")["ResourceConfig"] == {"KeepAlivePeriodInSeconds": 0}
    assert "given back" in capsys.readouterr().out
    strict.answers["DescribeLogStreams"] = {}
    assert run("attach", "faces-1") == 0
    assert "Its instances are kept warm, and paid" in capsys.readouterr().out


def test_a_dry_stop_asks_nobody(strict: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stop", "faces-1", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)[0]["action"] == "StopTrainingJob"
    assert strict.asked == []


def test_a_job_goes_on_as_the_next_by_its_own_request(strict: StrictAws) -> None:
    strict.answers |= {"DescribeTrainingJob": described("Stopped"), "ListTags": TAGS}
    strict.answers["CreateTrainingJob"] = {}
    assert run("resume", "faces-1", "--set", "total_kimg=9", "--max-hours", "2", "--yes") == 0
    request = strict.request("CreateTrainingJob")
    before = described()
    assert request["TrainingJobName"] == "faces-2"
    assert request["HyperParameters"] == {"preset": "toy32", "total_kimg": "9"}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    for same in ("CheckpointConfig", "InputDataConfig", "ResourceConfig", "RoleArn"):
        assert request[same] == before[same]
    assert request["Tags"] == [OTHER, {"Key": "facegan:project", "Value": "facegan"}]


def test_a_job_that_was_gone_on_with_is_named(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two jobs on the same checkpoints would spoil them."""
    strict.answers |= {"DescribeTrainingJob": described("Failed"), "ListTags": TAGS}
    strict.answers["CreateTrainingJob"] = refusal("ResourceInUse")
    assert run("resume", "faces-1", "--yes") == 9
    assert "faces-1 was gone on with already, by faces-2." in capsys.readouterr().err


def resumed(job: dict[str, Any], name: str = "faces-2", **wish: Any) -> dict[str, Any]:
    return resumed_request(job, name, tags=[], **{"hyperparameters": {}, **wish})


def test_what_spot_instances_may_wait_grows_with_the_time() -> None:
    told = {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 5400}
    job = described("Stopped", EnableManagedSpotTraining=True, StoppingCondition=told)
    request = resumed(job, max_run_seconds=7200)
    assert request["StoppingCondition"]["MaxWaitTimeInSeconds"] == 9000
    assert request["EnableManagedSpotTraining"] is True


def test_a_tuned_job_goes_on_with_its_own_part_of_the_folder() -> None:
    numbers = {"preset": "toy32", "_tuning_objective_metric": "kid_lite0"}
    request = resumed(described("Stopped", TuningJobArn="arn", HyperParameters=numbers))
    assert request["CheckpointConfig"]["S3Uri"].endswith("/checkpoints/faces-1")
    assert request["HyperParameters"] == {"preset": "toy32"}


@pytest.mark.parametrize(
    ("job", "wish", "told"),
    [
        (described("InProgress"), {}, "still running.*cloud attach faces-1"),
        (described("Stopped", CheckpointConfig={}), {}, "kept no checkpoints"),
        (described(), {}, "is complete: it has its model.*cloud fetch faces-1"),
        (described("Stopped"), {"hyperparameters": {"beta1": "0.5"}}, "beta1 cannot change"),
        (described("Stopped"), {"hyperparameters": {"total_kimg": "x"}}, "total_kimg is 'x'"),
        (described("Stopped"), {"instance_type": "g5"}, "instance type is 'g5'"),
    ],
)
def test_what_cannot_go_on_is_refused(job: dict[str, Any], wish: dict[str, Any], told: str) -> None:
    with pytest.raises((CloudError, ConfigError), match=told):
        resumed(job, **wish)


@pytest.mark.parametrize(
    ("name", "following"),
    [("faces", "faces-2"), ("faces-2", "faces-3"), ("a-20261125", "a-20261125-2")],
)
def test_the_name_of_what_goes_on(name: str, following: str) -> None:
    assert next_name(name) == following


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("CapacityError: Unable to provision", "another type or region"),
        ("ClientError: Data download failed: No S3 objects found", "facegan cloud upload"),
        ("User is not authorized to perform", "facegan cloud check"),
        ("ClientError: CannotPullContainerError", "facegan cloud push"),
        ("InternalServerError: We encountered an internal error", "facegan cloud resume faces-1"),
        ("The sentence of ours that mends itself.", ""),
    ],
)
def test_a_reason_has_its_next_step(reason: str, told: str) -> None:
    hint = failure_hint(described("Failed", FailureReason=reason))
    assert told in hint and bool(hint) is bool(told)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "–"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"),
     (273600, "3 d 4 h")],
)  # fmt: skip
def test_durations_in_their_two_largest_parts(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


def test_savings_are_known_of_spot_jobs_that_have_ended() -> None:
    assert spot_savings(described(EnableManagedSpotTraining=True)) == 70
    assert spot_savings(described()) is None
    assert spot_savings(described(EnableManagedSpotTraining=True, TrainingTimeInSeconds=0)) is None


def test_a_styled_cell_is_as_wide_as_it_looks() -> None:
    from facegan.cli.cloud.tables import table

    styled = click.style("ab", fg="red")
    assert click.unstyle(table(("x", "y"), [(styled, "z")], (1,))).splitlines() == [
        "x   y",
        "ab  z",
    ]
