"""What SageMaker tells of a training job, in the words that people need: state, time, next step."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from facegan.cloud.absent import is_absent
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Ask, Call
from facegan.cloud.settings import PROJECT_TAG
from facegan.errors import CloudError

Description = Mapping[str, Any]  # as DescribeTrainingJob and Search answer

ENDED = ("Completed", "Failed", "Stopped")
STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")

CAPACITY = "AWS has none of these instances now: try later, another type or region, or no spot."
DATA = "See that the data set is there (`aws s3 ls`), or upload it: `facegan cloud upload`."
RIGHTS = "`facegan cloud check` says what the role lacks."
PUSH = "Push the image: `facegan cloud push`."
MEMORY = "It ran out of memory: set micro_batch (auto finds what fits a GPU), or a larger instance."
DRIVER = "The machine's driver is older than the image's CUDA: see docs/containers.md."
RESUME = "`facegan cloud resume {name}` goes on from its last checkpoint."
LONGER = "Its time was up. `facegan cloud resume {name} --max-hours …` goes on; to end with a "
LONGER += "model in time, set max_minutes."
REASONS = (  # what a FailureReason has in it, in small letters → the next step; the first counts
    (("capacityerror", "insufficient capacity", "insufficientcapacity"), CAPACITY),
    (("access denied", "accessdenied", "not authorized", "403 forbidden"), RIGHTS),
    (("no s3 objects", "nosuchkey", "nosuchbucket", "data download"), DATA),
    (("cannotpullcontainer", "image does not exist", "repository does not exist"), PUSH),
    (("exit code: 137", "out of memory", "outofmemory", "cuda error: out"), MEMORY),
    (("nvidia driver", "driver version is insufficient"), DRIVER),
    (("internalservererror", "internal server error", "please try again"), RESUME),
)


def describe(ask: Ask, name: str) -> dict[str, Any]:
    """All that SageMaker knows of a job.

    Raises:
        CloudError: there is none of that name, or it may not be looked at.
    """
    call = Call("sagemaker", "DescribeTrainingJob", {"TrainingJobName": name}, name)
    try:
        found: dict[str, Any] = ask(call)
    except CloudError as error:
        if is_absent(error):
            hint = "`facegan cloud jobs` lists those of this project; --region names another."
            raise CloudError(f"There is no training job {name!r}.", hint, error.code) from error
        raise
    return found


def is_running(job: Description) -> bool:
    """Whether a job may still change, and cost."""
    return job["TrainingJobStatus"] not in ENDED


def is_warm(job: Description) -> bool:
    """Whether an ended job's instances are kept, and paid, for a next one."""
    return bool(job.get("WarmPoolStatus", {}).get("Status") == "Available")


def failure_hint(job: Description) -> str:
    """The next step after a job that ended without a model; "" where its reason says it."""
    name, secondary = job["TrainingJobName"], job.get("SecondaryStatus", "")
    if secondary in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        return LONGER.format(name=name)
    reason = str(job.get("FailureReason", "")).lower()
    for signs, hint in REASONS:
        if any(sign in reason for sign in signs):
            return hint.format(name=name)
    if job["TrainingJobStatus"] == "Stopped" and job.get("CheckpointConfig"):
        return RESUME.format(name=name)
    return ""


def spot_savings(job: Description) -> int | None:
    """How many percent spot instances have saved; None where that is not known, or not spot."""
    took, paid = job.get("TrainingTimeInSeconds"), job.get("BillableTimeInSeconds")
    if not job.get("EnableManagedSpotTraining") or not took or paid is None:
        return None
    share: float = 1 - paid / took
    return round(100 * share)


def seconds_since(moment: Any, now: datetime | None = None) -> float:
    """Seconds from a moment of AWS's to now."""
    return ((now or datetime.now(UTC)) - moment).total_seconds() if moment else 0.0


def duration(seconds: float | None) -> str:
    """A length of time in its two largest parts: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return "–"
    whole = max(round(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{minutes} min" + (f" {whole % 60} s" if whole % 60 else "")
    if whole < 86400:
        return f"{hours} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    return f"{days} d" + (f" {hours % 24} h" if hours % 24 else "")


def list_jobs(
    aws: Aws, project: str | None, name: str | None, status: str | None, most: int
) -> list[dict[str, Any]]:
    """The newest jobs.

    Args:
        aws: Where to look.
        project: Only those with its tag; None: all of the account's in the region.
        name: Only those that have it in their name.
        status: Only those in that state.
        most: How many.

    Raises:
        CloudError: they cannot be listed.
    """
    filters = [
        *([{"Name": "TrainingJobName", "Operator": "Contains", "Value": name}] if name else []),
        *([{"Name": "TrainingJobStatus", "Operator": "Equals", "Value": status}] if status else []),
    ]
    if project is not None:
        filters.append({"Name": f"Tags.{PROJECT_TAG}", "Operator": "Equals", "Value": project})
    request: dict[str, Any] = {
        "Resource": "TrainingJob",
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": min(most, 100),
    }
    if filters:
        request["SearchExpression"] = {"Filters": filters}
    found: list[dict[str, Any]] = []
    for record in aws.pages(Call("sagemaker", "Search", request, "training jobs"), "Results"):
        found.append(record["TrainingJob"])
        if len(found) == most:
            break
    return found
