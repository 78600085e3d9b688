"""`facegan cloud train`: a training job on SageMaker, checked here before anything is paid."""

from dataclasses import replace
from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cli.cloud.memory import say_memory
from facegan.cli.cloud.watching import follow, outcome, starting
from facegan.cli.cloud.wishes import (
    check_before_start,
    check_hyperparameters,
    check_preset_is_known,
    derived_name,
    hyperparameters_of,
    job_options,
    settled,
    training_job,
)
from facegan.cloud.costs import sentence
from facegan.cloud.images import unpinned
from facegan.cloud.job_status import duration
from facegan.cloud.launching import creation, explained, launch_calls, missing_groups
from facegan.cloud.training_request import TrainingJob
from facegan.errors import CloudError


@click.command("train", short_help="Start a training job.")
@click.option("--name", help="The job's.  [family, preset and the minute]")
@job_options
@click.option("--keep-warm", type=int, metavar="MINUTES", help="Keep, and pay, the instances on.")
@click.option("--experiment", metavar="NAME", help="SageMaker Experiments: the group of runs.")
@click.option("--run", metavar="NAME", help="The run in that group.  [runs]")
@click.option("--wait", is_flag=True, help="Follow it to its end, as `attach` does.")
@acting_options
def command(
    desk: Desk,
    name: str | None,
    keep_warm: int | None,
    experiment: str | None,
    run: str | None,
    wait: bool,
    **wish: Any,
) -> None:
    """Train on SageMaker: the image that `facegan cloud push` brought, on a data set in S3.

    \b
    Examples (settings such as role and bucket: facegan.toml, or flags):
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --family stylegan2 --resolution 64 \\
          --total-kimg 2000 --max-hours 12 --wait

    \b
    On spot instances; on four instances, as a run of an experiment:
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --resolution 64 --spot --set precision=bf16
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --resolution 64 --instances 4 \\
          --experiment faces --run first

    \b
    The exact requests, without an account:
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --resolution 64 --dry-run

    It costs what its instances cost from their start to the job's end, at most --max-hours of each.
    `facegan cloud stop NAME` ends it earlier; its checkpoints stay in S3, and `resume NAME` goes on
    with them. A job whose time is up has no model: with --max-minutes well below --max-hours it
    ends with one. --keep-warm costs on after the job.

    A real run takes the newest image that was pushed, by its digest, and reads the data's
    resolution at --data. --dry-run asks nobody: the image has this version's tag, and a
    --resolution or a --preset is needed. Instances with disks of their own (g5, p4d …) encrypt
    these themselves; --kms-key is for their output alone.
    """
    values = hyperparameters_of(wish)
    check_hyperparameters(values, wish["evaluation"] is not None)
    desk.settings = settled(desk.settings, wish)
    warm = None if keep_warm is None else keep_warm * 60
    job = training_job(
        desk, name or derived_name(values), wish, values,
        warm_seconds=warm, experiment=experiment, run=run,
    )  # fmt: skip
    if desk.is_dry:
        check_preset_is_known(values)
        say_memory(job)
        desk.act(launch_calls(replace(job, image=unpinned(job.image))), "")
        return
    start(desk, check_before_start(desk, job))
    desk.answer(told_of(job), next_steps(job))
    if wait:
        outcome(desk, follow(desk, job.name))


def start(desk: Desk, job: TrainingJob) -> None:
    """Start a job after a yes.

    Raises:
        CloudError: it was refused.
    """
    calls = [*missing_groups(desk.aws.ask, job), creation(job.request())]
    desk.confirm(question(desk, job))
    try:
        with starting(job.name, f"facegan cloud attach {job.name}"):
            desk.act(calls, "")
    except CloudError as error:
        raise explained(error, job.name) from error


def question(desk: Desk, job: TrainingJob) -> str:
    """What is about to be paid, and how it is ended."""
    spot = ", on spot instances" if job.max_wait_seconds else ""
    longest = job.max_run_seconds + (job.warm_seconds or 0)
    cost = sentence(job.instance_type, job.instance_count, longest, desk.settings)
    warm = f" ({duration(job.warm_seconds)} of it kept warm.)" if job.warm_seconds else ""
    late = (
        ""
        if "max_minutes" in job.hyperparameters
        else (
            "If that time is up before it is complete, it has no model yet (see --max-minutes).\n"
        )
    )
    return (
        f"Start {job.name}{spot}: {cost}{warm}\n{late}"
        f"It is ended by: facegan cloud stop {job.name}\nStart it?"
    )


def told_of(job: TrainingJob) -> dict[str, Any]:
    """A started job, for programs."""
    return {
        "name": job.name,
        "output": f"{job.output}/{job.name}/output",
        "checkpoints": job.checkpoints,
        "hyperparameters": dict(job.hyperparameters),
    }


def next_steps(job: TrainingJob) -> str:
    """What can be done with a job that was started."""
    return (
        f"Started {job.name}.\n"
        f"  follow it:  facegan cloud attach {job.name}\n"
        f"  stop it:    facegan cloud stop {job.name}\n"
        f"  its curves: facegan cloud metrics {job.name}\n"
        f"  its model:  facegan cloud fetch {job.name}"
    )
