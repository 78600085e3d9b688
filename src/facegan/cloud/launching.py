"""From a wish to a running job: the calls, in their order, and what a refusal means."""

from collections.abc import Mapping
from typing import Any

from facegan.cloud.calls import Ask, Call
from facegan.cloud.training_request import TrainingJob, tag_list
from facegan.errors import CloudError


def launch_calls(job: TrainingJob) -> list[Call]:
    """What starts a job: where it is grouped, the group and its run, and then the job itself."""
    return [*grouping_calls(job), creation(job.request())]


def creation(request: Mapping[str, Any]) -> Call:
    """The call that starts a job, and the one that stops it."""
    name = str(request["TrainingJobName"])
    return Call("sagemaker", "CreateTrainingJob", dict(request), name, stopping(name))


def stopping(name: str) -> Call:
    """The call that stops a job."""
    return Call("sagemaker", "StopTrainingJob", {"TrainingJobName": name}, name)


def cooling(name: str) -> Call:
    """The call that gives back the instances that an ended job keeps warm."""
    request = {"TrainingJobName": name, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    return Call("sagemaker", "UpdateTrainingJob", request, name)


def grouping_calls(job: TrainingJob) -> list[Call]:
    """The calls that make a job's experiment, and the run in it."""
    if job.experiment is None or job.trial is None:
        return []
    group = {"ExperimentName": job.experiment}
    run = {"TrialName": job.trial}
    tags = {"Tags": tag_list(job.tags)} if job.tags else {}
    return [
        Call(
            "sagemaker",
            "CreateExperiment",
            group | tags,
            job.experiment,
            Call("sagemaker", "DeleteExperiment", group, job.experiment),
        ),
        Call(
            "sagemaker",
            "CreateTrial",
            run | group | tags,
            job.trial,
            Call("sagemaker", "DeleteTrial", run, job.trial),
        ),
    ]


def missing_groups(ask: Ask, job: TrainingJob) -> list[Call]:
    """Those of :func:`grouping_calls` whose things are not there yet.

    Raises:
        CloudError: they cannot be looked at.
    """
    if job.experiment is None or job.trial is None:
        return []
    group, run = job.experiment, job.trial
    looks = (
        Call("sagemaker", "DescribeExperiment", {"ExperimentName": group}, group),
        Call("sagemaker", "DescribeTrial", {"TrialName": run}, run),
    )
    makings = zip(looks, grouping_calls(job), strict=True)
    return [making for look, making in makings if not is_there(ask, look)]


def is_there(ask: Ask, look: Call) -> bool:
    """Whether a Describe call finds its thing.

    Raises:
        CloudError: it failed for another reason.
    """
    try:
        ask(look)
    except CloudError as error:
        if is_absent(error):
            return False
        raise
    return True


def is_absent(error: CloudError) -> bool:
    """Whether an error says that the thing is not there: SageMaker has two ways to."""
    told = error.message.lower()
    is_unfound = error.code == "ValidationException" and (
        "could not find" in told or "not found" in told or "does not exist" in told
    )
    return is_unfound or error.code in ("ResourceNotFound", "ResourceNotFoundException")


def explained(error: CloudError, name: str) -> CloudError:
    """What a refusal to start a job means, with the next step."""
    told = error.message.lower()
    if error.code == "ResourceInUse":
        hint = (
            f"Give another --name; `facegan cloud attach {name}` follows that one. Names "
            "stay taken when the jobs have ended, until those are deleted."
        )
        return CloudError(f"There is a job named {name} already.", hint, error.code)
    if error.code == "ValidationException" and ("assume" in told or "role" in told):
        hint = "`facegan cloud check` says what the role lacks, and prints the policy it needs."
        return CloudError(error.message, hint, error.code)
    return error
