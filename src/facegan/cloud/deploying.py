"""An endpoint from nothing to service, and back: waiting, why it failed, what belongs to it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call, carry_out
from facegan.cloud.endpoint_requests import (
    ModelEndpoint,
    delete_all,
    delete_configuration,
    delete_endpoint,
    delete_model,
    is_absent,
)
from facegan.cloud.scaling import Scaling, delete_alarms, deregister
from facegan.cloud.updating import (
    Update,
    alarms_of,
    describe_configuration,
    describe_endpoint,
    scaling_targets,
)
from facegan.errors import CloudError

POLL_SECONDS = 15
GONE_SECONDS, GONE_LOOKS = 5, 180
MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
MAX_WAIT_SECONDS = 9 * 3600  # an update may take eight hours
LOG_GROUP = "/aws/sagemaker/Endpoints/"
Say = Callable[[str], object]


def check_free(aws: Aws, name: str) -> None:
    """Refuse a name that an endpoint has, in the words that say what to do.

    Raises:
        CloudError: there is one.
    """
    try:
        there = describe_endpoint(aws, name)
    except CloudError as error:
        if error.message.startswith("There is no endpoint"):
            return
        raise
    status = there["EndpointStatus"]
    hint = f"`facegan cloud update {name} --model …` gives it another model; "
    if status == "Creating":
        hint = f"`facegan cloud endpoints {name} --wait` waits for it; "
    if status == "Deleting":
        raise CloudError(f"The endpoint {name} is still being deleted.", "Wait a minute.")
    raise CloudError(
        f"There is an endpoint {name} already, which is {status}.",
        f"{hint}`facegan cloud delete {name}` takes it down.",
    )


def deploy(
    aws: Aws,
    endpoint: ModelEndpoint,
    scaling: Scaling | None = None,
    say: Say = lambda line: None,
    sleep: Callable[[float], object] = time.sleep,
    is_kept: bool = False,
) -> Any:
    """Make an endpoint, wait until it is in service, and let its machines scale.

    Args:
        aws: Where.
        endpoint: What to make.
        scaling: How many machines; None: as many as it begins with.
        say: Is told every step.
        sleep: Waits.
        is_kept: Whether one that fails stays, to be looked at.

    Returns:
        Its description.

    Raises:
        CloudError: it failed, with its last log lines told; what was made is gone, or named. Where
            AWS could not be asked while it was waited for, it goes on.
    """

    def done(call: Call) -> None:
        say(f"  {call.action} {call.on}")

    made = endpoint.creation()
    try:
        carry_out(aws.ask, made, done)
    except CloudError as error:
        raise taken(error, endpoint.name) from error
    is_waiting = True
    try:
        described = wait_for_endpoint(aws, endpoint.name, say, sleep)
        is_waiting = False
        if scaling:
            begin_scaling(aws, scaling, done)
    except CloudError as error:
        is_unknown = is_waiting and error.code != "Failed"  # no network, expired credentials
        if is_kept or is_unknown:
            there = "It goes on there" if is_unknown else "It was kept"
            hint = f"{there}: `facegan cloud delete {endpoint.name}` takes it down."
            raise CloudError(error.message, f"{error.hint} {hint}".strip(), error.code) from error
        say("Taking down what was made:")
        delete_all(aws.ask, (call.undo for call in reversed(made) if call.undo), done)
        raise
    return described


def update(
    aws: Aws,
    plan: Update,
    say: Say = lambda line: None,
    sleep: Callable[[float], object] = time.sleep,
) -> Any:
    """Carry an update out, wait for it, and delete what it replaced.

    Args:
        aws: Where.
        plan: What :func:`facegan.cloud.updating.plan_update` found to do.
        say: Is told every step.
        sleep: Waits.

    Returns:
        The endpoint's description.

    Raises:
        CloudError: it was refused, or turned back: the endpoint serves what it served before, and
            what was made for it is gone.
    """

    def done(call: Call) -> None:
        say(f"  {call.action} {call.on}")

    def ask(call: Call) -> Any:
        try:
            return aws.ask(call)
        except CloudError as error:
            # Its name is what it says: an update that was interrupted left the very same.
            if call.action not in ("CreateModel", "CreateEndpointConfig") or not is_taken(error):
                raise
            return {}

    name, wanted = plan.calls[-1].on, plan.calls[-2].on
    carry_out(ask, plan.calls, done)
    try:
        described = wait_for_endpoint(aws, name, say, sleep)
        if described["EndpointConfigName"] != wanted:
            hint = "It serves what it served before; its alarms, or the new machines, said no."
            raise CloudError(f"The update of {name} was turned back.", hint, "RolledBack")
    except CloudError as error:
        if error.code == "RolledBack":
            say("Deleting what was made for the update:")
            made = [it.undo for it in plan.calls if it.undo and it.action != "PutMetricAlarm"]
            delete_all(aws.ask, reversed(made), done)
        raise
    old = [delete_configuration(plan.old_configuration)]
    old += [delete_model(plan.old_model)] if plan.old_model else []
    delete_all(aws.ask, [call for call in old if is_named_after(call.on, name)], done)
    return described


def begin_scaling(aws: Aws, scaling: Scaling, done: Callable[[Call], object]) -> None:
    """Register an endpoint's machines, and what wakes it; if that fails, none of it is left."""
    calls = scaling.creation()
    answers = carry_out(aws.ask, calls, done)
    if scaling.minimum > 0:
        return
    try:
        carry_out(aws.ask, [scaling.wake_alarm(answers[-1]["PolicyARN"])], done)
    except CloudError:
        delete_all(aws.ask, [deregister(scaling.endpoint, scaling.variant)], done)
        raise


