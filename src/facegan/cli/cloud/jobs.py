"""`facegan cloud jobs`, `attach`, `logs`, `stop` and `resume`: jobs that are there already."""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cli.cloud.tables import table
from facegan.cli.cloud.watching import (
    Telling,
    age,
    bill,
    follow,
    outcome,
    starting,
    status_word,
)
from facegan.cli.cloud.wishes import pair_option, whole_seconds
from facegan.cloud.calls import Call
from facegan.cloud.costs import sentence
from facegan.cloud.following import EVERY_SECONDS
from facegan.cloud.job_status import (
    STATUSES,
    describe,
    duration,
    is_running,
    is_warm,
    list_jobs,
    spot_savings,
)
from facegan.cloud.launching import cooling, creation, explained, stopping
from facegan.cloud.log_streams import LogGroup, LogLine
from facegan.cloud.resuming import next_name, resumed_request
from facegan.cloud.training_request import tag_list
from facegan.errors import CloudError

HEADS = ("NAME", "STATUS", "", "MACHINES", "AGE", "PAID", "SPOT SAVED")


@click.command("jobs", short_help="List training jobs.")
@click.option("--project", metavar="NAME", help="Of another project.  [facegan.toml's]")
@click.option("--all", "everyones", is_flag=True, help="Not of this project alone.")
@click.option("--name", metavar="TEXT", help="Only those that have it in their name.")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False))
@click.option("--max", "most", type=click.IntRange(1, 10_000), default=20, show_default=True)
@settings_options
def jobs(
    desk: Desk,
    everyones: bool,
    name: str | None,
    status: str | None,
    most: int,
) -> None:
    """List this project's training jobs, the newest first.

    \b
      facegan cloud jobs
      facegan cloud jobs --status InProgress --all

    PAID is the time that is billed, an instance; it is known when a job has ended. Jobs that ended
    cost nothing; what they left in S3 does.
    """
    wanted = None if everyones else desk.settings.project
    found = list_jobs(desk.aws, wanted, name, status, most)
    whose = "" if wanted is None else f" of the project {wanted!r}"
    nothing = f"There are no such training jobs{whose} in {desk.aws.region}."
    rows = [row(job) for job in found]
    desk.answer(
        [summary(job) for job in found], table(HEADS, rows, (4, 5, 6)) if found else nothing
    )


def row(job: Mapping[str, Any]) -> tuple[str, ...]:
    """A job as the table has it."""
    resources, saved = job.get("ResourceConfig", {}), spot_savings(job)
    status, secondary = job["TrainingJobStatus"], job.get("SecondaryStatus", "")
    return (
        job["TrainingJobName"],
        status_word(status),
        "kept warm" if is_warm(job) else "" if secondary == status else secondary,
        f"{resources.get('InstanceCount', '?')} × {resources.get('InstanceType', '?')}",
        age(job.get("CreationTime")),
        duration(job.get("BillableTimeInSeconds")),
        "–" if saved is None else f"{saved} %",
    )


def summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job for programs."""
    resources = job.get("ResourceConfig", {})
    return {
        "name": job["TrainingJobName"],
        "status": job["TrainingJobStatus"],
        "secondary_status": job.get("SecondaryStatus"),
        "instance_type": resources.get("InstanceType"),
        "instances": resources.get("InstanceCount"),
        "created": job.get("CreationTime"),
        "training_seconds": job.get("TrainingTimeInSeconds"),
        "billable_seconds": job.get("BillableTimeInSeconds"),
        "spot_savings_percent": spot_savings(job),
        "failure_reason": job.get("FailureReason"),
        "model": job.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
    }


@click.command("attach", short_help="Follow a training job to its end.")
@click.argument("name")
@settings_options
def attach(desk: Desk, name: str) -> None:
    """Follow the training job NAME: its states, and the lines of all its hosts, to its end.

    \b
      facegan cloud attach faces-1

    Ctrl-C ends the following, not the job. Exit code 0: the job is complete; 9: it failed, and why
    is told with the next step (also for whatever AWS refuses); 4: it was stopped without a model.
    """
    job = follow(desk, name)
    if desk.as_json:
        desk.answer(summary(job), "")
    outcome(desk, job)


@click.command("logs", short_help="What a job's hosts, or an endpoint, printed.")
@click.argument("name")
@click.option("--follow", "goes_on", is_flag=True, help="And what they will print.")
@click.option("--endpoint", is_flag=True, help="NAME is an endpoint.")
@click.option("--since", type=click.FloatRange(min=0), metavar="MINUTES", help="Only newer lines.")
@click.option("--tail", type=click.IntRange(min=1), metavar="LINES", help="Only the last.")
@settings_options
def logs(
    desk: Desk, name: str, goes_on: bool, endpoint: bool, since: float | None, tail: int | None
) -> None:
    """Print the lines of all hosts of the training job NAME, in the order of time.

    \b
      facegan cloud logs faces-1 --tail 100
      facegan cloud logs faces-1 --follow
      facegan cloud logs faces --endpoint --since 10

    Each host has a colour on a terminal. With --json each line is an object. CloudWatch keeps logs,
    and bills them by the GB, until their group is deleted or expires.
    """
    group = LogGroup.of_endpoint(desk.aws, name) if endpoint else LogGroup.of_job(desk.aws, name)
    since_ms = 0 if since is None else int((time.time() - since * 60) * 1000)
    tell = as_json if desk.as_json else Telling(desk).line
    count = 0
    for line in at_most(group.news(since_ms), tail):
        tell(line)
        count += 1
    if not count and not goes_on:
        if not endpoint:
            describe(desk.aws.ask, name)  # says so where there is no such job
        click.echo(f"{name} has printed nothing{' in that time' if since else ' yet'}.", err=True)
    while goes_on:
        if not endpoint and not is_running(describe(desk.aws.ask, name)):
            goes_on = False  # after one more look
        time.sleep(EVERY_SECONDS)
        for line in group.news():
            tell(line)


def at_most(lines: Iterator[LogLine], last: int | None) -> Iterator[LogLine]:
    """All lines, or the last of them."""
    return lines if last is None else iter(deque(lines, maxlen=last))


def as_json(line: LogLine) -> None:
    """A line for programs."""
    told = {"milliseconds": line.milliseconds, "host": line.host, "text": line.text}
    click.echo(json.dumps(told))


@click.command("stop", short_help="Stop a training job; its checkpoints stay.")
@click.argument("name")
@acting_options
def stop(desk: Desk, name: str) -> None:
    """Stop the training job NAME: it writes a checkpoint and ends, within two minutes.

    \b
      facegan cloud stop faces-1
      facegan cloud resume faces-1       # goes on later

    It leaves no model. What it has cost so far stays to be paid; its checkpoints stay in S3. Of a
    job that has ended, instances that are kept warm are given back.
    """
    if desk.is_dry:
        desk.act([stopping(name)], "")
        return
    job = describe(desk.aws.ask, name)
    if is_warm(job):
        desk.act([cooling(name)], f"{name} has ended. Give back its instances, which cost on?")
        desk.answer(summary(job), f"The instances of {name} are given back.")
        return
    if not is_running(job):
        desk.answer(summary(job), f"{name} has ended already ({job['TrainingJobStatus']}).")
        return
    kept = "its checkpoints stay" if job.get("CheckpointConfig") else "it kept NO checkpoints"
    desk.act([stopping(name)], f"Stop {name}? It leaves no model; {kept}.")
    told = f"{name} is stopping."
    if job.get("CheckpointConfig"):
        told += f" It goes on by: facegan cloud resume {name}"
    desk.answer({"name": name, "status": "Stopping"}, told)


@click.command("resume", short_help="Go on with a stopped or failed job.")
@click.argument("name")
@click.option("--name", "new_name", metavar="NAME", help="Of the new job.  [NAME-2, NAME-3 …]")
@click.option("--instance-type", metavar="TYPE", help="Another one.  [the same]")
@click.option("--max-hours", type=float, help="Another limit.  [the same]")
@click.option(
    "--set",
    "others",
    multiple=True,
    callback=pair_option,
    metavar="NAME=VALUE",
    help="total_kimg, max_minutes and others that may change.",
)
@click.option("--wait", is_flag=True, help="Follow it to its end, as `attach` does.")
@acting_options
def resume(
    desk: Desk,
    name: str,
    new_name: str | None,
    instance_type: str | None,
    max_hours: float | None,
    others: dict[str, str],
    wait: bool,
) -> None:
    """Go on where the training job NAME stopped or failed: a new job on the same checkpoints.

    \b
      facegan cloud resume faces-1
      facegan cloud resume faces-1 --set total_kimg=4000 --max-hours 48

    The request is NAME's own, so that AWS is asked for it, also with --dry-run. The new job costs
    as NAME did, and ends with the same bits as if NAME had never been stopped, on the same
    hardware. A job that runs, or has no checkpoints, is refused.
    """
    job = describe(desk.aws.ask, name)
    seconds = None if max_hours is None else whole_seconds("--max-hours", max_hours)
    request = resumed_request(
        job,
        new_name or next_name(name),
        tags=tag_list({**own_tags(desk, job), **desk.settings.all_tags}),
        hyperparameters=others,
        instance_type=instance_type,
        max_run_seconds=seconds,
    )
    begun = request["TrainingJobName"]
    if desk.is_dry:
        desk.act([creation(request)], "")
        return
    machines, longest = request["ResourceConfig"], request["StoppingCondition"]
    cost = sentence(
        machines["InstanceType"],
        machines["InstanceCount"],
        longest["MaxRuntimeInSeconds"],
        desk.settings,
    )
    desk.say(f"{name}: {bill(job)}")
    ask = f"Go on with it as {begun}: {cost}\nIt is ended by: facegan cloud stop {begun}\nStart it?"
    try:
        with starting(begun, f"facegan cloud attach {begun}"):
            desk.act([creation(request)], ask)
    except CloudError as error:
        if error.code == "ResourceInUse":
            hint = f"`facegan cloud attach {begun}` follows it; has it ended, resume that one."
            told = f"{name} was gone on with already, by {begun}."
            raise CloudError(told, hint, error.code) from error
        raise explained(error, begun) from error
    desk.answer({"name": begun}, f"Started {begun}. Follow it: facegan cloud attach {begun}")
    if wait:
        outcome(desk, follow(desk, begun))


def own_tags(desk: Desk, job: Mapping[str, Any]) -> dict[str, str]:
    """A job's tags, but for AWS's own."""
    name = job["TrainingJobName"]
    call = Call("sagemaker", "ListTags", {"ResourceArn": job["TrainingJobArn"]}, name)
    tags = {it["Key"]: it["Value"] for it in desk.aws.pages(call, "Tags")}
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}
