"""Everything that a project made, taken down in an order that works, and looked for again.

Who asks first and what is printed is ``cli/cloud/destroy.py``'s.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from time import sleep
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Ask, Call
from facegan.cloud.inventory import (
    OF_A_STACK,
    Inventory,
    Tagged,
    inventory,
    is_missing,
    pages_or_none,
    there,
)
from facegan.cloud.settings import Settings
from facegan.errors import CloudError

KEYS_A_CALL = 1000  # of DeleteObjects
POLL_SECONDS = 5.0
POLLS = 180  # a quarter of an hour: an endpoint takes a minute, a stack some
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped", "DELETE_COMPLETE")  # states of jobs, and of a stack
NEEDED_BY_ENDPOINTS = ("configuration", "model", "image repository", "data", "bucket")
COSTLY = ("stack", "tuning job", "training job", "transform job", "warm pool", "endpoint")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that goes.

    Args:
        kind: What it is, for people.
        name: Its name.
        loses: What is lost with it.
        calls: What takes it down, in their order.
        until: Tells of it, and fails for want of it once it is gone, or says that it has ended;
            None for what goes at once.
    """

    kind: str
    name: str
    loses: str
    calls: tuple[Call, ...]
    until: Call | None = None

    def described(self) -> dict[str, str]:
        """One line for programs."""
        return {"kind": self.kind, "name": self.name, "loses": self.loses}