def taken(error: CloudError, name: str) -> CloudError:
    """A refusal to make what is there already, with what to do about it."""
    if not is_taken(error):
        return error
    hint = f"`facegan cloud delete {name}` lists what is left of that name, and deletes it."
    return CloudError(error.message, hint, error.code)


def is_taken(error: CloudError) -> bool:
    """Whether a call failed because what it makes is there already."""
    return "already existing" in error.message


def wait_for_endpoint(
    aws: Aws, name: str, say: Say, sleep: Callable[[float], object] = time.sleep
) -> Any:
    """Wait until an endpoint is in service, every change of its status told.

    Raises:
        CloudError: it failed, or went back to what it was; with the reason and its log lines.
    """
    waited, told = 0.0, ""
    while True:
        described = describe_endpoint(aws, name)
        status = progress(described)
        if status != told:
            say(f"{minutes(waited)}  {name}: {status}")
            told = status
        if described["EndpointStatus"] not in MOVING:
            return judged(aws, described, say)
        if waited >= MAX_WAIT_SECONDS:
            hint = f"`facegan cloud endpoints {name} --wait` waits on."
            raise CloudError(f"{name} is {status} after {minutes(waited)}.", hint)
        sleep(POLL_SECONDS)
        waited += POLL_SECONDS


def wait_until_gone(
    aws: Aws, name: str, say: Say, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Wait until an endpoint that is being deleted is no more, and its name free.

    Raises:
        CloudError: AWS could not be asked, or it is still there after a quarter of an hour.
    """
    for look in range(GONE_LOOKS):
        try:
            status = describe_endpoint(aws, name)["EndpointStatus"]
        except CloudError as error:
            if error.message.startswith("There is no endpoint"):
                return
            raise
        if look == 0:
            say(f"  {name}: {status}")
        sleep(GONE_SECONDS)
    hint = "Look again in a while: `facegan cloud endpoints`."
    raise CloudError(f"{name} is {status} after {minutes(GONE_LOOKS * GONE_SECONDS)}.", hint)


def progress(described: Any) -> str:
    """An endpoint's status, and what its machines do, where AWS says that."""
    stages = [
        stage["Status"]
        for variant in described.get("ProductionVariants", ())
        for stage in variant.get("VariantStatus", ())
    ]
    return " ".join([described["EndpointStatus"], *dict.fromkeys(stages)])


def judged(aws: Aws, described: Any, say: Say) -> Any:
    """The description of an endpoint in service; of another, an error with its reason.

    Raises:
        CloudError: it failed, or an update was turned back.
    """
    name, reason = described["EndpointName"], described.get("FailureReason", "")
    if described["EndpointStatus"] == "InService" and not reason:
        return described
    tell_lines(last_lines(aws, LOG_GROUP + name), LOG_GROUP + name, say)
    if described["EndpointStatus"] == "InService":
        hint = "It serves what it served before. Mend what the lines above say, and update again."
        raise CloudError(f"The update of {name} was turned back: {reason}", hint, "RolledBack")
    hint = "The lines above say why, if the container came that far."
    if "ping" in reason.lower() or "health" in reason.lower():
        hint = (
            "The container did not answer GET /ping with 200: see the lines above; a larger "
            "machine or a longer --start-seconds helps where the model is only slow to load."
        )
    told = reason or "AWS gives no reason."
    raise CloudError(
        f"The endpoint {name} is {described['EndpointStatus']}: {told}", hint, "Failed"
    )


def last_lines(aws: Aws, group: str, of: str = "", limit: int = 20) -> list[str]:
    """The newest lines of a log group's newest stream; none where they cannot be read.

    Args:
        aws: Where.
        group: The log group.
        of: How the stream's name begins; "" where the group is one endpoint's.
        limit: How many lines.
    """
    newest: dict[str, Any] = {"logGroupName": group, "limit": 1}
    newest |= (
        {"logStreamNamePrefix": of} if of else {"orderBy": "LastEventTime", "descending": True}
    )
    try:
        streams = aws.ask(Call("logs", "DescribeLogStreams", newest, group)).get("logStreams")
        if not streams:
            return []
        request = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"]}
        request |= {"limit": limit, "startFromHead": False}
        events = aws.ask(Call("logs", "GetLogEvents", request, group))["events"]
    except CloudError:
        return []
    return [printable(event["message"]) for event in events]


def printable(line: str) -> str:
    """A line of a log without what would steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in line.rstrip())


def tell_lines(lines: list[str], group: str, say: Say) -> None:
    """Say what a container said at the end."""
    if not lines:
        say(f"{group} has no line: the container did not start, or you may not read its logs.")
        return
    say(f"The last lines of {group}:")
    for line in lines:
        say(f"  | {line}")


def minutes(seconds: float) -> str:
    """A time as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


# --- what belongs to an endpoint ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Belongings:
    """All that was made for an endpoint, be the endpoint there or not."""

    name: str
    endpoint: str | None  # its status
    configurations: tuple[str, ...]
    models: tuple[str, ...]
    scaled: tuple[str, ...]  # variants
    alarms: tuple[str, ...]
    others: tuple[str, ...] = ()  # what it uses and is not named after it: stays

    def deletion(self) -> list[Call]:
        """Everything, in an order that works: what scales an endpoint before the endpoint."""
        return [
            *(deregister(self.name, variant) for variant in self.scaled),
            *([delete_alarms(list(self.alarms))] if self.alarms else []),
            *([delete_endpoint(self.name)] if self.endpoint else []),
            *map(delete_configuration, self.configurations),
            *map(delete_model, self.models),
        ]

    def described(self) -> str:
        """A line for each thing."""
        rows = [("endpoint", f"{self.name} ({self.endpoint})")] if self.endpoint else []
        rows += [("configuration", name) for name in self.configurations]
        rows += [("model", name) for name in self.models]
        rows += [("scaling of", f"{self.name}/{variant}") for variant in self.scaled]
        rows += [("alarm", name) for name in self.alarms]
        lines = [f"  {kind:<14} {what}" for kind, what in rows]
        lines += [f"  {'stays':<14} {what}" for what in self.others]
        return "\n".join(lines)


def belongings(aws: Aws, name: str) -> Belongings:
    """Look for all that belongs to an endpoint.

    Raises:
        CloudError: AWS refused to say.
    """
    try:
        endpoint = describe_endpoint(aws, name)
    except CloudError as error:
        if not error.message.startswith("There is no endpoint"):
            raise
        endpoint = None
    used, models, variants = set(), set(), []
    if endpoint:
        used.add(endpoint["EndpointConfigName"])
        variants = endpoint.get("ProductionVariants", [])
        models |= models_of(aws, endpoint["EndpointConfigName"])
    found = named_after(aws, "configurations", name)
    for configuration in found - used:
        models |= models_of(aws, configuration)
    models |= named_after(aws, "models", name)
    targets = scaling_targets(aws, name, variants)
    return Belongings(
        name=name,
        endpoint=endpoint and endpoint["EndpointStatus"],
        configurations=tuple(sorted(one for one in used | found if is_named_after(one, name))),
        models=tuple(sorted(one for one in models if is_named_after(one, name))),
        scaled=tuple(target["ResourceId"].rsplit("/", 1)[-1] for target in targets),
        alarms=tuple(alarm["AlarmName"] for alarm in alarms_of(aws, name)),
        others=tuple(sorted(one for one in used | models if not is_named_after(one, name))),
    )


def models_of(aws: Aws, configuration: str) -> set[str]:
    """The models that a configuration names; none where it is gone."""
    try:
        described = aws.ask(describe_configuration(configuration))
    except CloudError as error:
        if is_absent(error):
            return set()
        raise
    return {one["ModelName"] for one in described["ProductionVariants"] if "ModelName" in one}


def named_after(aws: Aws, kind: str, name: str) -> set[str]:
    """Configurations or models whose names say that they are an endpoint's."""
    request = {"NameContains": name}
    if kind == "models":
        call, items, key = Call("sagemaker", "ListModels", request, name), "Models", "ModelName"
    else:
        call = Call("sagemaker", "ListEndpointConfigs", request, name)
        items, key = "EndpointConfigs", "EndpointConfigName"
    return {one[key] for one in aws.pages(call, items) if is_named_after(one[key], name)}


def is_named_after(one: str, endpoint: str) -> bool:
    """Whether a model or configuration is an endpoint's: NAME, or NAME-1a2b3c4d."""
    return bool(re.fullmatch(rf"{re.escape(endpoint)}(-[0-9a-f]{{8}})?", one))
