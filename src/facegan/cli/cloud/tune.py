"""`facegan cloud tune`: many training jobs that look for the best hyperparameters."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cli.cloud.tables import table
from facegan.cli.cloud.watching import age, starting, status_word
from facegan.cli.cloud.wishes import (
    check_before_start,
    check_hyperparameters,
    check_preset_is_known,
    hyperparameters_of,
    job_options,
    settled,
    training_job,
)
from facegan.cli.lazy import LazyCommand, LazyGroup
from facegan.cloud import job_status, tuning
from facegan.cloud.costs import sentence
from facegan.cloud.images import unpinned
from facegan.cloud.job_status import duration
from facegan.cloud.launching import explained
from facegan.cloud.tuning_request import OBJECTIVES, STRATEGIES, Choice, Range, TuningJob
from facegan.errors import CloudError
from facegan.hyperparameters.run_spec import DEFAULT_FAMILY

HERE = "facegan.cli.cloud.tune"
COMMANDS = {
    "start": LazyCommand(HERE, "Start a tuning job over ranges and choices.", "start"),
    "results": LazyCommand(
        HERE, "What its jobs came to; without a name, all tuning jobs.", "results"
    ),
    "best": LazyCommand(HERE, "The best job, and its model to deploy.", "best"),
    "stop": LazyCommand(HERE, "Stop it, and its jobs that run.", "stop"),
}
KNOWN = [name for them in OBJECTIVES.values() for name in them]


@click.command(cls=LazyGroup, lazy_commands=COMMANDS)
def command() -> None:
    """Look for the best hyperparameters by many training jobs.

    \b
      facegan cloud tune start --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --family stylegan2 --resolution 64 \\
          --evaluate-kimg 50 --range r1_gamma=0.1:10:log \\
          --choice mapping_layers=2,8 --name faces-tune
      facegan cloud tune results faces-tune
      facegan cloud tune best faces-tune
      facegan cloud tune stop faces-tune
    """


def range_option(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Any:
    """NAME=LOW:HIGH[:log], any number of times."""
    ranges = []
    for text in texts:
        name, _, rest = text.partition("=")
        ends = rest.split(":")
        if len(ends) not in (2, 3) or not name:
            raise click.BadParameter(
                f"{text!r} is not NAME=LOW:HIGH or NAME=LOW:HIGH:log.", ctx, param
            )
        ranges.append(Range(name.replace("-", "_"), *ends))
    return tuple(ranges)


def choice_option(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Any:
    """NAME=A,B, any number of times."""
    choices = []
    for text in texts:
        name, equals, rest = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not NAME=A,B.", ctx, param)
        choices.append(Choice(name.replace("-", "_"), tuple(rest.split(","))))
    return tuple(choices)


@click.command("start")
@click.option("--name", help="Of the tuning job, 32 characters at most.  [family and the minute]")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    callback=range_option,
    metavar="NAME=LOW:HIGH[:log]",
    help="A number to find.",
)
@click.option(
    "--choice",
    "choices",
    multiple=True,
    callback=choice_option,
    metavar="NAME=A,B",
    help="A value to find among some.",
)
@click.option(
    "--objective",
    type=click.Choice(KNOWN),
    help="The quality to tune for.  [kid_lite0, or fid over inception]",
)
@click.option("--strategy", type=click.Choice(STRATEGIES), default="Bayesian", show_default=True)
@click.option("--max-jobs", type=int, default=12, show_default=True)
@click.option("--max-parallel", type=int, default=2, show_default=True, help="At a time.")
@click.option("--early-stopping", is_flag=True, help="End jobs that do worse than the median.")
@click.option("--tuning-seed", type=int, help="Of what is tried.  [any]")
@job_options
@acting_options
def start(
    desk: Desk,
    name: str | None,
    ranges: tuple[Range, ...],
    choices: tuple[Choice, ...],
    objective: str | None,
    strategy: str,
    max_jobs: int,
    max_parallel: int,
    early_stopping: bool,
    tuning_seed: int | None,
    **wish: Any,
) -> None:
    """Start a tuning job: training jobs over declared ranges, the quality metric as the objective.

    \b
      facegan cloud tune start --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --family dcgan --preset toy32 \\
          --total-kimg 500 --evaluate-kimg 100 --name faces-tune \\
          --range generator_learning_rate=1e-4:1e-3:log --choice conv_dim=32,64 \\
          --max-jobs 12 --max-parallel 3 --max-hours 2

    It costs what its training jobs cost: --max-jobs times --max-hours at most. `facegan cloud tune
    stop NAME` ends it with all of them. SageMaker takes the last figure that a job printed; a
    grid tries all combinations of choices. Spot jobs keep checkpoints, each in a folder of its
    name.
    """
    values = hyperparameters_of(wish)
    tried = [(one.name, end) for one in ranges for end in (one.low, one.high)]
    tried += [(one.name, value) for one in choices for value in one.values]
    for name_of_it, value in tried:
        check_hyperparameters({**values, name_of_it: value}, False)
    check_hyperparameters(values, wish["evaluation"] is not None)
    desk.settings = settled(desk.settings, wish)
    called = name or derived_name(values)
    if objective is None:
        objective = "fid" if values.get("evaluate_extractor") == "inception" else "kid_lite0"
    job = TuningJob(
        name=called,
        job=training_job(desk, called, wish, values, curves=None),
        ranges=ranges,
        choices=choices,
        objective=objective,
        strategy=strategy,
        max_jobs=max_jobs,
        max_parallel=max_parallel,
        early_stopping=early_stopping,
        seed=tuning_seed,
        tags=desk.settings.all_tags,
    )
    if desk.is_dry:
        check_preset_is_known(values)
        image = unpinned(job.job.image)
        desk.act([tuning.creation(replace(job, job=replace(job.job, image=image)))], "")
        return
    job = replace(job, job=check_before_start(desk, job.job))
    try:
        with starting(called, f"facegan cloud tune results {called}"):
            desk.act([tuning.creation(job)], question(desk, job))
    except CloudError as error:
        if error.code == "ResourceInUse":
            told = f"There is a tuning job named {called} already."
            hint = f"Give another --name; `facegan cloud tune results {called}` shows that one."
            raise CloudError(told, hint, error.code) from error
        raise explained(error, called) from error
    desk.answer(
        {"name": called, "objective": objective, "goal": job.goal, "jobs": job.count},
        f"Started {called}: {job.count} jobs at most, {objective} to {job.goal.lower()}.\n"
        f"  how it goes: facegan cloud tune results {called}\n"
        f"  stop it:     facegan cloud tune stop {called}",
    )


def derived_name(values: Mapping[str, str]) -> str:
    """A tuning job's name from the family and the minute."""
    return (
        f"{values.get('family', DEFAULT_FAMILY)}-tune-{time.strftime('%m%d-%H%M', time.gmtime())}"
    )


