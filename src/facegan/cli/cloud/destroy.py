"""`facegan cloud destroy`: everything that a project made on AWS, listed, asked for, taken down."""

import sys
from collections.abc import Sequence

import click

from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cli.cloud.tables import table
from facegan.cloud.settings import PROJECT_TAG
from facegan.cloud.takedown import (
    Outcome,
    Plan,
    Thing,
    Wishes,
    by_hand,
    look,
    still_there,
    take_down,
)
from facegan.errors import CloudError

ROLES_STAY = (
    "IAM roles and policies stay, and cost nothing: AWS's index of tags has no roles "
    "(`facegan cloud role delete`)."
)


@click.command("destroy")
@click.option("--with-data", is_flag=True, help="Also BUCKET/PROJECT/ on S3, for good.")
@click.option("--with-images", is_flag=True, help="Also the repositories in ECR.")
@click.option("--with-jobs", is_flag=True, help="Also the records of jobs that have ended.")
@click.option("--bucket", metavar="BUCKET", help="Where the data is.  [default: facegan.toml's]")
@acting_options
def command(
    desk: Desk, with_data: bool, with_images: bool, with_jobs: bool, bucket: str | None
) -> None:
    """Take down everything that this project made, in one region, by its tags.

    Lists what goes and what is lost with it, and asks for the project's name. Then deletes the
    public door, stops jobs, deletes endpoints with what scales them, configurations, models, the
    model registry, experiments, alarms and log groups, and looks whether anything is left. What AWS
    keeps is named, with the command for it; the same command again goes on where this one ended.

    What has our tag counts (facegan:project=NAME), whoever made it. --dry-run prints the requests;
    it has to look at AWS for them, and changes nothing.

    \b
      facegan cloud destroy --dry-run
      facegan cloud destroy --project faces
      facegan cloud destroy --project faces --with-data --with-images --yes
    """
    wishes = Wishes(data=with_data, images=with_images, jobs=with_jobs)
    project = desk.settings.project
    desk.settings = desk.settings.but(bucket=bucket)
    if with_data:
        desk.settings.need("bucket")
    plan = look(desk.aws, desk.settings, wishes)
    where = f"project {project} ({PROJECT_TAG}={project}) in {desk.aws.region}"
    if desk.is_dry:
        click.echo("Looked at AWS; nothing is changed.", err=True)
        desk.act([call for thing in plan.going for call in thing.calls], "")
        return
    desk.say(plan_text(plan, where))
    if not plan.going:
        desk.answer(answer(project, plan, Outcome(), []), "Nothing to take down.")
        return
    confirm_by_name(desk, project, len(plan.going))
    outcome = Outcome()
    try:
        take_down(
            desk.aws.ask, plan.going, outcome, lambda it: desk.say(f"  gone: {it.kind} {it.name}")
        )
        left = still_there(desk.aws, desk.settings, wishes, outcome)
    except KeyboardInterrupt:
        click.echo(interrupted_text(plan, outcome), err=True)
        raise
    desk.answer(answer(project, plan, outcome, left), f"{len(outcome.gone)} of {where} are gone.")
    if outcome.refused or left:
        raise CloudError(what_is_left(outcome, left), "Or give the same command again.")


def plan_text(plan: Plan, where: str) -> str:
    """What goes, what is lost with it, and what stays."""
    lines = [f"Of {where}:"]
    if plan.going:
        going = [(it.kind, it.name, it.loses) for it in plan.going]
        lines.append(table(("goes", "name", "lost with it"), going))
    if plan.staying:
        staying = [(it.kind, it.name, it.why) for it in plan.staying]
        lines.append(table(("stays", "name", "why"), staying))
    return "\n".join([*lines, ROLES_STAY])


def confirm_by_name(desk: Desk, project: str, count: int) -> None:
    """Go on when the project's name is typed.

    Raises:
        click.Abort: something else was, or Ctrl-C; nothing is gone.
        click.UsageError: nobody is there to type.
    """
    if desk.is_sure:
        return
    question = f"Type the project's name to delete these {count}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question}. Nobody is here to answer; add --yes.")
    try:
        typed = click.prompt(question, default="", show_default=False, err=True)
    except click.Abort:
        typed = ""
    if typed.strip() != project:
        click.echo("Nothing was deleted.", err=True)
        raise click.Abort


def interrupted_text(plan: Plan, outcome: Outcome) -> str:
    """After an interrupt: what is gone, and what may not be."""
    gone = [f"{it.kind} {it.name}" for it in outcome.gone]
    remain = [it for it in plan.going if it not in outcome.gone]
    lines = [f"\nInterrupted. Gone: {', '.join(gone) or 'nothing'}.", "These may remain:"]
    lines += [f"  {it.kind} {it.name}: {by_hand(it)}" for it in remain]
    return "\n".join([*lines, "The same command again goes on with them."])


def what_is_left(outcome: Outcome, left: Sequence[Thing]) -> str:
    """What AWS keeps, why, and the command for each."""
    lines = [f"{len(outcome.refused) + len(left)} could not be deleted, and may cost:"]
    for thing, error in outcome.refused:
        lines += [f"  {thing.kind} {thing.name}: {error}", f"    {by_hand(thing)}"]
    for thing in left:
        lines += [f"  {thing.kind} {thing.name}: it is there still", f"    {by_hand(thing)}"]
    return "\n".join(lines)


def answer(project: str, plan: Plan, outcome: Outcome, left: Sequence[Thing]) -> dict[str, object]:
    """The command's result for programs."""
    refused = [
        thing.described() | {"error": error.message, "by_hand": by_hand(thing)}
        for thing, error in outcome.refused
    ]
    return {
        "project": project,
        "gone": [thing.described() for thing in outcome.gone],
        "refused": refused,
        "left": [thing.described() | {"by_hand": by_hand(thing)} for thing in left],
        "staying": [one.described() for one in plan.staying],
    }
