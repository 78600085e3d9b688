"""CloudFormation stacks: looked up, changed by change sets, followed event by event, deleted."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call, undo
from facegan.cloud.settings import PROJECT_TAG
from facegan.errors import CloudError, FaceGANError

Say = Callable[[str], object]
POLL_SECONDS = 3.0
CHANGE_SET_POLLS = 100  # five minutes
STACK_POLLS = 400  # twenty
NO_CHANGES = ("No updates are to be performed", "didn't contain changes")
MADE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
CHANGEABLE = (*MADE, "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE")
HINTS = {  # part of a resource's reason → the next step
    "UnreservedConcurrentExecution": "This account has few executions at once: --concurrency 0.",
    "not authorized to perform": "Your credentials lack it; infra/README.md has what is needed.",
    "PermanentRedirect": "The bucket is in another region: name one of this region by --bucket.",
    "already exists": "Delete what has that name, or give the door another (--name).",
}


@dataclass(frozen=True)
class Stack:
    """A stack as it is."""

    id: str
    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]


def find_stack(aws: Aws, name: str) -> Stack | None:
    """A stack by its name or id; None where there is none."""
    try:
        found = aws.ask(Call("cloudformation", "DescribeStacks", {"StackName": name}, name))
    except CloudError as error:
        if error.code == "ValidationError" and "does not exist" in error.message:
            return None
        raise
    it = found["Stacks"][0]
    return Stack(
        id=it["StackId"],
        name=it["StackName"],
        status=it["StackStatus"],
        reason=it.get("StackStatusReason", ""),
        parameters={
            one["ParameterKey"]: one.get("ParameterValue", "") for one in it.get("Parameters", ())
        },
        outputs={one["OutputKey"]: one["OutputValue"] for one in it.get("Outputs", ())},
        tags={one["Key"]: one["Value"] for one in it.get("Tags", ())},
    )


def check_ours(stack: Stack) -> None:
    """Refuse a stack that is not the project's work.

    Raises:
        CloudError: it has no tag of ours.
    """
    if PROJECT_TAG not in stack.tags:
        hint = "The name is taken: give another by --name."
        raise CloudError(f"The stack {stack.name} has no tag {PROJECT_TAG}.", hint)


def check_changeable(stack: Stack, take_down: str) -> None:
    """Refuse a stack that takes no change now.

    Raises:
        CloudError: says why, and what to do.
    """
    if stack.status in CHANGEABLE or is_only_planned(stack):
        return
    told = f"The stack {stack.name} is {stack.status}."
    if stack.status.endswith("_IN_PROGRESS"):
        raise CloudError(told, "Wait until that is over, and give the same command again.")
    raise CloudError(told, f"Take it down: `{take_down}`; then give the same command again.")


def is_only_planned(stack: Stack | None) -> bool:
    """Whether there is no more of a stack than its first change set."""
    return stack is not None and stack.status == "REVIEW_IN_PROGRESS"


def prepare(
    aws: Aws, upload: Call, change: Mapping[str, Any], live_key: str, say: Say,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:  # fmt: skip
    """Upload the code, make a change set and start it.

    Whatever goes wrong before the start, also Ctrl-C, what was made goes again.

    Args:
        aws: Where.
        upload: Puts the code into S3.
        change: CreateChangeSet's arguments.
        live_key: The key of the code that runs now; "" where none does.
        say: Takes lines for people.
        sleep: Waits, in seconds.

    Returns:
        The stack's id; None where there is nothing to change.

    Raises:
        CloudError: a call failed, or CloudFormation refuses the template.
    """
    left: list[str] = []
    name, is_new = change["StackName"], change["ChangeSetType"] == "CREATE"
    where = {"Bucket": upload.request["Bucket"], "Key": upload.request["Key"]}
    named = {"StackName": name, "ChangeSetName": change["ChangeSetName"]}
    remove = Call("s3", "DeleteObject", where, upload.on)
    forget = Call("cloudformation", "DeleteChangeSet", named, name)
    if is_new:  # with its only change set, all there is of the stack
        forget = Call("cloudformation", "DeleteStack", {"StackName": name}, name)
    try:
        with ExitStack() as undoing:
            aws.ask(upload)
            if where["Key"] != live_key:
                undoing.callback(undo, aws.ask, remove, left)
            stack_id = change_set(aws, change)
            if stack_id is None:
                return None
            undoing.callback(undo, aws.ask, forget, left)
            if not is_ready(aws, named, sleep):
                return None
            aws.ask(Call("cloudformation", "ExecuteChangeSet", named, name))
            undoing.pop_all()
            return stack_id
    finally:
        if left:
            say(f"Left behind, delete by hand: {', '.join(left)}.")


def change_set(aws: Aws, change: Mapping[str, Any]) -> str | None:
    """Make a change set; one of the same name, that an interrupt left, is replaced.

    Returns:
        The stack's id; None where there is nothing to change.
    """
    name = change["StackName"]
    create = Call("cloudformation", "CreateChangeSet", dict(change), name)
    try:
        return str(aws.ask(create)["StackId"])
    except CloudError as error:
        if any(it in error.message for it in NO_CHANGES):
            return None
        if error.code not in ("AlreadyExistsException", "AlreadyExists"):
            raise
    old = {"StackName": name, "ChangeSetName": change["ChangeSetName"]}
    aws.ask(Call("cloudformation", "DeleteChangeSet", old, name))
    return str(aws.ask(create)["StackId"])


def is_ready(aws: Aws, named: Mapping[str, str], sleep: Callable[[float], None]) -> bool:
    """Wait until a change set can be started; False where it changes nothing.

    Raises:
        CloudError: CloudFormation refuses it, with its reason.
    """
    name = named["StackName"]
    for _ in range(CHANGE_SET_POLLS):
        found = aws.ask(Call("cloudformation", "DescribeChangeSet", dict(named), name))
        status, reason = found["Status"], found.get("StatusReason", "")
        if status == "CREATE_COMPLETE":
            return True
        if status == "FAILED":
            if any(it in reason for it in NO_CHANGES):
                return False
            raise CloudError(f"CloudFormation refuses the stack {name}: {reason}", hint_of(reason))
        sleep(POLL_SECONDS)
    raise CloudError(f"The change set of {name} is not ready.", "Give the same command again.")


def newest_event(aws: Aws, stack_id: str) -> str:
    """The id of the last event of a stack; "" of one that has none."""
    return next((str(it["EventId"]) for it in events(aws, stack_id)), "")


def events(aws: Aws, stack_id: str) -> Iterator[dict[str, Any]]:
    """A stack's events, the newest first."""
    listing = Call("cloudformation", "DescribeStackEvents", {"StackName": stack_id}, stack_id)
    yield from aws.pages(listing, "StackEvents")