def question(desk: Desk, job: TuningJob) -> str:
    """What is about to be paid, and how it is ended."""
    one, count = job.job, job.count
    longest = count * one.max_run_seconds
    kind = ", on spot instances" if one.max_wait_seconds else ""
    cost = sentence(one.instance_type, one.instance_count, longest, desk.settings)
    return (
        f"Start {job.name}: {count} training jobs of {duration(one.max_run_seconds)} at most, "
        f"{job.max_parallel} at a time{kind}. In all, one after the other: {cost}\n"
        f"It is ended by: facegan cloud tune stop {job.name}\nStart it?"
    )


@click.command("results")
@click.argument("name", required=False)
@click.option("--all", "everyones", is_flag=True, help="Not of this project alone.")
@click.option("--max", "most", type=click.IntRange(1, 750), default=20, show_default=True)
@settings_options
def results(desk: Desk, name: str | None, everyones: bool, most: int) -> None:
    """Show what the tuning job NAME has found, the best first; without NAME, list tuning jobs.

    \b
      facegan cloud tune results
      facegan cloud tune results faces-tune
    """
    if name is None:
        list_all(desk, None if everyones else desk.settings.project, most)
        return
    described = tuning.describe(desk.aws, name)
    figure, is_less_better = tuning.objective_of(described)
    jobs = tuning.training_jobs(desk.aws, described)[:most]
    tuned = sorted({key for job in jobs for key in job.get("TunedHyperParameters", {})})
    heads = ("", "NAME", "STATUS", figure.upper(), *tuned, "TOOK")
    rows = [result_row(place, job, tuned) for place, job in enumerate(jobs, 1)]
    counts = described.get("TrainingJobStatusCounters", {})
    goes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    status = described["HyperParameterTuningJobStatus"]
    head = f"{name}: {status}{f' ({goes})' if goes else ''}; the "
    head += f"{'lowest' if is_less_better else 'highest'} {figure} first"
    if reason := described.get("FailureReason"):
        head += f"\n{reason}"
    found = {
        "name": name,
        "status": status,
        "objective": figure,
        "jobs": [
            {
                "name": job["TrainingJobName"],
                "status": job["TrainingJobStatus"],
                "value": tuning.value_of(job),
                "hyperparameters": job.get("TunedHyperParameters", {}),
                "failure_reason": job.get("FailureReason"),
            }
            for job in jobs
        ],
    }
    numbers = (0, 3, *range(4, 5 + len(tuned)))
    body = table(heads, rows, numbers) if jobs else "No training job has started yet."
    desk.answer(found, f"{head}\n{body}")


