"""`facegan cloud metrics` and `fetch`: how a job goes or went, and what it made."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from facegan.cli.cloud.desk import Desk, settings_options
from facegan.cli.cloud.jobs import summary
from facegan.cli.cloud.progress import Progress
from facegan.cli.cloud.tables import table
from facegan.cli.cloud.watching import bill
from facegan.cloud.downloading import Download, remote_at
from facegan.cloud.figures import Curves, curves_of
from facegan.cloud.job_record import unpack_record
from facegan.cloud.job_status import describe, failure_hint, is_running
from facegan.cloud.places import output_archive
from facegan.cloud.s3_place import Place
from facegan.errors import CloudError, did_you_mean
from facegan.files import write_atomic
from facegan.model_files.archive import check_archive

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 32  # of a curve in the table
JOB_FILE = "job.json"


@click.command("metrics", short_help="A job's figures: a table, and curves.")
@click.argument("name")
@click.option("--figure", "figures", multiple=True, metavar="NAME", help="Only these.")
@click.option("--out", hidden=True)
@settings_options
def metrics(desk: Desk, name: str, figures: tuple[str, ...], out: str | None) -> None:
    """Show how the training job NAME goes, or went: losses, speed, quality.

    \b
      facegan cloud metrics faces-1
      facegan cloud metrics faces-1 --figure kid_lite0 --figure variety

    They are read from metrics.jsonl in the job's checkpoint folder, which is at most a tick old;
    where it has none, from CloudWatch, by the minute; else the last values alone. --json prints
    all points. The job's report has the curves: facegan cloud fetch NAME.
    """
    if out is not None:
        raise click.UsageError(
            "--out was removed: the job's report has the curves (facegan cloud fetch NAME), "
            "and --json prints all points."
        )
    found = chosen(curves_of(desk.aws, describe(desk.aws.ask, name)), figures)
    told = {"source": found.source, "along": found.along, "points": found.points}
    desk.answer(told, figure_table(found))


def chosen(curves: Curves, names: Sequence[str]) -> Curves:
    """The curves that were asked for.

    Raises:
        UsageError: there is none of a name; the nearest are offered.
    """
    for name in names:
        if name not in curves.points:
            hint = did_you_mean(name, tuple(curves.points), "figures")
            raise click.UsageError(f"The job has no figure {name!r}. {hint}")
    points = {name: curves.points[name] for name in names} if names else curves.points
    return Curves(curves.source, curves.along, points)


def figure_table(curves: Curves) -> str:
    """A line a figure: where it began, where it is, how far it went, and its shape."""
    heads = ("FIGURE", "FIRST", "LAST", "LOWEST", "HIGHEST", f"OVER {curves.along.upper()}")
    rows = [figure_row(name, points) for name, points in curves.points.items()]
    far = max(points[-1][0] for points in curves.points.values())
    return f"{table(heads, rows, (1, 2, 3, 4))}\n{curves.along} {far:,.4g}; from {curves.source}"


def figure_row(name: str, points: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """One figure's line."""
    values = [value for _, value in points]
    told = [f"{it:.4g}" for it in (values[0], values[-1], min(values), max(values))]
    return (name, *told, shape(values))


