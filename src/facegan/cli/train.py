"""`facegan train`: from a folder of pictures to model.tar.gz, or on from where a run stopped."""

import contextlib
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from facegan.cli.processes import train_shared
from facegan.cli.worker import Order, take_part
from facegan.environment import WorkerEnvironment

HELP = """Train a GAN on a folder of pictures; ends with RUN/model.tar.gz.

\b
Examples:
  facegan train --data faces/ --out runs/a --resolution 32
  facegan train --data runs/toy32 --out runs/b --preset toy32 --total-kimg 50 --seed 7
  facegan train --data runs/toy32 --out runs/b --resume            (after any stop)
  facegan train --data runs/toy32 --out runs/c --processes 2       (the same faces, shared work)

Every hyperparameter below is a flag; its default is the preset's. Pictures of any size are cropped
square around the centre and resized. Ctrl-C (or SIGTERM) ends the step, writes a checkpoint and
stops; --resume goes on to the very bits an undisturbed run would have reached.
"""


DEFAULTS = {"family": "dcgan", "preset": "toy32"}
PLAN_ONLY = ("data", "family", "preset", "resolution")  # of a plan, not hyperparameters
OPTIONS = (*PLAN_ONLY, "out", "processes", "resume")


class TrainCommand(click.Command):
    """A command that lists the chosen family's hyperparameters in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        family, preset = chosen(ctx.args)
        for title, rows in hyperparameter_rows(family, preset):
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)  # --help is handled while parsing, and asks for the family
        return super().parse_args(ctx, args)


def chosen(args: list[str]) -> tuple[str, str]:
    """The family and preset named on a command line that is still being parsed."""
    named = dict(pairwise(part for word in args for part in word.split("=", 1)))
    return named.get("--family", DEFAULTS["family"]), named.get("--preset", DEFAULTS["preset"])


def hyperparameter_rows(family: str, preset: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Help for the presets, the preset's numbers and the trainer's, as titled tables."""
    from facegan.gans import FAMILIES, find_family, find_preset
    from facegan.training import TrainingConfig

    found = find_family(family)
    numbers = find_preset(found, preset)
    yield (
        "Families and presets",
        [(f"{f.name} {name}", p.about) for f in FAMILIES.values() for name, p in f.presets.items()],
    )
    yield (
        f"Hyperparameters of {family}, with the values of {preset}",
        [
            (flag(spec.name), f"{spec.metadata['help']}  [{getattr(numbers, spec.name)}]")
            for spec in numbers.hyperparameters()
        ],
    )
    defaults = TrainingConfig().completed_by(numbers)
    yield (
        "Hyperparameters of the trainer",
        [
            (flag(name), f"{spec.description}  [{getattr(defaults, name)}]")
            for name, spec in TrainingConfig.model_fields.items()
        ],
    )


def flag(name: str) -> str:
    """A hyperparameter's name as a flag."""
    return "--" + name.replace("_", "-")


def parse_flags(args: list[str]) -> dict[str, str]:
    """`--some-name value` and `--some-name=value` as a mapping of hyperparameters.

    Raises:
        UsageError: a value without a flag, or a flag without a value.
    """
    values: dict[str, str] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise click.UsageError(f"What is {word!r}? Hyperparameters are written --name value.")
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if not rest:
                raise click.UsageError(f"--{name} needs a value.")
            value = rest.pop(0)
        values[name.replace("-", "_")] = value
    return values


