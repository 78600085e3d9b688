"""Tuning jobs that are there: what each of their training jobs came to, and which was the best."""

from collections.abc import Mapping
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.launching import is_absent
from facegan.cloud.settings import PROJECT_TAG
from facegan.cloud.tuning_request import TuningJob
from facegan.errors import CloudError

ENDED = ("Completed", "Failed", "Stopped", "Deleted", "DeleteFailed")


def creation(job: TuningJob) -> Call:
    """The call that starts a tuning job, and the one that stops it."""
    return Call(
        "sagemaker",
        "CreateHyperParameterTuningJob",
        job.request(),
        job.name,
        stopping(job.name),
    )


def stopping(name: str) -> Call:
    """The call that stops a tuning job, and all jobs of it that run."""
    request = {"HyperParameterTuningJobName": name}
    return Call("sagemaker", "StopHyperParameterTuningJob", request, name)


def describe(aws: Aws, name: str) -> dict[str, Any]:
    """All that SageMaker knows of a tuning job.

    Raises:
        CloudError: there is none of that name, or it may not be looked at.
    """
    request = {"HyperParameterTuningJobName": name}
    try:
        found: dict[str, Any] = aws.ask(
            Call("sagemaker", "DescribeHyperParameterTuningJob", request, name)
        )
    except CloudError as error:
        if is_absent(error):
            hint = "`facegan cloud tune results` lists those of this project."
            raise CloudError(f"There is no tuning job {name!r}.", hint, error.code) from error
        raise
    return found


def objective_of(described: Mapping[str, Any]) -> tuple[str, bool]:
    """What a tuning job is for: the figure's name, and whether less of it is better."""
    told = described["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return str(told["MetricName"]), told["Type"] == "Minimize"


def training_jobs(aws: Aws, described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A tuning job's training jobs, the best first; those without a figure last.

    Raises:
        CloudError: they cannot be listed.
    """
    name = described["HyperParameterTuningJobName"]
    request = {"HyperParameterTuningJobName": name, "MaxResults": 100}
    listing = Call("sagemaker", "ListTrainingJobsForHyperParameterTuningJob", request, name)
    found = list(aws.pages(listing, "TrainingJobSummaries"))
    _, is_less_better = objective_of(described)
    sign = 1 if is_less_better else -1

    def rank(job: Mapping[str, Any]) -> tuple[bool, float]:
        value = value_of(job)
        return value is None, sign * (value or 0.0)

    return sorted(found, key=rank)


def value_of(job: Mapping[str, Any]) -> float | None:
    """A training job's objective, the last that it printed; None where it has none."""
    told = job.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if told is None else float(told["Value"])


def list_tuning(aws: Aws, project: str | None, most: int) -> list[dict[str, Any]]:
    """The newest tuning jobs, of a project or of all.

    Raises:
        CloudError: they cannot be listed.
    """
    request: dict[str, Any] = {
        "Resource": "HyperParameterTuningJob",
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": min(most, 100),
    }
    if project is not None:
        tag = {"Name": f"Tags.{PROJECT_TAG}", "Operator": "Equals", "Value": project}
        request["SearchExpression"] = {"Filters": [tag]}
    found: list[dict[str, Any]] = []
    for record in aws.pages(Call("sagemaker", "Search", request, "tuning jobs"), "Results"):
        found.append(record["HyperParameterTuningJob"])
        if len(found) == most:
            break
    return found