def shape(values: Sequence[float]) -> str:
    """A curve as one line of blocks, each the mean of its share of the points."""
    count = min(WIDTH, len(values))
    cuts = [round(index * len(values) / count) for index in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    spread = high - low or 1.0
    return "".join(BLOCKS[round((it - low) / spread * (len(BLOCKS) - 1))] for it in means)


@click.command("fetch", short_help="A job's model, record and report.")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to.  [runs/NAME]",
)
@settings_options
def fetch(desk: Desk, name: str, out: Path | None) -> None:
    """Fetch what the training job NAME made: its model, and its record with the report.

    \b
      facegan cloud fetch faces-1
      facegan generate runs/faces-1/model.tar.gz --seeds 0-15 --out faces.png

    DIR then is a run's folder: model.tar.gz (checked, not unpacked), run.json, metrics.jsonl,
    samples/ and report.html. An interrupted fetch goes on by the same command. S3 bills what is
    fetched from outside its region ($0.09 a GB where this was written).
    """
    job = describe(desk.aws.ask, name)
    refuse_without_model(job)
    folder = out or Path("runs") / name
    claim(folder, job)
    model, record = folder / "model.tar.gz", folder / "output.tar.gz"
    try:
        bring(desk, Place.read(job["ModelArtifacts"]["S3ModelArtifacts"]), model)
        card = check_archive(model)
        names = bring_record(desk, job, record)
    except OSError as cause:
        raise click.ClickException(f"{folder} cannot be written: {cause.strerror}.") from cause
    told = {"folder": folder, "model": model, "record": names, "family": card.get("family")}
    report = folder / "report.html"
    lines = [f"{model}: {card.get('family', '?')}, {card.get('preset', '?')}", bill(job)]
    if report.exists():
        lines.append(f"{report}: open it in a browser.")
    lines.append(f"Draw faces: facegan generate {model} --seeds 0-15 --out faces.png")
    desk.answer(told, "\n".join(lines))


def refuse_without_model(job: Mapping[str, Any]) -> None:
    """Refuse a job that has none, with what can be done instead.

    Raises:
        CloudError: says what became of the job.
    """
    name, status = job["TrainingJobName"], job["TrainingJobStatus"]
    if status == "Completed":
        return
    if is_running(job):
        hint = f"`facegan cloud attach {name}` follows it; its samples and figures are there."
        raise CloudError(f"The job {name} is still running ({status}).", hint)
    kept = job.get("CheckpointConfig", {}).get("S3Uri")
    at = f" What it kept is at {kept}: `facegan cloud download {kept} DIR`." if kept else ""
    reason = job.get("FailureReason", "")
    told = f"The job {name} has no model: {status}. {reason}".strip()
    raise CloudError(told, f"{failure_hint(job)}{at}".strip())


def claim(folder: Path, job: Mapping[str, Any]) -> None:
    """Make a job's folder, and write down whose it is.

    Raises:
        ClickException: it holds something else, or cannot be written.
    """
    file, name = folder / JOB_FILE, job["TrainingJobName"]
    try:
        there = json.loads(file.read_text()).get("name") if file.exists() else None
        if there != name and folder.exists() and any(folder.iterdir()):
            whose = f"the job {there}" if there else "something else"
            raise click.ClickException(f"{folder} holds {whose}. Name another --out.")
        write_atomic(file, (json.dumps(summary(job), indent=1, default=str) + "\n").encode())
    except (OSError, ValueError, AttributeError) as cause:
        raise click.ClickException(f"{file} cannot be read or written: {cause}.") from cause


def bring_record(desk: Desk, job: Mapping[str, Any], archive: Path) -> list[str]:
    """Fetch and unpack a job's record; nothing where it left none."""
    output = job["OutputDataConfig"]["S3OutputPath"]
    try:
        bring(desk, output_archive(output, job["TrainingJobName"]), archive)
    except CloudError as error:
        if error.code != "404":
            raise
        desk.say("The job left no record (output.tar.gz).")
        return []
    names = unpack_record(archive, archive.parent)
    archive.unlink()
    return names


def bring(desk: Desk, place: Place, target: Path) -> None:
    """Fetch an object into a file; one of its size is taken for it.

    Raises:
        CloudError: there is none (code "404"), or it cannot be read.
        ConfigError: the file cannot be written.
    """
    remote = remote_at(desk.aws, place, target)
    if target.is_file() and target.stat().st_size == remote.size:
        desk.say(f"{target} is there already.")
        return
    with Progress(f"Fetching {target.name}", remote.size) as tell:
        Download(desk.aws, place, tell).fetch([remote], [remote], target)