@click.command(
    cls=TrainCommand,
    help=HELP,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of pictures.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run's folder.")
@click.option("--family", help="Which family of GANs.  [default: dcgan]")
@click.option("--preset", help="Which of the family's presets.  [default: toy32]")
@click.option(
    "--resolution",
    type=click.IntRange(4, 1024),
    help="Side of the images.  [default: as the data was prepared, else 32]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    help="Share every batch among so many processes.  [default: one per GPU; 1 without]",
)
@click.argument("hyperparameters", nargs=-1, type=click.UNPROCESSED)
def command(
    out: Path,
    resume: bool,
    processes: int | None,
    hyperparameters: tuple[str, ...],
    data: Path | None,
    **options: Any,
) -> None:
    given = parse_flags(list(hyperparameters))
    asked = {name: value for name, value in options.items() if value is not None}
    if data is not None:
        asked["data"] = str(data.resolve())
    if "data" not in asked and not resume:
        raise click.UsageError(
            "Missing option '--data': the folder of pictures to train on. "
            "Draw one with: facegan data toy --out DIR"
        )

    def decide() -> Order:
        plan = resumed_plan(out, asked, given) if resume else new_plan(out, asked, given)
        return Order(str(out), plan, resume)

    if environment := WorkerEnvironment.from_mapping(os.environ):
        if processes is not None:
            raise click.UsageError("torchrun says how many processes there are; not --processes.")
        take_part(environment, decide, asked.get("data"))
    else:
        train_shared(decide(), processes)


def new_plan(out: Path, asked: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """The plan of a run that starts in a folder of its own."""
    from facegan.training import RunFolder

    RunFolder(out).check_free()
    return plan_run(asked, given)


def plan_run(asked: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """All that a run is: data, family, preset, resolution and hyperparameters, checked.

    Raises:
        ConfigError: an unknown name or a value out of range, before any work is done.
        DatasetError: the data's manifest cannot be read.
    """
    from facegan.data.image_folder import detect_resolution
    from facegan.gans import find_family, find_preset
    from facegan.training import TrainingConfig, split_hyperparameters

    plan = {**DEFAULTS, **asked}
    plan.setdefault("resolution", detect_resolution(plan["data"]) or 32)
    preset = find_preset(find_family(plan["family"]), plan["preset"])
    numbers, loop = split_hyperparameters(preset, given, also=OPTIONS)
    preset.replaced(numbers)
    TrainingConfig.from_hyperparameters(loop)
    return {**plan, **given}


def resumed_plan(out: Path, asked: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """The plan of a run that goes on: what it was started with, and nothing else."""
    from facegan.training import RunFolder
    from facegan.training.run_folder import check_same

    folder = RunFolder(out)
    plan = folder.read_plan()
    check_same(plan, {**asked, **given})
    return {**plan, **asked, **given}


def train(folder: Any, plan: dict[str, Any], resume: bool, world: Any = None) -> bool:
    """Build data, GAN and trainer from a plan, and run them to the artifact.

    Args:
        folder: The run's; the first process alone looks into it.
        plan: What :func:`plan_run` made.
        resume: Whether to go on with what is in the folder.
        world: The processes that share the run; None for this one alone.

    Returns:
        Whether the run is finished.
    """
    from facegan.gans import build_gan, find_family, find_preset
    from facegan.training import Trainer, TrainingConfig, split_hyperparameters
    from facegan.training.progress import Progress
    from facegan.training.world import ALONE

    world = world or ALONE
    values = {name: value for name, value in plan.items() if name not in PLAN_ONLY}
    preset = find_preset(find_family(plan["family"]), plan["preset"])
    numbers, loop = split_hyperparameters(preset, values)
    config = TrainingConfig.from_hyperparameters(loop)
    dataset = open_dataset(Path(plan["data"]), int(plan["resolution"]), world)
    gan = build_gan(
        plan["family"], plan["preset"], dataset.image_shape, seed=config.seed, **numbers
    )
    trainer = Trainer(gan, dataset, config, world=world)
    if resume:
        if world.leads:
            folder.check_dataset(dataset.digest)
        folder.resume(trainer)
    elif world.leads:
        folder.start(plan, dataset.describe())
    if not world.leads:
        with stopping_gently(trainer):
            trainer.run()
        return bool(trainer.is_finished)
    say_start(trainer, dataset, folder)
    with stopping_gently(trainer), bar_above_logs(), Progress(folder, trainer):
        trainer.run()
    say_end(trainer, folder, dataset)
    return bool(trainer.is_finished)


def open_dataset(data: Path, resolution: int, world: Any) -> Any:
    """The pictures, decoded, with a bar where the first process decodes them."""
    from tqdm import tqdm

    from facegan.training.shards import open_together

    with tqdm(desc="Reading pictures", unit="img", disable=None if world.leads else True) as bar:
        return open_together(world, data, resolution, bar.update)


def say_start(trainer: Any, dataset: Any, folder: Any) -> None:
    """What is about to happen, in a few lines."""
    gan = trainer.gan
    sizes = [
        f"{name} {sum(p.numel() for p in player.parameters()):,} parameters"
        for name, player in gan.players.items()
    ]
    numeric = str(trainer.dtype).removeprefix("torch.")
    length = f"{trainer.total_images / 1000:g} kimg in batches of {trainer.batch_size}"
    click.echo(f"{len(dataset):,} pictures of {dataset.resolution} px from {dataset.folder}")
    click.echo(f"{gan.family.name} {gan.preset_name}: {', '.join(sizes)}")
    click.echo(f"{length}, {numeric} on {trainer.device}{among(trainer.world)}")
    click.echo(f"Curves: tensorboard --logdir {folder.tensorboard}")


def among(world: Any) -> str:
    """How a run is shared, if it is."""
    hosts = len(set(world.hosts))
    on = f" on {hosts} hosts" if hosts > 1 else ""
    return f", shared by {world.size} processes{on}" if world.size > 1 else ""


def say_end(trainer: Any, folder: Any, dataset: Any) -> None:
    """Pack what was trained; a run that was stopped says how to go on."""
    if not trainer.is_finished:
        click.echo(
            f"Stopped at {trainer.kimg:.1f} kimg. Go on with: "
            f"facegan train --out {folder.path} --resume"
        )
        return
    folder.finish(trainer, dataset.describe())
    click.echo(
        f"Trained {trainer.kimg:.1f} kimg in {trainer.train_seconds:.0f} s. Model: {folder.archive}"
    )
    click.echo(f"Look: {folder.samples}; draw: facegan generate {folder.archive} --seeds 0-15")


@contextlib.contextmanager
def stopping_gently(trainer: Any) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the step and write a checkpoint; a second Ctrl-C stops at once."""

    def stop(number: int, frame: Any) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def bar_above_logs() -> Iterator[None]:
    """Log lines scroll above the bar instead of through it."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm():
        yield