def result_row(place: int, job: Mapping[str, Any], tuned: list[str]) -> tuple[str, ...]:
    """A training job's line."""
    value, values = tuning.value_of(job), job.get("TunedHyperParameters", {})
    start, end = job.get("TrainingStartTime"), job.get("TrainingEndTime")
    return (
        str(place),
        job["TrainingJobName"],
        status_word(job["TrainingJobStatus"]),
        "–" if value is None else f"{value:.5g}",
        *(short(values.get(key, "–")) for key in tuned),
        duration((end - start).total_seconds()) if start and end else "–",
    )


def short(text: str) -> str:
    """A number that SageMaker chose, in four digits that count; a word as it is."""
    try:
        return f"{float(text.strip(chr(34))):.4g}"
    except ValueError:
        return text.strip('"')


def list_all(desk: Desk, project: str | None, most: int) -> None:
    """The newest tuning jobs."""
    found = tuning.list_tuning(desk.aws, project, most)
    rows = [
        (
            job["HyperParameterTuningJobName"],
            status_word(job["HyperParameterTuningJobStatus"]),
            tuning.objective_of(job)[0],
            str(sum(job.get("TrainingJobStatusCounters", {}).values())),
            age(job.get("CreationTime")),
        )
        for job in found
    ]
    told = [
        {"name": name, "status": click.unstyle(status), "objective": figure, "jobs": int(jobs)}
        for name, status, figure, jobs, _ in rows
    ]
    whose = "" if project is None else f" of the project {project!r}"
    heads = ("NAME", "STATUS", "OBJECTIVE", "JOBS", "AGE")
    nothing = f"There are no tuning jobs{whose} in {desk.aws.region}."
    desk.answer(told, table(heads, rows, (3, 4)) if rows else nothing)


@click.command("best")
@click.argument("name")
@settings_options
def best(desk: Desk, name: str) -> None:
    """Name the best training job of the tuning job NAME, and its model to deploy.

    \b
      facegan cloud tune best faces-tune
    """
    described = tuning.describe(desk.aws, name)
    won = described.get("BestTrainingJob")
    if not won:
        hint = f"`facegan cloud tune results {name}` shows how far they are."
        raise CloudError(f"No job of {name} has measured the objective yet.", hint)
    job = job_status.describe(desk.aws.ask, won["TrainingJobName"])
    model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    figure, value = tuning.objective_of(described)[0], tuning.value_of(won)
    tuned = won.get("TunedHyperParameters", {})
    lines = [
        f"{won['TrainingJobName']}: {figure} {'–' if value is None else f'{value:.5g}'}",
        *(f"  {key} = {short(text)}" for key, text in sorted(tuned.items())),
    ]
    lines += [
        f"Its model: {model}",
        f"Deploy it: facegan cloud deploy NAME --model {model}",
    ] * bool(model)
    if described["HyperParameterTuningJobStatus"] not in tuning.ENDED:
        lines.append("Others still run; it may be beaten.")
    told = {
        "name": won["TrainingJobName"],
        "objective": figure,
        "value": value,
        "hyperparameters": tuned,
        "model": model or None,
    }
    desk.answer(told, "\n".join(lines))


@click.command("stop")
@click.argument("name")
@acting_options
def stop(desk: Desk, name: str) -> None:
    """Stop the tuning job NAME and its training jobs that run; finished ones keep their models.

    \b
      facegan cloud tune stop faces-tune
    """
    if desk.is_dry:
        desk.act([tuning.stopping(name)], "")
        return
    status = tuning.describe(desk.aws, name)["HyperParameterTuningJobStatus"]
    if status in tuning.ENDED:
        desk.answer({"name": name, "status": status}, f"{name} has ended already ({status}).")
        return
    desk.act([tuning.stopping(name)], f"Stop {name}? Its jobs that run end without a model.")
    told = f"{name} is stopping. Its best so far: facegan cloud tune best {name}"
    desk.answer({"name": name, "status": "Stopping"}, told)
