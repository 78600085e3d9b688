"""A job as people watch it: its states, its hosts' lines, each host in a colour, and its end."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from facegan.cli.cloud.desk import Desk
from facegan.cloud.costs import sentence
from facegan.cloud.following import Follower
from facegan.cloud.job_status import (
    duration,
    failure_hint,
    is_running,
    is_warm,
    seconds_since,
    spot_savings,
)
from facegan.cloud.log_streams import LogLine
from facegan.errors import CloudError, RunError

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_red", "bright_cyan", "bright_blue")
STATUS_COLOURS = {"Completed": "green", "Failed": "red", "Stopped": "yellow", "InProgress": "cyan"}


class Telling:
    """Prints what a :class:`Follower` finds: each host in its own colour, on terminals alone."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.hosts: dict[str, str] = {}

    def status(self, moment: Any, word: str, message: str) -> None:
        """A state, with its time."""
        self.desk.say(click.style(f"{clock(moment)}  {word}: {message}".rstrip(": "), bold=True))

    def line(self, line: LogLine) -> None:
        """A host's line."""
        colour = self.hosts.setdefault(line.host, COLOURS[len(self.hosts) % len(COLOURS)])
        self.desk.say(f"{click.style(line.host, fg=colour)}  {line.text}")


def clock(moment: Any) -> str:
    """A moment of AWS's as this machine's time of day."""
    return moment.astimezone().strftime("%H:%M:%S") if isinstance(moment, datetime) else "--:--:--"


def follow(desk: Desk, name: str) -> dict[str, Any]:
    """Follow a job to its end.

    Raises:
        CloudError: there is none, or AWS could not be asked any more; the job goes on.
        KeyboardInterrupt: it goes on, and how it is stopped or followed was said.
    """
    follower = Follower(desk.aws, name, Telling(desk), time.sleep)
    try:
        return follower.to_the_end()
    except KeyboardInterrupt:
        if not follower.job or is_running(follower.job):
            click.echo(f"\n{goes_on(desk, name, follower.job)}", err=True)
        raise
    except CloudError as error:
        if not follower.job or not is_running(follower.job):
            raise
        hint = f"{error.hint} The job goes on: `facegan cloud attach {name}` follows it again."
        raise CloudError(error.message, hint.strip(), error.code) from error


def goes_on(desk: Desk, name: str, job: Mapping[str, Any]) -> str:
    """What a job that nobody watches costs, and how it is stopped or followed again.

    Args:
        desk: Knows prices.
        name: The job's.
        job: Its last description; empty where it was interrupted before there was one.
    """
    cost = "."
    if resources := job.get("ResourceConfig"):
        longest = job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
        kind, count = resources.get("InstanceType", "?"), resources.get("InstanceCount", 1)
        cost = f": {sentence(kind, count, longest, desk.settings)}"
    return (
        f"{name} goes on, and costs until it ends{cost}\n"
        f"  stop it:         facegan cloud stop {name}\n"
        f"  follow it again: facegan cloud attach {name}"
    )


@contextmanager
def starting(name: str, look: str) -> Iterator[None]:
    """Within, something is started; an interrupt says that it may have been.

    Args:
        name: The job's.
        look: The command that shows whether.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nWhether {name} was started is not known. See: {look}", err=True)
        raise


def outcome(desk: Desk, job: Mapping[str, Any]) -> None:
    """How a job ended; an error unless it has its model.

    Raises:
        CloudError: it failed; why, and the next step.
        RunError: it was stopped before its end.
    """
    name, status = job["TrainingJobName"], job["TrainingJobStatus"]
    if status == "Completed":
        model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        desk.say(f"{name} is complete: {model}\n{bill(job)}\nFetch it: facegan cloud fetch {name}")
        return
    desk.say(bill(job))
    if status == "Failed":
        reason = str(job.get("FailureReason", "no reason is given")).strip()
        hint = failure_hint(job) or f"Its last lines: facegan cloud logs {name} --tail 50"
        raise CloudError(f"The job {name} failed: {reason}", hint)
    word = job.get("SecondaryStatus", status)
    raise RunError(f"The job {name} ended without a model: {word}.", failure_hint(job))


def bill(job: Mapping[str, Any]) -> str:
    """What a job took, and what of it is paid."""
    took = duration(job.get("TrainingTimeInSeconds"))
    paid = duration(job.get("BillableTimeInSeconds"))
    saved = spot_savings(job)
    spot = "" if saved is None else f"; spot instances saved {saved} %"
    told = f"It took {took}, of which {paid} an instance are paid{spot}."
    if is_warm(job):
        name = job["TrainingJobName"]
        told += (
            f" Its instances are kept warm, and paid; facegan cloud stop {name} gives them back."
        )
    return told


def machines(kind: str, count: int) -> str:
    """So many of a kind."""
    return f"{count} × {kind}"


def age(moment: Any) -> str:
    """How long ago something was."""
    return duration(seconds_since(moment, datetime.now(UTC))) if moment else "–"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows under their heads, aligned; the first row is the heads.

    Args:
        rows: Of texts, equally many each; styled ones align by what is seen of them.
        right: Which columns are numbers.
    """
    seen = [[len(click.unstyle(cell)) for cell in row] for row in rows]
    widths = [max(column) for column in zip(*seen, strict=True)]
    return "\n".join(
        "  ".join(
            " " * (width - size) + cell if index in right else cell + " " * (width - size)
            for index, (cell, size, width) in enumerate(zip(row, sizes, widths, strict=True))
        ).rstrip()
        for row, sizes in zip(rows, seen, strict=True)
    )


def status_word(status: str) -> str:
    """A status in its colour."""
    return click.style(status, fg=STATUS_COLOURS.get(status))
