"""A batch transform job followed to its end; the model that was made for it goes with it."""

import time
from collections.abc import Callable
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.deploying import POLL_SECONDS, Say, last_lines, minutes, tell_lines
from facegan.cloud.endpoint_requests import delete_all, delete_model
from facegan.cloud.transform_request import describe
from facegan.errors import CloudError

LOG_GROUP = "/aws/sagemaker/TransformJobs"
ENDED = ("Completed", "Failed", "Stopped")


def transform_job(aws: Aws, name: str) -> Any:
    """A job as it is.

    Raises:
        CloudError: there is none.
    """
    try:
        return aws.ask(describe(name))
    except CloudError as error:
        if "could not find" not in error.message.lower():
            raise
        hint = "`facegan cloud transform status` lists those there are."
        raise CloudError(f"There is no transform job {name}.", hint, error.code) from error


def check_free(aws: Aws, name: str) -> None:
    """Refuse a name that a job has, or had.

    Raises:
        CloudError: there is one.
    """
    try:
        status = transform_job(aws, name)["TransformJobStatus"]
    except CloudError as error:
        if error.message.startswith("There is no transform job"):
            return
        raise
    hint = f"Give another; `facegan cloud transform status {name} --wait` says how that one does."
    raise CloudError(f"There is a transform job {name} already, which is {status}.", hint)


def wait_for_transform(
    aws: Aws, name: str, say: Say, sleep: Callable[[float], object] = time.sleep
) -> Any:
    """Wait for a job's end, and delete its model.

    Returns:
        Its description.

    Raises:
        CloudError: it failed; with the reason and its last log lines.
    """
    waited, told = 0.0, ""
    while True:
        job = transform_job(aws, name)
        status = job["TransformJobStatus"]
        if status != told:
            say(f"{minutes(waited)}  {name}: {status}")
            told = status
        if status in ENDED:
            break
        sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    if job["ModelName"] == name:
        delete_all(aws.ask, [delete_model(name)], lambda call: say(f"  {call.action} {call.on}"))
    if status == "Failed":
        tell_lines(last_lines(aws, LOG_GROUP, f"{name}/"), LOG_GROUP, say)
        hint = "The lines above say more. The answers of lines that went well are not kept."
        raise CloudError(f"The job {name} failed: {job.get('FailureReason', '')}", hint, "Failed")
    return job