@dataclass(frozen=True, kw_only=True)
class Staying:
    """Something of the project that is not taken down, why, and what would."""

    kind: str
    name: str
    why: str

    def described(self) -> dict[str, str]:
        """One line for programs."""
        return {"kind": self.kind, "name": self.name, "why": self.why}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What goes beside that which costs by the hour."""

    data: bool = False  # objects on S3, and the project's own buckets
    images: bool = False  # repositories in ECR
    jobs: bool = False  # records of jobs that have ended


@dataclass(frozen=True)
class Plan:
    """What goes, in its order, and what stays."""

    going: list[Thing]
    staying: list[Staying]


@dataclass
class Outcome:
    """How far it came: read it after an interrupt too."""

    gone: list[Thing] = field(default_factory=list)
    refused: list[tuple[Thing, CloudError]] = field(default_factory=list)


def look(aws: Aws, settings: Settings, wishes: Wishes) -> Plan:
    """What of a project is there, in one region.

    Args:
        aws: Where to look.
        settings: Whose project, and bucket.
        wishes: What else is to go.

    Raises:
        CloudError: a call failed.
    """
    ours = inventory(aws, settings.project)
    going = [
        *stacks(aws, ours),
        *running_jobs(ours),
        *endpoints(aws, ours),
        *configurations_and_models(ours),
        *registry(aws, ours),
        *experiments(aws, ours),
        *alarms(aws, ours),
        *log_groups(aws, ours),
    ]
    staying = [*jobs_that_stay(ours, wishes), *training_logs(ours), *strangers(ours)]
    if wishes.images:
        going += repositories(aws, ours)
    else:
        why = "costs by the stored GB; --with-images deletes it, all its images with it"
        found = repositories(aws, ours)
        staying += [Staying(kind=one.kind, name=one.name, why=why) for one in found]
    if wishes.data:
        going += [*data(aws, settings), *buckets(aws, ours)]
    else:
        staying += data_that_stays(aws, ours, settings)
    if wishes.jobs:
        going += records(ours)
    return Plan(going, staying)


def stacks(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """The public door, with all that its stack made."""
    for one in ours.of("cloudformation", "stack"):
        describe = Call("cloudformation", "DescribeStacks", {"StackName": one.arn}, one.arn)
        told = there(aws, describe)
        name = one.name.partition("/")[0]
        if told and told["Stacks"][0]["StackStatus"] != "DELETE_COMPLETE":
            yield Thing(
                kind="stack",
                name=name,
                loses="its URL answers no more",
                calls=(Call("cloudformation", "DeleteStack", {"StackName": name}, name),),
                until=Call("cloudformation", "DescribeStacks", {"StackName": name}, name),
            )


def running_jobs(ours: Inventory) -> Iterator[Thing]:
    """What trains, tunes or draws now, and machines that are kept warm."""
    is_running = {"StatusEquals": "InProgress"}
    for one in ours.tuning_jobs(**is_running):
        request = {"HyperParameterTuningJobName": one.name}
        stop = Call("sagemaker", "StopHyperParameterTuningJob", request, one.name)
        lost = "stopped: jobs it has not begun; those that run leave their checkpoints"
        tell = Call("sagemaker", "DescribeHyperParameterTuningJob", request, one.name)
        yield Thing(kind="tuning job", name=one.name, loses=lost, calls=(stop,), until=tell)
    for one in ours.training_jobs(**is_running):
        request = {"TrainingJobName": one.name}
        stop = Call("sagemaker", "StopTrainingJob", request, one.name)
        tell = Call("sagemaker", "DescribeTrainingJob", request, one.name)
        lost = "stopped: no model; its checkpoints stay, if it has a place for them"
        yield Thing(kind="training job", name=one.name, loses=lost, calls=(stop,), until=tell)
    for one in ours.transform_jobs(**is_running):
        request = {"TransformJobName": one.name}
        stop = Call("sagemaker", "StopTransformJob", request, one.name)
        tell = Call("sagemaker", "DescribeTransformJob", request, one.name)
        lost = "stopped: what it has not drawn"
        yield Thing(kind="transform job", name=one.name, loses=lost, calls=(stop,), until=tell)
    for one in ours.training_jobs(WarmPoolStatusEquals="Available"):
        no_longer = {"KeepAlivePeriodInSeconds": 0}
        update = {"TrainingJobName": one.name, "ResourceConfig": no_longer}
        end = Call("sagemaker", "UpdateTrainingJob", update, one.name)
        lost = "machines kept warm; the next job starts cold"
        yield Thing(kind="warm pool", name=one.name, loses=lost, calls=(end,))


def endpoints(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """What is served, with what scales it."""
    for one in ours.endpoints():
        request = {"EndpointName": one.name}
        deregister = [
            Call("application-autoscaling", "DeregisterScalableTarget", target, one.name)
            for target in scalable_targets(aws, one.name)
        ]
        yield Thing(
            kind="endpoint",
            name=one.name,
            loses="answers no more; the model's file stays on S3",
            calls=(*deregister, Call("sagemaker", "DeleteEndpoint", request, one.name)),
            until=Call("sagemaker", "DescribeEndpoint", request, one.name),
        )


def scalable_targets(aws: Aws, endpoint: str) -> Iterator[dict[str, str]]:
    """What of an endpoint is scaled, as DeregisterScalableTarget wants it.

    Its policies, and the alarms that they made, go with it.
    """
    wanted = {"ServiceNamespace": "sagemaker"}
    call = Call("application-autoscaling", "DescribeScalableTargets", wanted, endpoint)
    for one in aws.pages(call, "ScalableTargets"):
        if one["ResourceId"].startswith(f"endpoint/{endpoint}/"):
            names = ("ServiceNamespace", "ResourceId", "ScalableDimension")
            yield {name: one[name] for name in names}


def configurations_and_models(ours: Inventory) -> Iterator[Thing]:
    """What endpoints are made from: costs nothing."""
    lost = "nothing that `facegan cloud deploy` does not make again"
    for one in ours.configurations():
        request = {"EndpointConfigName": one.name}
        delete = Call("sagemaker", "DeleteEndpointConfig", request, one.name)
        yield Thing(kind="configuration", name=one.name, loses=lost, calls=(delete,))
    for one in ours.models():
        delete = Call("sagemaker", "DeleteModel", {"ModelName": one.name}, one.name)
        yield Thing(kind="model", name=one.name, loses=lost, calls=(delete,))


def registry(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """The model registry's groups, each with its versions, which have no tags of their own."""
    for one in ours.model_groups():
        group = {"ModelPackageGroupName": one.name}
        versions = Call("sagemaker", "ListModelPackages", group, one.name)
        listed = pages_or_none(aws, versions, "ModelPackageSummaryList")
        deletions = [delete_package(package["ModelPackageArn"]) for package in listed]
        yield Thing(
            kind="model group",
            name=one.name,
            loses=f"{len(deletions)} registered versions, their metrics and approvals",
            calls=(*deletions, Call("sagemaker", "DeleteModelPackageGroup", group, one.name)),
        )


def delete_package(arn: str) -> Call:
    """The call that takes a version out of the model registry."""
    return Call("sagemaker", "DeleteModelPackage", {"ModelPackageName": arn}, arn)


