"""`facegan cloud register`, `approve`, `models`, `unregister`: which model may serve, and why."""

from pathlib import Path
from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cli.cloud.serving_options import explained_json, image_in_ecr, image_option
from facegan.cli.cloud.tables import age, table
from facegan.cloud.calls import Call
from facegan.cloud.endpoint_requests import delete_all
from facegan.cloud.model_registry import (
    APPROVED,
    PENDING,
    REJECTED,
    RegisteredModel,
    card_of,
    creation,
    decide,
    find_model,
    find_version,
    group_removal,
    groups,
    register,
    removal,
    versions,
)
from facegan.cloud.settings import PROJECT_TAG
from facegan.errors import CloudError
from facegan.model_files.archive import check_archive

HEAD = ("VERSION", "STATUS", "FAMILY", "PRESET", "PIXELS", "KIMG", "QUALITY", "AGE", "MODEL")
STATUSES = {APPROVED: "approved", PENDING: "pending", REJECTED: "rejected"}
group_option = click.option(
    "--group", metavar="NAME", help="Group of versions.  [default: the project]"
)


@click.command("register")
@click.argument("model")
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The same archive on this machine: its card is read here.  [fetched from S3]",
)
@group_option
@image_option
@acting_options
def command(
    desk: Desk, model: str, archive: Path | None, group: str | None, image: str | None
) -> None:
    """Register MODEL (s3://…/model.tar.gz, or a training job) as a new version, to be approved.

    Its archive is checked, and what its card says is kept beside it: family, preset, resolution,
    kimg, data set, figures of quality. The same weights are registered once. The registry costs
    nothing; the archive in S3 does, and must stay there.

    --dry-run needs no account where MODEL is an address and --archive is given.

    \b
      facegan cloud register s3://my-bucket/faces/model.tar.gz
      facegan cloud register faces-1 --group faces
      facegan cloud approve faces/1
      facegan cloud deploy faces --model faces/1 --instance-type ml.c7i.large
    """
    settings = desk.settings
    needs = not model.startswith("s3://") or archive is None
    if desk.is_dry and needs:
        desk.hint("The archive is looked at in S3; nothing is made.")
    address = model if model.startswith("s3://") else find_model(desk.aws, model).model
    card = check_archive(archive) if archive else card_of(desk.aws, address)
    wish = RegisteredModel(
        group=group or settings.project,
        image=image or image_in_ecr(desk, settings.serving_role or settings.need("role")),
        model=address,
        card=card,
        tags=settings.all_tags,
    )
    if desk.is_dry:
        desk.act(creation(wish), "")
        return
    arn, is_new = register(desk.aws, wish)
    text = version_text(arn)
    told = f"{text} is registered ({wish.summary}); `facegan cloud approve {text}` approves it."
    if not is_new:
        told = f"{text} has these weights already; nothing was made."
    desk.answer({"arn": arn, "version": text, "new": is_new, "model": address}, told)


def version_text(arn: str) -> str:
    """GROUP/3, as people name a version."""
    return "/".join(arn.rsplit("/", 2)[1:])


@click.command("approve")
@click.argument("version")
@click.option("--reject", is_flag=True, help="Reject it instead: `deploy` takes it no longer.")
@click.option("--why", default="", metavar="TEXT", help="Is kept with the decision.")
@group_option
@acting_options
def approve(desk: Desk, version: str, reject: bool, why: str, group: str | None) -> None:
    """Approve VERSION (GROUP/3, or 3 of --group), so that `deploy` takes it; --reject undoes it.

    What serves already goes on serving. --dry-run asks AWS which version it is.

    \b
      facegan cloud approve faces/3 --why "kid 0.004, looked at 64 faces"
      facegan cloud approve faces/2 --reject
    """
    found = find_version(desk.aws, version, group or desk.settings.project)
    arn, status = found["ModelPackageArn"], REJECTED if reject else APPROVED
    if desk.act([decide(arn, status, why)], "") is None:
        return
    told = f"{version_text(arn)} is {STATUSES[status]}."
    desk.answer({"arn": arn, "status": status}, told)


@click.command("models")
@click.argument("group", required=False)
@click.option("--all", "is_all", is_flag=True, help="Groups of other projects too.")
@settings_options
def models(desk: Desk, group: str | None, is_all: bool) -> None:
    """List the registered versions of this project's groups, or of GROUP, the newest first.

    \b
      facegan cloud models
      facegan cloud models faces --json
    """
    tag = None if is_all else (PROJECT_TAG, desk.settings.project)
    names = [group] if group else groups(desk.aws, tag)
    found = [one for name in names for one in versions(desk.aws, name)]
    rows = [version_row(one) for one in found]
    desk.answer(
        [explained_json(one) for one in found],
        table(HEAD, rows) if rows else "No model is registered: `facegan cloud register`.",
    )


def version_row(version: Any) -> tuple[str, ...]:
    """What a list says of a version."""
    facts = version.get("CustomerMetadataProperties") or {}
    judge = facts.get("best.judged_by", "")
    quality = f"{judge} {facts.get('best.' + judge, '')}".strip() if judge else "-"
    containers = version.get("InferenceSpecification", {}).get("Containers") or [{}]
    return (
        version_text(version["ModelPackageArn"]),
        STATUSES.get(version.get("ModelApprovalStatus", ""), "?"),
        *(facts.get(name, "-") for name in ("family", "preset", "resolution", "kimg")),
        quality,
        age(version.get("CreationTime")),
        containers[0].get("ModelDataUrl", "-"),
    )


@click.command("unregister")
@click.argument("version")
@acting_options
def unregister(desk: Desk, version: str) -> None:
    """Take VERSION (GROUP/3) out of the registry; or GROUP, with all its versions.

    Archives in S3, and endpoints, stay. --dry-run asks AWS what there is.

    \b
      facegan cloud unregister faces/2
      facegan cloud unregister faces
    """
    calls: list[Call]
    if "/" in version:
        calls = [removal(find_version(desk.aws, version)["ModelPackageArn"])]
    else:
        if version not in groups(desk.aws):
            hint = "`facegan cloud models --all` lists those there are."
            raise CloudError(f"There is no group of models {version}.", hint)
        calls = [removal(one["ModelPackageArn"]) for one in versions(desk.aws, version)]
        calls.append(group_removal(version))
    if desk.is_dry:
        desk.act(calls, "")
        return
    for call in calls:
        desk.say(f"  {call.on}")
    desk.confirm("Take these out of the registry? The archives in S3 stay.")
    delete_all(desk.aws.ask, calls, lambda call: desk.say(f"  {call.action} {call.on}"))
    desk.answer({"deleted": [call.on for call in calls]}, f"{version} is unregistered.")
