"""The public door made, changed and taken down, with nothing half-made left unnamed."""

import time
from collections.abc import Callable
from typing import Any

from facegan.cloud import stacks
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.public_door import PublicDoor
from facegan.cloud.stacks import MADE, Say, Stack
from facegan.errors import CloudError

Sleep = Callable[[float], None]


def dry_calls(door: PublicDoor, code: bytes, template: str) -> list[Call]:
    """What deploying asks of AWS, in order; the zip by its size, and the stack taken to be new."""
    config = {"EndpointConfigName": "(of DescribeEndpoint)"}
    change = door.change(code, template, None)
    named = {"StackName": door.name, "ChangeSetName": change["ChangeSetName"]}
    upload = door.upload(code)
    shown = upload.request | {"Body": f"({len(code)} bytes)"}
    return [
        Call("cloudformation", "DescribeStacks", {"StackName": door.name}, door.name),
        Call("sagemaker", "DescribeEndpoint", {"EndpointName": door.endpoint}, door.endpoint),
        Call("sagemaker", "DescribeEndpointConfig", config, door.endpoint),
        Call("s3", "PutObject", shown, upload.on),
        Call("cloudformation", "CreateChangeSet", change, door.name),
        Call("cloudformation", "ExecuteChangeSet", named, door.name),
    ]


def dry_removal(name: str, bucket: str, prefix: str) -> list[Call]:
    """What taking down asks of AWS."""
    listing = {"Bucket": bucket, "Prefix": prefix}
    one = {"Bucket": bucket, "Key": f"{prefix}(each)"}
    return [
        Call("cloudformation", "ListStackResources", {"StackName": name}, name),
        Call("cloudformation", "DeleteStack", {"StackName": name}, name),
        Call("s3", "ListObjectsV2", listing, f"s3://{bucket}/{prefix}"),
        Call("s3", "DeleteObject", one, f"s3://{bucket}/{prefix}"),
    ]


def deploy(
    aws: Aws, door: PublicDoor, code: bytes, template: str, former: Stack | None, say: Say,
    sleep: Sleep = time.sleep,
) -> Stack | None:  # fmt: skip
    """Make a door, or change it to what is told.

    Args:
        aws: Where.
        door: What is told.
        code: The function's zip.
        template: infra/template.yaml.
        former: The stack as it is; None where there is none.
        say: Takes lines for people.
        sleep: Waits, in seconds.

    Returns:
        The stack as it is then; None where nothing had to change.

    Raises:
        CloudError: it failed; says which resource and why, and what is there now.
    """
    is_new = former is None or stacks.is_only_planned(former)
    parameters = None if is_new or former is None else former.parameters
    live = "" if parameters is None else parameters.get("CodeKey", "")
    change = door.change(code, template, parameters)
    since = "" if former is None else stacks.newest_event(aws, former.id)
    stack_id = stacks.prepare(aws, door.upload(code), change, live, say, sleep)
    if stack_id is None:
        return None
    try:
        stack, failure = stacks.follow(aws, stack_id, since, say, sleep)
    except KeyboardInterrupt:
        say(
            f"CloudFormation goes on with the stack {door.name}. To see how it ends, give the same "
            f"command again; to take it down: facegan cloud api delete --name {door.name}"
        )
        raise
    if stack is not None and stack.status in MADE:
        stacks.tidied(aws, door.bucket, door.prefix, door.key(code), say)
        return stack
    raise failed(aws, door, stack, failure, live, say)


def failed(
    aws: Aws, door: PublicDoor, stack: Stack | None, failure: str, live: str, say: Say
) -> CloudError:
    """What a failure has left, tidied where that can be, in a sentence."""
    why = (failure or "CloudFormation names no reason").rstrip(".")
    told = f"The door {door.name} could not be made: {why}."
    hint = [stacks.hint_of(failure)]
    if stack is None or stack.status == "DELETE_COMPLETE":
        hint.append("What was made is deleted again.")
        stacks.tidied(aws, door.bucket, door.prefix, "", say)
    elif stack.status == "UPDATE_ROLLBACK_COMPLETE":
        hint.append("It is as it was before.")
        stacks.tidied(aws, door.bucket, door.prefix, live, say)
    else:
        take_down = f"facegan cloud api delete --name {door.name}"
        hint.append(f"The stack is {stack.status}; take it down: `{take_down}`.")
    return CloudError(told, " ".join(filter(None, hint)))


def take_down(
    aws: Aws, stack: Stack | None, bucket: str, prefix: str, say: Say, sleep: Sleep = time.sleep
) -> list[str]:
    """Delete a door's stack, and the zips of its function.

    Returns:
        The keys of the zips that are gone.

    Raises:
        CloudError: something could not be deleted; it is named.
    """
    if stack is not None:
        try:
            stacks.delete(aws, stack, say, sleep)
        except KeyboardInterrupt:
            say(
                f"CloudFormation goes on deleting {stack.name}. Its zips are still in s3://{bucket}/"
            )
            say(f"{prefix}: give the same command again.")
            raise
    return stacks.remove_objects(aws, bucket, prefix) if bucket else []


def example(stack: Stack, region: str | None) -> str:
    """A command that fetches a face through a door; it reads the key, which is not shown."""
    header = {
        "key": '-H "x-api-key: $(aws secretsmanager get-secret-value '
        + (f"--region {region} " if region else "")
        + f'--secret-id {stack.outputs.get("KeySecret", "")} --query SecretString --output text)" ',
        "jwt": '-H "Authorization: Bearer $TOKEN" ',
    }.get(stack.outputs.get("Access", ""), "")
    return f"curl --fail-with-body {header}{stack.outputs['Url']}/faces/7.png -o face.png"


def described(stack: Stack, region: str | None) -> dict[str, Any]:
    """A door for programs."""
    return {
        "name": stack.name,
        "status": stack.status,
        "url": stack.outputs.get("Url"),
        "access": stack.outputs.get("Access"),
        "endpoint": stack.outputs.get("Endpoint"),
        "model": stack.outputs.get("Model"),
        "key_secret": stack.outputs.get("KeySecret"),
        "example": example(stack, region) if "Url" in stack.outputs else None,
    }