def experiments(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """Groups of runs; what a run has of a job is loosened from it, for only then it can go."""
    for one in ours.experiments():
        group = {"ExperimentName": one.name}
        runs = Call("sagemaker", "ListTrials", group, one.name)
        calls: list[Call] = []
        names = [str(run["TrialName"]) for run in pages_or_none(aws, runs, "TrialSummaries")]
        for name in names:
            calls += loosen(aws, name)
            calls.append(Call("sagemaker", "DeleteTrial", {"TrialName": name}, name))
        yield Thing(
            kind="experiment",
            name=one.name,
            loses=f"how {len(names)} runs were grouped; the jobs stay",
            calls=(*calls, Call("sagemaker", "DeleteExperiment", group, one.name)),
        )


def loosen(aws: Aws, run: str) -> Iterator[Call]:
    """The calls that take a run's parts, one for each job, out of it."""
    parts = Call("sagemaker", "ListTrialComponents", {"TrialName": run}, run)
    for part in pages_or_none(aws, parts, "TrialComponentSummaries"):
        request = {"TrialName": run, "TrialComponentName": part["TrialComponentName"]}
        yield Call("sagemaker", "DisassociateTrialComponent", request, run)


def alarms(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """Alarms that are not a stack's."""
    for one in outside_stacks(ours.of("cloudwatch", "alarm")):
        names = {"AlarmNames": [one.name]}
        told = aws.ask(Call("cloudwatch", "DescribeAlarms", names, one.name))
        if told.get("MetricAlarms") or told.get("CompositeAlarms"):
            delete = Call("cloudwatch", "DeleteAlarms", names, one.name)
            yield Thing(kind="alarm", name=one.name, loses="its history", calls=(delete,))


def log_groups(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """Those that have our tag, and those that SageMaker made, without one, for our endpoints."""
    tagged = outside_stacks(ours.of("logs", "log-group"))
    names = {one.name.removesuffix(":*") for one in tagged}
    served = [*ours.endpoints(), *ours.configurations()]  # of one name, as `deploy` makes them
    names |= {ENDPOINT_LOGS + one.name for one in served}
    for name in sorted(names):
        describe = Call("logs", "DescribeLogGroups", {"logGroupNamePrefix": name}, name)
        for group in aws.pages(describe, "logGroups"):
            if group["logGroupName"] == name:
                delete = Call("logs", "DeleteLogGroup", {"logGroupName": name}, name)
                lost = f"{size_text(group.get('storedBytes', 0))} of log"
                yield Thing(kind="log group", name=name, loses=lost, calls=(delete,))


def repositories(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """The images' repositories that have our tag."""
    for one in outside_stacks(ours.of("ecr", "repository")):
        names = {"repositoryNames": [one.name]}
        if there(aws, Call("ecr", "DescribeRepositories", names, one.name)):
            request = {"repositoryName": one.name, "force": True}
            delete = Call("ecr", "DeleteRepository", request, one.name)
            lost = "all images in it; `facegan cloud push` makes it again"
            yield Thing(kind="image repository", name=one.name, loses=lost, calls=(delete,))


def data(aws: Aws, settings: Settings) -> Iterator[Thing]:
    """What lies below the project's name in the bucket: every version, and unfinished uploads."""
    if not (bucket := settings.bucket):
        return
    prefix = f"{settings.project}/"
    where = f"s3://{bucket}/{prefix}"
    about = {"Bucket": bucket, "Prefix": prefix}
    versions = Call("s3", "ListObjectVersions", about, where)
    objects = [*pages_or_none(aws, versions, "Versions")]
    marks = [*pages_or_none(aws, versions, "DeleteMarkers")]
    keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in objects + marks]
    deletions = [
        Call("s3", "DeleteObjects",
             {"Bucket": bucket, "Delete": {"Objects": some, "Quiet": True}}, where)
        for some in (keys[at : at + KEYS_A_CALL] for at in range(0, len(keys), KEYS_A_CALL))
    ]  # fmt: skip
    uploads = Call("s3", "ListMultipartUploads", about, where)
    aborts = [
        Call("s3", "AbortMultipartUpload",
             {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}, where)
        for one in pages_or_none(aws, uploads, "Uploads")
    ]  # fmt: skip
    if deletions or aborts:
        size = size_text(sum(one.get("Size", 0) for one in objects))
        count = f"{len(objects)} object{'' if len(objects) == 1 else 's'}"
        lost = f"{count}, {size}: data, models, checkpoints, for good"
        yield Thing(kind="data", name=where, loses=lost, calls=(*deletions, *aborts))


def buckets(aws: Aws, ours: Inventory) -> Iterator[Thing]:
    """Buckets that have our tag; AWS refuses one in which other things lie, and so it stays."""
    for one in outside_stacks(ours.of("s3", "bucket")):
        request = {"Bucket": one.name}
        if there(aws, Call("s3", "HeadBucket", request, one.name)) is not None:
            delete = Call("s3", "DeleteBucket", request, one.name)
            lost = "the bucket, if nothing else lies in it"
            yield Thing(kind="bucket", name=one.name, loses=lost, calls=(delete,))


def data_that_stays(aws: Aws, ours: Inventory, settings: Settings) -> Iterator[Staying]:
    """What lies on S3, where it is not to go."""
    why = "data, models, checkpoints: cost by the stored GB; --with-data deletes them"
    if settings.bucket:
        yield Staying(kind="data", name=f"s3://{settings.bucket}/{settings.project}/", why=why)
    for one in buckets(aws, ours):
        yield Staying(kind="bucket", name=one.name, why="--with-data deletes it, once it is empty")


def records(ours: Inventory) -> Iterator[Thing]:
    """Jobs that have ended. Of those that are stopped just now the records stay."""
    lost = "its record: settings, metrics, billed seconds"
    for one in ours.training_jobs():
        if one.about["TrainingJobStatus"] in ENDED:
            request = {"TrainingJobName": one.name}
            delete = Call("sagemaker", "DeleteTrainingJob", request, one.name)
            yield Thing(kind="job's record", name=one.name, loses=lost, calls=(delete,))
    for one in ours.tuning_jobs():
        if one.about["HyperParameterTuningJobStatus"] in ENDED:
            request = {"HyperParameterTuningJobName": one.name}
            delete = Call("sagemaker", "DeleteHyperParameterTuningJob", request, one.name)
            yield Thing(kind="job's record", name=one.name, loses=lost, calls=(delete,))


def jobs_that_stay(ours: Inventory, wishes: Wishes) -> Iterator[Staying]:
    """Jobs' records, where they are not to go, and those that never do."""
    kinds = ("training-job", "hyper-parameter-tuning-job")
    count = sum(len(ours.of("sagemaker", kind)) for kind in kinds)
    if count and not wishes.jobs:
        why = "records of jobs: cost nothing; --with-jobs deletes those that have ended"
        yield Staying(kind="job's record", name=f"{count} in all", why=why)
    if count := len(ours.of("sagemaker", "transform-job")):
        why = "cost nothing; AWS has no call that deletes them"
        yield Staying(kind="transform's record", name=f"{count} in all", why=why)


def training_logs(ours: Inventory) -> Iterator[Staying]:
    """Jobs' log lines, which lie in a group that all of the account's jobs share."""
    if ours.of("sagemaker", "training-job"):
        why = (
            "log lines of the jobs, in a group of all projects: costs by the GB; "
            f"`aws logs put-retention-policy --log-group-name {TRAINING_LOGS} "
            "--retention-in-days 30` lets it forget"
        )
        yield Staying(kind="log streams", name=TRAINING_LOGS, why=why)


KNOWN = {
    ("cloudformation", "stack"), ("cloudwatch", "alarm"), ("logs", "log-group"),
    ("ecr", "repository"), ("s3", "bucket"), ("application-autoscaling", "scalable-target"),
    *(("sagemaker", kind) for kind in (
        "endpoint", "endpoint-config", "model", "model-package-group", "model-package",
        "training-job", "hyper-parameter-tuning-job", "transform-job", "experiment",
        "experiment-trial", "experiment-trial-component",
    )),
}  # fmt: skip


def strangers(ours: Inventory) -> Iterator[Staying]:
    """What has our tag, and no stack, and is of no kind that this program makes."""
    for one in outside_stacks(ours.entries):
        if (one.service, one.kind) not in KNOWN:
            why = "not of a kind that facegan makes: delete it in AWS's console"
            yield Staying(kind=f"{one.service} {one.kind}".strip(), name=one.arn, why=why)


def outside_stacks(entries: Sequence[Tagged]) -> list[Tagged]:
    """The entries that do not go with a stack; a stack's own entry is none of its parts."""
    return [one for one in entries if OF_A_STACK not in one.tags or one.service == "cloudformation"]


def take_down(
    ask: Ask,
    things: Sequence[Thing],
    outcome: Outcome,
    on_done: Callable[[Thing], object] = lambda thing: None,
    wait: Callable[[float], object] = sleep,
) -> None:
    """Delete things in their order; what is refused is noted, and the others still go.

    All that costs is told to end before any of it is waited for; then all of each kind.

    Args:
        ask: Makes a call.
        things: Those of a :class:`Plan`.
        outcome: What went and what did not is written here, as it happens.
        on_done: Called when one is gone.
        wait: Sleeps some seconds.
    """
    for _, alike in groupby(things, key=lambda it: "costs" if it.kind in COSTLY else it.kind):
        begun = [thing for thing in alike if is_begun(ask, thing, outcome)]
        for thing in begun:
            try:
                wait_until_gone(ask, thing, wait)
            except CloudError as error:
                outcome.refused.append((thing, error))
            else:
                outcome.gone.append(thing)
                on_done(thing)


def is_begun(ask: Ask, thing: Thing, outcome: Outcome) -> bool:
    """Make a thing's calls; whether none was refused.

    What an endpoint lives on is left where an endpoint stays: it would be broken, and cost on.
    """
    endpoint = next((it.name for it, _ in outcome.refused if it.kind == "endpoint"), None)
    try:
        if endpoint and thing.kind in NEEDED_BY_ENDPOINTS:
            raise CloudError(f"Left, for the endpoint {endpoint} stays and may need it.")
        for call in thing.calls:
            delete(ask, call)
    except CloudError as error:
        outcome.refused.append((thing, error))
        return False
    return True


def delete(ask: Ask, call: Call) -> None:
    """Make a call that deletes; what is gone already is as good.

    Raises:
        CloudError: it was refused, or S3 kept some of the objects.
    """
    try:
        answer = ask(call)
    except CloudError as error:
        is_stopping = call.action.startswith("Stop") and "in status Stop" in error.message
        if is_missing(error) or is_stopping:  # by the tuning job that it belongs to
            return
        raise
    if errors := isinstance(answer, dict) and answer.get("Errors"):
        first = errors[0]
        told = f"{len(errors)} objects of {call.on} stay; the first: {first.get('Key')}"
        raise CloudError(f"{told}: {first.get('Code')}: {first.get('Message')}.")


def wait_until_gone(ask: Ask, thing: Thing, wait: Callable[[float], object]) -> None:
    """Look at a thing until it is not there.

    Raises:
        CloudError: it is there still, after a quarter of an hour, or AWS gave its deletion up.
    """
    if not thing.until:
        return
    for _ in range(POLLS):
        try:
            told = ask(thing.until)
        except CloudError as error:
            if is_missing(error):
                return
            raise
        status, why = state(told)
        if status in ENDED and thing.kind != "endpoint":  # one that failed is there still
            return
        if status == "DELETE_FAILED":
            raise CloudError(f"The {thing.kind} {thing.name} was not deleted: {why or status}.")
        wait(POLL_SECONDS)
    raise CloudError(f"The {thing.kind} {thing.name} has not ended yet: {status}.")


def state(told: Any) -> tuple[str, str]:
    """The status of an endpoint, a job or a stack, and a stack's reason."""
    about = told["Stacks"][0] if "Stacks" in told else told
    names = (
        "StackStatus", "EndpointStatus", "TrainingJobStatus", "TransformJobStatus",
        "HyperParameterTuningJobStatus",
    )  # fmt: skip
    status = next((about[name] for name in names if name in about), "")
    why = about.get("StackStatusReason", "")
    return str(status), str(why).rstrip(".")


def still_there(aws: Aws, settings: Settings, wishes: Wishes, outcome: Outcome) -> list[Thing]:
    """What is there after all, though nothing refused to go: made meanwhile, or not yet gone.

    Raises:
        CloudError: a call failed.
    """
    named = {(thing.kind, thing.name) for thing, _ in outcome.refused}
    left = look(aws, settings, wishes).going
    stopped = {
        thing.name for thing in outcome.gone if thing.kind in ("training job", "tuning job")
    }  # whose records can be deleted only now
    return [
        thing
        for thing in left
        if (thing.kind, thing.name) not in named
        and not (thing.kind == "job's record" and thing.name in stopped)
    ]


def by_hand(thing: Thing) -> str:
    """The command of AWS's own tool that takes a thing down."""
    from botocore import xform_name

    if thing.kind == "data":
        return f"aws s3 rm --recursive {shlex.quote(thing.name)}"
    last = thing.calls[-1]
    service = {"s3": "s3api"}.get(last.service, last.service)
    words = ["aws", service, xform_name(last.action, "-")]
    for name, value in last.request.items():
        words.append(f"--{xform_name(name, '-')}")
        if value is True:
            continue
        if isinstance(value, dict):
            words.append(",".join(f"{key}={one}" for key, one in value.items()))
        else:
            words += value if isinstance(value, list) else [str(value)]
    return shlex.join(words)


def size_text(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"
