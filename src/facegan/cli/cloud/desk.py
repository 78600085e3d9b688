"""What the commands on AWS share: where to act, how to ask first, and how to answer in JSON."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call, carry_out
from facegan.cloud.settings import Settings


class Desk:
    """A command's place of work.

    Args:
        settings: Flags over facegan.toml.
        as_json: Whether the answer is one JSON value, for programs.
        is_dry: Whether requests are printed and not made.
        is_sure: Whether nothing is asked.
    """

    def __init__(
        self, settings: Settings, as_json: bool, is_dry: bool = False, is_sure: bool = False
    ) -> None:
        self.settings, self.as_json = settings, as_json
        self.is_dry, self.is_sure = is_dry, is_sure
        self.opened: Aws | None = None

    @property
    def aws(self) -> Aws:
        """AWS, opened when it is first needed: a dry run needs no account."""
        self.opened = self.opened or Aws(self.settings.region, self.settings.profile)
        return self.opened

    def say(self, text: str) -> None:
        """A line for people; on stderr where the answer is for programs."""
        click.echo(text, err=self.as_json)

    def hint(self, text: str) -> None:
        """A line beside the answer, for people: never where the answer is read by a program."""
        click.echo(text, err=True)

    def answer(self, value: Any, text: str) -> None:
        """The command's result: as JSON where that was asked for, else as text."""
        click.echo(json.dumps(value, indent=1, default=str) if self.as_json else text)

    def act(self, calls: Sequence[Call], question: str) -> list[Any] | None:
        """Make calls after a yes; what was made goes again if a later one fails.

        Args:
            calls: What to do.
            question: What is asked first, with what it costs; "" where nothing is asked.

        Returns:
            The answers; None where it was a dry run, whose requests are printed.

        Raises:
            CloudError: a call failed.
            click.Abort: the answer was no.
        """
        if self.is_dry:
            click.echo(json.dumps([call.described() for call in calls], indent=1))
            return None
        if question:
            self.confirm(question)
        return carry_out(self.aws.ask, calls, lambda call: self.say(f"  {call.action} {call.on}"))

    def confirm(self, question: str) -> None:
        """Go on after a yes.

        Raises:
            click.Abort: it was a no, or Ctrl-C; nothing has been made.
            click.UsageError: nobody is there to answer.
        """
        if self.is_sure:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Nobody is here to answer; add --yes.")
        try:
            is_yes = click.confirm(question, err=True)
        except click.Abort:
            is_yes = False
        if not is_yes:
            click.echo("Nothing was made or changed.", err=True)
            raise click.Abort


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --region, --profile, --settings and --json; the command gets a ``desk`` for them."""
    return with_desk(command, PLACE_OPTIONS)


def acting_options(command: Callable[..., None]) -> Callable[..., None]:
    """The same, and --project, --dry-run and --yes, for commands that make or delete something."""
    return with_desk(command, (*ACTING_OPTIONS, *PLACE_OPTIONS))


def with_desk(command: Callable[..., None], options: Sequence[Any]) -> Callable[..., None]:
    """A command that is called with ``desk=`` instead of these options."""

    @wraps(command)
    def at_a_desk(
        settings_file: Path | None,
        region: str | None,
        profile: str | None,
        as_json: bool,
        project: str | None = None,
        dry_run: bool = False,
        yes: bool = False,
        **others: Any,
    ) -> None:
        settings = Settings.read(settings_file).but(region=region, profile=profile, project=project)
        command(desk=Desk(settings, as_json, dry_run, yes), **others)

    for option in reversed(options):
        at_a_desk = option(at_a_desk)
    return at_a_desk


PLACE_OPTIONS = (
    click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]"),
    click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]"),
    click.option(
        "--settings",
        "settings_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where [cloud] is.  [default: facegan.toml, if there is one]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs."),
)
ACTING_OPTIONS = (
    click.option("--project", metavar="NAME", help="Tag of what is made.  [default: facegan]"),
    click.option("--dry-run", is_flag=True, help="Print the exact requests; make none."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)