def follow(
    aws: Aws, stack_id: str, since: str, say: Say, sleep: Callable[[float], None] = time.sleep
) -> tuple[Stack | None, str]:
    """Wait until nothing more happens to a stack, and tell what does.

    Args:
        aws: Where.
        stack_id: Its id: a name is no longer known when the stack is gone.
        since: The last event that is known already.
        say: Takes a line an event.
        sleep: Waits, in seconds.

    Returns:
        The stack as it is then, None if it is gone; and which resource failed first, and why.

    Raises:
        CloudError: it takes longer than twenty minutes.
    """
    failure = verdict = ""
    for _ in range(STACK_POLLS):
        stack = find_stack(aws, stack_id)  # before its events, so that none is missed
        fresh: list[dict[str, Any]] = []
        for event in events(aws, stack_id) if stack else ():
            if event["EventId"] == since:
                break
            fresh.append(event)
        for event in reversed(fresh):
            say(line_of(event))
            failure = failure or failure_of(event, stack_id)
            verdict = verdict or verdict_of(event, stack_id)
        since = fresh[0]["EventId"] if fresh else since
        if stack is None or not stack.status.endswith("_IN_PROGRESS"):
            return stack, failure or verdict
        sleep(POLL_SECONDS)
    hint = "It goes on by itself; give the same command again, later."
    raise CloudError(f"The stack {stack_id} is not done after twenty minutes.", hint)


def line_of(event: Mapping[str, Any]) -> str:
    """An event for people."""
    when = event["Timestamp"].strftime("%H:%M:%S")
    return f"  {when}  {event['ResourceStatus']:<28} {event.get('LogicalResourceId', '')}"


def failure_of(event: Mapping[str, Any], stack_id: str) -> str:
    """What failed and why; "" of an event that is no failure, or only follows from one."""
    reason = event.get("ResourceStatusReason", "")
    is_stack = event.get("PhysicalResourceId") == stack_id
    if not event["ResourceStatus"].endswith("_FAILED") or is_stack or "cancelled" in reason:
        return ""
    return (
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason or 'no reason is told'}"
    )


def verdict_of(event: Mapping[str, Any], stack_id: str) -> str:
    """Why the stack itself gave up, which is all there is where no resource was begun."""
    is_stack = event.get("PhysicalResourceId") == stack_id
    gave_up = any(it in event["ResourceStatus"] for it in ("FAILED", "ROLLBACK"))
    return str(event.get("ResourceStatusReason", "")) if is_stack and gave_up else ""


def hint_of(reason: str) -> str:
    """The next step after a reason of CloudFormation's."""
    return next((hint for part, hint in HINTS.items() if part in reason), "")


def resources(aws: Aws, name: str) -> list[tuple[str, str]]:
    """What a stack has made: kind and name of each."""
    listing = Call("cloudformation", "ListStackResources", {"StackName": name}, name)
    found = aws.pages(listing, "StackResourceSummaries")
    return [(it["ResourceType"], it.get("PhysicalResourceId", "")) for it in found]


def delete(aws: Aws, stack: Stack, say: Say, sleep: Callable[[float], None] = time.sleep) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        CloudError: something of it could not be deleted; it is named.
    """
    since = newest_event(aws, stack.id)
    aws.ask(Call("cloudformation", "DeleteStack", {"StackName": stack.id}, stack.name))
    left, failure = follow(aws, stack.id, since, say, sleep)
    if left is not None and left.status != "DELETE_COMPLETE":
        told = (
            f"The stack {stack.name} could not be deleted: {failure or left.reason or left.status}"
        )
        raise CloudError(told, hint_of(failure) or "Mend that, and give the same command again.")


def remove_objects(aws: Aws, bucket: str, prefix: str, but: str = "") -> list[str]:
    """Delete the objects below a prefix of ours.

    Args:
        aws: Where.
        bucket: The bucket's name.
        prefix: Below which nothing is another's.
        but: The key that stays.

    Returns:
        The keys that are gone.
    """
    on = f"s3://{bucket}/{prefix}"
    listing = Call("s3", "ListObjectsV2", {"Bucket": bucket, "Prefix": prefix}, on)
    keys = [it["Key"] for it in aws.pages(listing, "Contents") if it["Key"] != but]
    for key in keys:
        aws.ask(Call("s3", "DeleteObject", {"Bucket": bucket, "Key": key}, f"s3://{bucket}/{key}"))
    return keys


def tidied(aws: Aws, bucket: str, prefix: str, but: str, say: Say) -> None:
    """Delete the objects below a prefix; where that fails, say what lies there and go on."""
    try:
        remove_objects(aws, bucket, prefix, but)
    except FaceGANError as error:
        say(f"Left behind, delete by hand: s3://{bucket}/{prefix} ({error.message})")
