"""`facegan cloud transform`: requests or images in S3 become images, then the machines go."""

from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cli.cloud.serving_options import (
    MODEL_HELP,
    explained_json,
    image_option,
    pairs,
    role_option,
    unapproved_option,
    waiting,
    what_serves,
)
from facegan.cli.cloud.tables import age, table
from facegan.cli.lazy import LazyCommand, LazyGroup
from facegan.cloud.calls import Call
from facegan.cloud.costs import sentence
from facegan.cloud.endpoint_requests import delete_all, delete_model
from facegan.cloud.transform_request import LINES, TransformJob, stop
from facegan.cloud.transforming import ENDED, check_free, transform_job, wait_for_transform

HERE = "facegan.cli.cloud.transform"
COMMANDS = {
    "start": LazyCommand(HERE, "Generate what lines ask for, or translate images.", "start"),
    "status": LazyCommand(HERE, "One job, or all.", "status"),
    "stop": LazyCommand(HERE, "Stop a job, and delete the model made for it.", "stop_command"),
}


@click.command(cls=LazyGroup, lazy_commands=COMMANDS)
def command() -> None:
    """Batch transform: many requests, no endpoint; the machines go when the work is done.

    A line of the file is a request, its line of the answer the faces (docs/serving-reference.md):

    \b
      {"seeds": [0, 1, 2, 3]}
      {"seeds": [7], "truncation_psi": 0.7}

    Or each object of a prefix is an image or a label map, and NAME.out what the model makes of it.
    """


@click.command("start")
@click.argument("name")
@click.option("--model", required=True, metavar="MODEL", help=MODEL_HELP)
@click.option("--requests", metavar="S3", help="File of lines, or a prefix of such.")
@click.option(
    "--images",
    metavar="S3",
    help="Instead of --requests: an image or a label map, or a prefix of such, for a model that "
    "translates or paints. IMAGE.out is a PNG.",
)
@click.option(
    "--image-type",
    metavar="TYPE",
    help="Content type of --images, with options: image/jpeg, 'image/png;direction=BtoA' or "
    "'image/png;seeds=7'.  [default: image/png]",
)
@click.option("--output", required=True, metavar="S3", help="Where FILE.out goes.")
@click.option("--instance-type", required=True, metavar="TYPE", help="Machine, as ml.c7i.xlarge.")
@click.option("--instances", type=int, default=1, show_default=True, help="Files are shared out.")
@click.option("--line-by-line", is_flag=True, help="One line a call: for lines of many faces.")
@click.option("--isolated", is_flag=True, help="The container reaches no network.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Variable of the container.")
@role_option
@image_option
@unapproved_option
@click.option("--no-wait", is_flag=True, help="Return once it is asked for.")
@acting_options
def start(desk: Desk, name: str, no_wait: bool, unapproved: bool, **wish: Any) -> None:
    """Start the transform job NAME, and wait for its end.

    It costs by the machine's time, and ends by itself. GPU machines cannot: their driver is too
    old there. Job names are used once in an account's life.

    \b
      facegan cloud transform start batch-1 --model faces/latest --instance-type ml.c7i.xlarge \\
          --requests s3://my-bucket/requests.jsonl --output s3://my-bucket/drawn
      facegan cloud transform start nights-1 --model faces/latest --instance-type ml.c7i.xlarge \\
          --images s3://my-bucket/photos --image-type image/jpeg --output s3://my-bucket/nights
    """
    check_wish(wish)
    settings = desk.settings
    served = what_serves(desk, wish["model"], wish, unapproved)
    job = TransformJob(
        name=name,
        image=served.image,
        role=served.role,
        model=served.model,
        requests=wish["requests"] or wish["images"],
        content_type=(wish["image_type"] or "image/png") if wish["images"] else LINES,
        output=wish["output"],
        instance_type=wish["instance_type"],
        instance_count=wish["instances"],
        is_line_by_line=wish["line_by_line"],
        kms_key=settings.kms_key,
        network_isolation=wish["isolated"],
        subnets=settings.subnets,
        security_groups=settings.security_groups,
        environment=pairs(wish["env"], "--env"),
        tags=settings.all_tags,
    )
    if not desk.is_dry:
        check_free(desk.aws, name)
    costs = sentence(job.instance_type, job.instance_count, None, settings, until="it ends")
    ends = f"It ends with the file, or by `facegan cloud transform stop {name}`."
    answers = desk.act(job.creation(), f"Start {name}? {costs} {ends}")
    if answers is None:
        return
    if no_wait:
        desk.answer(
            {"TransformJobName": name}, f"`facegan cloud transform status {name}` says more."
        )
        return
    goes_on = f"{name} goes on, and costs until it ends: `facegan cloud transform stop {name}`."
    with waiting(desk, goes_on):
        described = wait_for_transform(desk.aws, name, desk.say)
    told = f"{name} is {described['TransformJobStatus']}; the faces lie below {job.output}."
    desk.answer(explained_json(described), told)


def check_wish(wish: dict[str, Any]) -> None:
    """Check that a job has lines or images, and options of what it has.

    Raises:
        click.UsageError: It has neither or both, or options of the other.
    """
    if bool(wish["requests"]) == bool(wish["images"]):
        raise click.UsageError("Give either --requests, a file of lines, or --images.")
    if wish["image_type"] and not wish["images"]:
        raise click.UsageError("--image-type goes with --images.")
    if wish["line_by_line"] and wish["images"]:
        raise click.UsageError("--line-by-line goes with --requests; images are sent one by one.")


@click.command("status")
@click.argument("name", required=False)
@click.option("--wait", is_flag=True, help="Wait for its end.")
@settings_options
def status(desk: Desk, name: str | None, wait: bool) -> None:
    """How the transform job NAME does; without a name, all jobs of the account in the region."""
    if name is None:
        newest = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        call = Call("sagemaker", "ListTransformJobs", newest, "transform jobs")
        found = list(desk.aws.pages(call, "TransformJobSummaries"))
        rows = [
            (one["TransformJobName"], one["TransformJobStatus"], age(one.get("CreationTime")))
            for one in found
        ]
        text = table(("NAME", "STATUS", "AGE"), rows) if rows else "There is no transform job."
        desk.answer(found, text)
        return
    if wait:
        with waiting(desk, f"{name} goes on: `facegan cloud transform stop {name}` stops it."):
            job = wait_for_transform(desk.aws, name, desk.say)
    else:
        job = transform_job(desk.aws, name)
    reason = f": {job['FailureReason']}" if job.get("FailureReason") else ""
    place = job.get("TransformOutput", {}).get("S3OutputPath", "")
    told = f"{name} is {job['TransformJobStatus']}{reason}; output below {place}."
    desk.answer(explained_json(job), told)


@click.command("stop")
@click.argument("name")
@acting_options
def stop_command(desk: Desk, name: str) -> None:
    """Stop the transform job NAME, and delete the model made for it; what is written stays.

    --dry-run asks AWS whether it runs, and stops nothing.
    """
    job = transform_job(desk.aws, name)
    is_over = job["TransformJobStatus"] in ENDED
    calls = [] if is_over else [stop(name)]
    calls += [delete_model(name)] if job["ModelName"] == name else []
    if desk.is_dry:
        desk.act(calls, "")
        return
    desk.confirm(f"{'Delete the model of' if is_over else 'Stop'} {name}?")
    delete_all(desk.aws.ask, calls, lambda call: desk.say(f"  {call.action} {call.on}"))
    desk.answer({"stopped": name}, f"{name} {'was over' if is_over else 'stops'}.")
