"""What `train` and `tune start` are told of a job: their options, checked before AWS is asked."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from facegan.cli.cloud.desk import Desk
from facegan.cli.cloud.memory import say_memory
from facegan.cloud.images import image_address, pinned
from facegan.cloud.limits import is_local
from facegan.cloud.places import (
    check_pictures,
    checkpoints_of,
    folder,
    jobs_folder,
    read_resolution,
)
from facegan.cloud.settings import Settings
from facegan.cloud.training_request import (
    DISTRIBUTIONS,
    INPUT_MODES,
    MAX_SECONDS,
    Channel,
    TrainingJob,
    check_input_mode,
)
from facegan.errors import CloudError, ConfigError
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_spec import DEFAULT_FAMILY, DEFAULT_RESOLUTION, RunSpec
from facegan.hyperparameters.setting import convert

# Hyperparameters that are asked for often enough to be flags.
FLAGS = (
    *("family", "preset", "resolution", "labels", "total_kimg", "batch_size", "seed"),
    *("max_minutes", "evaluate_kimg", "split", "evaluate_split"),
)


def pair_option(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Any:
    """NAME=VALUE, any number of times, as a mapping."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", ctx, param)
        pairs[name] = value
    return pairs


def channel_option(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Any:
    """NAME=s3://bucket/prefix[,mode][,distribution], any number of times, as channels."""
    channels = []
    for text in texts:
        name, _, rest = text.partition("=")
        place, *words = rest.split(",")
        wish: dict[str, Any] = {"name": name, "place": place}
        for word in words:
            if word == "Pipe":
                check_input_mode(word)
            if word not in (*INPUT_MODES, *DISTRIBUTIONS):
                known = ", ".join((*INPUT_MODES, *DISTRIBUTIONS))
                raise click.BadParameter(f"{word!r} is none of {known}.", ctx, param)
            wish["input_mode" if word in INPUT_MODES else "distribution"] = word
        channels.append(Channel(**wish))
    return tuple(channels)


# In the order of the help.
JOB_OPTIONS = (
    click.option("--data", required=True, metavar="s3://…", help="The data set."),
    click.option("--evaluation", metavar="s3://…", help="Held-out pictures, for --evaluate-kimg."),
    click.option("--instance-type", required=True, metavar="TYPE", help="As ml.g5.xlarge."),
    click.option("--instances", type=click.IntRange(1, 1000), default=1, help="How many.  [1]"),
    click.option("--family", help="Which family of GANs.  [dcgan]"),
    click.option("--preset", help="Which of its presets.  [the family's for the resolution]"),
    click.option("--resolution", help="Side of the images.  [as the data was prepared]"),
    click.option("--labels", help="manifest or folders.  [manifest]"),
    click.option("--split", help="Of the data: which to train on.  [train, if there is one]"),
    click.option("--evaluate-split", help="Which to evaluate against.  [that of --split]"),
    click.option("--total-kimg", help="Thousands of images to train on.  [the preset's]"),
    click.option("--batch-size", help="Images a step.  [the preset's]"),
    click.option("--seed", help="Of weights, latents and the data's order.  [0]"),
    click.option("--max-minutes", help="End with a model after so much training.  [no limit]"),
    click.option("--evaluate-kimg", help="Measure the quality every so often.  [never]"),
    click.option(
        "--set", "others", multiple=True, callback=pair_option, metavar="NAME=VALUE",
        help="Any other hyperparameter of `facegan train`.",
    ),
    click.option("--max-hours", type=float, default=24.0, help="Stop the job after.  [24]"),
    click.option("--spot", is_flag=True, help="On spot instances: cheaper, and may be taken away."),
    click.option(
        "--max-wait-hours", type=float,
        help="Spot: how long in all, waiting included.  [twice --max-hours]",
    ),
    click.option("--retries", type=int, help="After faults of the service's.  [0]"),
    click.option("--output", metavar="s3://…", help="[s3://BUCKET/PROJECT/jobs]"),
    click.option("--checkpoints", metavar="s3://…", help="[s3://BUCKET/PROJECT/jobs/NAME/…]"),
    click.option("--input-mode", metavar="File|FastFile", default="File", help="[File]"),
    click.option(
        "--distribution", type=click.Choice(DISTRIBUTIONS), default=DISTRIBUTIONS[0],
        help="Of the data set's files over the hosts.  [FullyReplicated]",
    ),
    click.option(
        "--channel", "channels", multiple=True, callback=channel_option,
        metavar="NAME=s3://…[,MODE]", help="A further input.",
    ),
    click.option("--volume-gb", type=int, default=30, help="Disk of a host.  [30]"),
    click.option("--role", metavar="ARN", help="What the job acts as.  [facegan.toml's]"),
    click.option("--bucket", metavar="NAME", help="Where results go.  [facegan.toml's]"),
    click.option("--image", metavar="ADDRESS", help="[the newest that was pushed]"),
    click.option("--kms-key", metavar="KEY", help="Of the output, and of volumes.  [S3's own]"),
    click.option("--subnet", "subnets", multiple=True, metavar="ID", help="In a VPC."),
    click.option("--security-group", "security_groups", multiple=True, metavar="ID"),
    click.option("--isolate", is_flag=True, help="No network but among the job's hosts."),
    click.option("--encrypt", is_flag=True, help="Also what the hosts tell one another."),
    click.option(
        "--env", "environment", multiple=True, callback=pair_option, metavar="NAME=VALUE",
        help="A variable in the container.",
    ),
    click.option(
        "--tag", "tags", multiple=True, callback=pair_option, metavar="NAME=VALUE",
        help="Beside the project's.",
    ),
    click.option("--price", type=float, metavar="DOLLARS", help="Of an instance and hour."),
)  # fmt: skip


def job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a training job, which the command gets as ``**wish``."""
    for option in reversed(JOB_OPTIONS):
        command = option(command)
    return command


def settled(settings: Settings, wish: Mapping[str, Any]) -> Settings:
    """The settings with what a job's options say."""
    price = wish["price"]
    return settings.but(
        role=wish["role"],
        bucket=wish["bucket"],
        training_image=wish["image"],
        kms_key=wish["kms_key"],
        subnets=wish["subnets"] or None,
        security_groups=wish["security_groups"] or None,
        price=None if price is None else {**settings.price, wish["instance_type"]: price},
        tags={**settings.tags, **wish["tags"]} if wish["tags"] else None,
    )


def hyperparameters_of(wish: Mapping[str, Any]) -> dict[str, str]:
    """The hyperparameters that a command line names, by flags and by --set.

    Raises:
        UsageError: one is named twice.
    """
    flags = {name: wish[name] for name in FLAGS if wish[name] is not None}
    others = {name.replace("-", "_"): value for name, value in wish["others"].items()}
    if twice := sorted(set(flags) & set(others)):
        raise click.UsageError(f"{twice[0]} is given twice, as a flag and by --set.")
    return {**flags, **others}


def check_hyperparameters(values: Mapping[str, Any], has_evaluation: bool) -> None:
    """Refuse what the container would, before anything is paid.

    Args:
        values: By name.
        has_evaluation: Whether the job has held-out pictures.

    Raises:
        ConfigError: names the hyperparameter, and the fix.
    """
    is_measured = float_or_zero(values.get("evaluate_kimg"))
    if (has_evaluation or "evaluate_split" in values) and not is_measured:
        told = "Pictures to evaluate against are given, and nothing would be evaluated."
        raise ConfigError(told, "Say how often: --evaluate-kimg 5.")
    check_values(values)


def float_or_zero(value: Any) -> float:
    """Parse a float; return 0.0 if invalid (reported elsewhere)."""
    with suppress(TypeError, ValueError):
        return float(value)
    return 0.0


def check_values(values: Mapping[str, Any]) -> None:
    """Check hyperparameters as the container does, all but what only the data can tell.

    Raises:
        ConfigError: an unknown name, a value out of range, or images that the family cannot make.
    """
    if "processes" in values:
        convert("processes", int, values["processes"])
    spec = RunSpec.from_mapping({k: v for k, v in values.items() if k != "processes"})
    run = resolve(spec)
    if run.spec.preset:  # else the data's resolution will choose it
        run.check_batch(processes=1)  # GPUs: see memory_note
        run.check_shape()


def derived_name(values: Mapping[str, Any], kind: str = "") -> str:
    """A job's name from what it trains and the minute: the same command twice makes one job."""
    what = (kind, values.get("family", DEFAULT_FAMILY), values.get("preset"))
    when = time.strftime("%Y%m%d-%H%M", time.gmtime())
    return "-".join([*(part for part in what if part), when])


def training_job(desk: Desk, name: str, wish: Mapping[str, Any], values: Mapping[str, Any],
                 **also: Any) -> TrainingJob:  # fmt: skip
    """The job that a command line asks for, checked; no AWS is asked.

    Args:
        desk: Its settings have the job's options in them.
        name: The job's.
        wish: The options.
        values: Hyperparameters.
        also: Further fields of the job.

    Raises:
        CloudError: something is not known: role, bucket, region.
        ConfigError: something that SageMaker or the container would refuse.
    """
    settings = desk.settings
    if is_local(wish["instance_type"]):
        told = "Local mode is not started from here: make local-test, local_test/README.md."
        raise click.UsageError(told)
    max_run = whole_seconds("--max-hours", wish["max_hours"])
    max_minutes = float_or_zero(values.get("max_minutes"))
    if max_minutes * 60 >= max_run:
        told = f"max_minutes is {max_minutes:g}, and the job is stopped after {max_run // 60}."
        raise ConfigError(told, "A job that is stopped has no model: give it more --max-hours.")
    wait = None
    if wish["spot"]:
        hours = wish["max_wait_hours"]
        twice = min(2 * max_run, MAX_SECONDS)
        wait = twice if hours is None else whole_seconds("--max-wait-hours", hours)
    elif wish["max_wait_hours"] is not None:
        raise click.UsageError("--max-wait-hours goes with --spot.")
    places = {
        "output": wish["output"] or jobs_folder(settings.need("bucket"), settings.project),
        "checkpoints": wish["checkpoints"]
        or checkpoints_of(settings.need("bucket"), settings.project, name),
    }
    return TrainingJob(
        **{
            "name": name,
            "image": image_address(settings, "training", region_of(desk)),
            "role": settings.need("role"),
            "pictures": folder(wish["data"]),
            "held_out_pictures": wish["evaluation"] and folder(wish["evaluation"]),
            **places,
            "curves": places["output"],
            "instance_type": wish["instance_type"],
            "instance_count": wish["instances"],
            "hyperparameters": dict(values),
            "input_mode": wish["input_mode"],
            "distribution": wish["distribution"],
            "more_channels": wish["channels"],
            "volume_gb": wish["volume_gb"],
            "max_run_seconds": max_run,
            "max_wait_seconds": wait,
            "retries": wish["retries"],
            "network_isolation": wish["isolate"],
            "encrypt_between_hosts": wish["encrypt"],
            "subnets": settings.subnets,
            "security_groups": settings.security_groups,
            "kms_key": settings.kms_key,
            "environment": wish["environment"],
            "tags": settings.all_tags,
            **also,
        }
    )


def whole_seconds(flag: str, hours: float) -> int:
    """Hours as the seconds that the API takes.

    Raises:
        UsageError: it is no time.
    """
    if not 0 < hours <= MAX_SECONDS / 3600:
        most = MAX_SECONDS // 3600
        raise click.UsageError(f"{flag} is {hours:g}. It must be more than 0, and {most} at most.")
    return max(round(hours * 3600), 1)


def region_of(desk: Desk) -> str | None:
    """The region by flags, file or AWS's own settings; nothing is asked of AWS for it."""
    return desk.settings.region or desk.aws.region


def check_before_start(desk: Desk, job: TrainingJob) -> TrainingJob:
    """Return the job with its image by digest; image, images and preset are known to be there.

    Raises:
        CloudError: one is missing.
        ConfigError: the family has no preset for the data's resolution.
    """
    machine = None if job.hyperparameters.get("device") == "cpu" else job.instance_type
    image = pinned(desk.aws, job.image, machine)
    for place in job.all_channels():
        with readable_by_the_role(desk, place.place):
            check_pictures(desk.aws, place.place)
    side = None
    with readable_by_the_role(desk, f"{job.pictures}dataset.json"):
        side = read_resolution(desk.aws, job.pictures) or DEFAULT_RESOLUTION
    check_preset_is_known(job.hyperparameters, side)
    say_memory(job, side)
    return replace(job, image=image)


@contextmanager
def readable_by_the_role(desk: Desk, what: str) -> Iterator[None]:
    """Go on where the caller may not look at something: the job's role may."""
    try:
        yield
    except CloudError as error:
        if not error.code.startswith("AccessDenied"):
            raise
        desk.say(f"{what} could not be looked at with your credentials; the role may.")


def check_preset_is_known(values: Mapping[str, Any], side: int | None = None) -> None:
    """Refuse a job of which nobody can tell, before it is paid, that the container has a preset.

    Args:
        values: The hyperparameters.
        side: The resolution of the data, where that was looked at.

    Raises:
        ConfigError: neither is known, or the family cannot make these images.
    """
    if "preset" not in values and "resolution" not in values and side is None:
        raise ConfigError(
            "The preset depends on the images' resolution, and that is not known here.",
            "Give --resolution, what the data was prepared at, or a --preset.",
        )
    if side is not None:
        check_values({"resolution": str(side), **values})
