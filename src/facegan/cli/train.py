"""`facegan train`: from a folder of pictures to model.tar.gz, or on from where a run stopped."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from facegan.cli.allocator import keep_freed_memory
from facegan.cli.error_printer import to_flag
from facegan.cli.export import add_graphs
from facegan.cli.inputs import S3, refuse_data, refuse_run
from facegan.cli.memory_advice import fitting_memory, refuse_what_cannot_fit, say_memory
from facegan.cli.places import Place, absolute, reached
from facegan.cli.processes import train_shared
from facegan.cli.worker import Order, take_part
from facegan.environment import WorkerEnvironment, plain_hyperparameters
from facegan.errors import ConfigError, normalize_name
from facegan.files import read_json
from facegan.image_files import is_picture
from facegan.name_lists import quoted
from facegan.path_kinds import what_is
from facegan.tick_line import METRIC_DEFINITIONS

HELP = """Train a GAN on a folder of pictures; ends with RUN/model.tar.gz.

\b
Examples:
  facegan train --data faces/ --out runs/a --resolution 32
  facegan train --data runs/toy32 --out runs/b --preset toy32 --total-kimg 50 --seed 7
  facegan train --data runs/toy32 --out runs/b --resume            # after any stop
  facegan train --data cats_and_dogs/ --out runs/c --family r3gan --preset paper64 \\
                --conditional true --labels folders
  facegan train --data runs/toy32 --out runs/d --processes 2       # the same faces, shared work

Every hyperparameter below is a flag; its default is the preset's. Pictures of any size are cropped
square around the centre and resized. Ctrl-C (or SIGTERM) ends the step, writes a checkpoint and
stops; --resume goes on to the very bits an undisturbed run would have reached.
"""


SLOW_STEP = 5.0  # seconds; a run has thousands of steps
MIRRORED = (
    "Half of the time each image is shown mirrored. Where left and right matter (text, signs), add "
    "--mirror off."
)
FAMILY, RESOLUTION = "dcgan", 32  # where nothing is named and the data does not say
OPTIONS = (
    *("data", "evaluate_data", "evaluate_split", "family", "labels", "out", "preset", "processes"),
    *("resolution", "resume", "split"),
)


class TrainCommand(click.Command):
    """A command that lists the chosen family's hyperparameters in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        family, preset = chosen(ctx.args)
        for title, rows in hyperparameter_rows(family, preset):
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = [with_dashes(word) for word in args]
        ctx.args = list(args)  # --help is handled while parsing, and asks for the family
        return super().parse_args(ctx, args)

    def hyperparameter_names(self) -> list[str]:
        """Every name that may be given as a flag, of any family."""
        return all_names()


def with_dashes(word: str) -> str:
    """A flag as it is written here: --batch_size is --batch-size."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def all_names() -> list[str]:
    """The hyperparameters of all families and of the trainer, and the options."""
    from facegan.gans import FAMILIES
    from facegan.training import TrainingConfig

    presets = [next(iter(family.presets.values())) for family in FAMILIES.values()]
    numbers = [spec.name for preset in presets for spec in preset.hyperparameters()]
    return [*numbers, *TrainingConfig.model_fields, *OPTIONS]


def chosen(args: list[str]) -> tuple[str, str]:
    """The family and preset named on a command line that is still being parsed."""
    from facegan.gans import find_family

    named = dict(pairwise(part for word in args for part in word.split("=", 1)))
    family = find_family(named.get("--family", FAMILY))
    resolution = named.get("--resolution", "")
    side = int(resolution) if resolution.isdecimal() else RESOLUTION
    return family.name, named.get("--preset") or family.default_preset(side)


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
            (to_flag(spec.name), f"{spec.metadata['help']}  [{getattr(numbers, spec.name)}]")
            for spec in numbers.hyperparameters()
        ],
    )
    defaults = TrainingConfig().completed_by(numbers)
    yield (
        "Hyperparameters of the trainer",
        [
            (to_flag(name), f"{spec.description}  [{getattr(defaults, name)}]")
            for name, spec in TrainingConfig.model_fields.items()
        ],
    )


def parse_flags(args: list[str]) -> dict[str, str]:
    """`--some-name value` and `--some-name=value` as a mapping of hyperparameters.

    Raises:
        UsageError: a value without a flag, or a flag without a value.
        ConfigError: a flag is given in two writings.
    """
    from facegan.hyperparameters.aliases import ALIASES

    values: dict[str, str] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise click.UsageError(stray(word))
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            elif (
                normalize_name(name) not in ALIASES
            ):  # a switch elsewhere; its name is told instead
                raise click.UsageError(f"--{name} needs a value, as --{name} VALUE.")
        values[name.replace("-", "_")] = value
    return plain_hyperparameters(values)


def stray(word: str) -> str:
    """What to say of a word that belongs to no flag; what lies at it, where it is a path."""
    told = f"What is {word!r}? Hyperparameters are written --name value."
    match what_is(word).kind:
        case "images" | "data set" | "zip" | "archives":
            return f"{told} The folder of images is given as --data {word}."
        case "run" | "unfinished run":
            return f"{told} A run is continued by --out {word} --resume."
    return told


def print_metric_definitions(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    """--metric-definitions: what a SageMaker job declares to have its curves drawn."""
    if asked:
        click.echo(json.dumps(METRIC_DEFINITIONS, indent=2))
        ctx.exit()


@click.command(
    cls=TrainCommand,
    help=HELP,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.option(
    "--data", metavar="DIR", help="Folder of pictures; s3://bucket/prefix of a streamed data set."
)
@click.option(
    "--split",
    metavar="NAME",
    help="Which split of the data to train on; all: every picture.  [default: train, if there is "
    "one]",
)
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="The run's folder.  [required]"
)
@click.option("--family", help="Which family of GANs.  [default: dcgan]")
@click.option(
    "--preset", help="Which of the family's presets.  [default: the family's for the resolution]"
)
@click.option(
    "--resolution",
    type=click.IntRange(4, 1024),
    help="Side of the images.  [default: as the data was prepared, else 32]",
)
@click.option(
    "--evaluate-data",
    metavar="DIR",
    help="Pictures to evaluate against, with --evaluate-kimg.  [default: those of --data]",
)
@click.option(
    "--evaluate-split",
    metavar="NAME",
    help="Which split of them to evaluate against.  [default: that of --split; of --evaluate-data "
    "train, if there is one]",
)
@click.option(
    "--labels",
    type=click.Choice(["manifest", "folders"]),
    help="Where a conditional preset reads the classes of the pictures: dataset.json, or the names "
    "of the folders in --data.  [default: manifest]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    help="Share every batch among so many processes.  [default: one per GPU; 1 without]",
)
@click.option(
    "--metric-definitions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_metric_definitions,
    help="Print the MetricDefinitions of a SageMaker training job, and stop.",
)
@click.argument("hyperparameters", nargs=-1, type=click.UNPROCESSED)
def command(
    out: Path | None,
    resume: bool,
    processes: int | None,
    hyperparameters: tuple[str, ...],
    **options: Any,
) -> None:
    given = parse_flags(list(hyperparameters))
    asked = {name: value for name, value in options.items() if value is not None}
    environment = WorkerEnvironment.from_mapping(os.environ)
    if environment is None or environment.rank == 0:
        check_quickly(out, asked, given, resume, processes or 1)
    if out is None:
        raise click.UsageError("Missing option '--out': the folder of the run.")
    for name in ("data", "evaluate_data"):
        if name in asked:
            asked[name] = absolute(asked[name])

    def decide() -> Order:
        plan = resumed_plan(out, asked, given) if resume else plan_run(asked, given)
        return Order(str(out), plan, resume)

    if environment:
        if processes is not None:
            raise click.UsageError("torchrun says how many processes there are; not --processes.")
        take_part(environment, decide, asked.get("data"))
    else:
        train_shared(decide(), processes)


def check_quickly(
    out: Path | None,
    asked: dict[str, Any],
    given: dict[str, str],
    resume: bool,
    processes: int = 1,
) -> None:
    """Refuse what can be told without torch, which takes seconds to import: names, paths, access.

    Raises:
        UsageError: --data or --out is missing.
        FaceGANError: a name, a value, a path or a folder's access is wrong.
    """
    from facegan.training.run_lock import check_free

    before: dict[str, Any] = {}
    if resume and out is not None:
        refuse_run(what_is(out))
        before = recorded_plan(out)
    check_names({**before, **asked}, given, processes=processes)
    if "data" not in asked and not resume:
        raise click.UsageError(
            "Missing option '--data': the folder of pictures to train on. "
            "Draw one with: facegan data toy --out DIR"
        )
    for name in ("data", "evaluate_data"):
        if not asked.get(name, "").isascii():
            refuse_undecoded(name, asked[name])
        if name in asked and not asked[name].startswith(S3):
            refuse_data(what_is(asked[name]), asked.get("resolution") or 64)
    if out is not None and not resume:
        check_free(out)


def refuse_undecoded(name: str, path: str) -> None:
    """Refuse a path that is no UTF-8: the run's record is JSON and could not hold it.

    Raises:
        ConfigError: the path is not UTF-8.
    """
    try:
        absolute(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{to_flag(name)} {path!a} is no name in UTF-8.", "Rename the folder, or link it."
        ) from None


def recorded_plan(out: Path) -> dict[str, Any]:
    """What a run was started as; empty where its record cannot be read, which RunFolder tells."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return dict(read_json(out / "run.json")["plan"])
    return {}


def check_names(
    asked: dict[str, Any],
    given: dict[str, str],
    also: tuple[str, ...] = OPTIONS,
    processes: int = 1,
) -> None:
    """Refuse names and values that no family, preset or trainer takes; needs no torch.

    Raises:
        ConfigError: names the first.
    """
    from facegan.gans import check_conditional, convert, find_family, find_preset
    from facegan.hyperparameters.aliases import EPOCHS
    from facegan.training.plan import check_batch, check_micro_batch, resolve_plan

    family = find_family(asked.get("family", FAMILY))
    side = asked.get("resolution")
    data = asked.get("data")  # of a damaged run.json it may be anything
    prepared = prepared_side(Path(data), side) if isinstance(data, str) else None
    side = convert("resolution", int, side) if side is not None else prepared
    if side is not None:
        name = asked.get("preset") or family.default_preset(side)
    else:
        name = asked.get("preset") or next(iter(family.presets))
    find_preset(family, name)
    plan = {**asked, "family": family.name, "preset": name, **given}
    wants_count = any(normalize_name(it) in EPOCHS for it in given)
    images = count_images(asked.get("data", "")) if wants_count else None
    numbers, config = resolve_plan(plan, also, images)
    for held_out in ("evaluate_data", "evaluate_split"):
        if held_out in plan and not config.evaluate_kimg:
            raise ConfigError(
                f"Nothing would be evaluated against {plan[held_out]}.",
                "Say how often: --evaluate-kimg 5.",
            )
    preset = find_preset(family, name).replaced(numbers)
    check_conditional(family, preset)
    if asked.get("preset") or side is not None:
        batch = config.completed_by(preset).batch_size or 0
        check_batch(family, preset, batch, processes)
        check_micro_batch(family, preset, batch, processes, config.micro_batch)
    if side is not None and asked.get("preset"):
        family.check_shape(preset, (3, side, side))


def prepared_side(folder: Path, asked: Any = None) -> int | None:
    """The resolution that a data set was prepared at; None of plain images, or if it is unknown.

    Raises:
        DatasetError: it is packed, and at another resolution than the one asked for.
    """
    from facegan.data.prepare.packed_format import FORMAT, check_resolution, load_manifest
    from facegan.errors import DatasetError

    try:
        manifest = load_manifest(folder)
    except DatasetError:  # its reader tells
        return None
    side = manifest.get("resolution") if manifest.get("format") == FORMAT else None
    if not isinstance(side, int):
        return None
    if manifest.get("kind") in ("packed", "streamed") and str(asked).isdecimal():
        check_resolution(folder, side, int(asked))
    return side


def count_images(data: str) -> int | None:
    """How many images a folder holds, by its manifest or by their names; None on S3 or if none."""
    from facegan.data.prepare.packed_format import load_manifest
    from facegan.errors import DatasetError

    if not data or data.startswith(S3):
        return None
    with contextlib.suppress(DatasetError):
        count = load_manifest(Path(data)).get("images")
        if isinstance(count, int):
            return count
    files = (name for _, _, names in os.walk(data) for name in names)
    return sum(map(is_picture, files)) or None


def plan_run(
    asked: dict[str, Any],
    given: dict[str, str],
    also: tuple[str, ...] = OPTIONS,
    is_first: bool = True,
) -> dict[str, Any]:
    """All that a run is: data, family, preset, resolution and hyperparameters, checked.

    Args:
        asked: What is no hyperparameter: ``data``, and where they are named, ``family``,
            ``preset`` and ``resolution``.
        given: Hyperparameters by name.
        also: Further names worth offering for a mistyped one.
        is_first: Whether this host's plan is the run's; the others' data may lack labels.

    Raises:
        ConfigError: an unknown name, a value out of range, or images that the family cannot make,
            before any work is done.
        DatasetError: the data's manifest cannot be read, it is packed at another resolution, or
            labels are wanted and there are none.
    """
    from facegan.gans import find_family

    family = find_family(asked.get("family", FAMILY))
    check_names(asked, given, also)
    with reached(asked["data"]) as place:
        return plan_on(place.folder, family, asked, given, also, is_first)


def plan_on(
    folder: Path,
    family: Any,
    asked: dict[str, Any],
    given: dict[str, str],
    also: tuple[str, ...],
    is_first: bool,
) -> dict[str, Any]:
    """The same, given where the data's manifest lies."""
    from facegan.data.image_folder import detect_resolution
    from facegan.data.opening import refuse_other_resolution, refuse_unknown_split
    from facegan.gans import convert, find_preset
    from facegan.training.plan import check_micro_batch, resolve_plan

    side = asked.get("resolution") or detect_resolution(folder) or RESOLUTION
    side = convert("resolution", int, side)
    refuse_other_resolution(folder, side)
    if is_first:
        refuse_unknown_split(folder, asked.get("split"))
    preset = asked.get("preset") or family.default_preset(side)
    plan = {**asked, "family": family.name, "preset": preset, "resolution": side, **given}
    numbers, config = resolve_plan(plan, also)
    if is_first and "evaluate_data" not in plan:
        refuse_unknown_split(folder, plan.get("evaluate_split"))
    found = find_preset(family, preset).replaced(numbers)
    batch = config.completed_by(found).batch_size or 0
    check_micro_batch(family, found, batch, 1, config.micro_batch)  # processes are checked later
    if getattr(found, "conditional", False) and not is_first:
        return plan
    classes = check_labels(plan, found, folder)
    check_shape(family.name, preset, side, numbers, classes)
    return plan


def check_shape(
    family: str, preset: str, resolution: int, numbers: dict[str, Any], classes: dict[str, int]
) -> None:
    """Refuse a resolution that the family cannot make; no weights are made, no pictures read.

    Raises:
        ConfigError: it says which resolutions the family can make.
    """
    import torch

    from facegan.gans import build_gan

    with torch.device("meta"):
        build_gan(family, preset, (3, resolution, resolution), classes=classes, **numbers)


def check_labels(plan: dict[str, Any], preset: Any, folder: Path) -> dict[str, int]:
    """Refuse a plan whose preset and labels do not go together, before a picture is read.

    Returns:
        How many pictures are of each class; empty where the preset is not conditional.

    Raises:
        ConfigError: the family cannot be conditional, or nothing would look at the labels.
        DatasetError: the preset is conditional, and the data has no labels or wrong ones.
    """
    from facegan.data.opening import required_labels
    from facegan.gans import check_conditional, find_family, with_class_count

    family = find_family(plan["family"])
    check_conditional(family, preset)
    if preset.conditional:
        labels = required_labels(folder, labels_of(plan), plan.get("split"))
        with_class_count(family, preset, labels.classes)
        return labels.classes
    if "labels" in plan:
        raise ConfigError(
            f"The preset {plan['preset']!r} is not conditional: it would not look at the labels.",
            "Leave labels out, or ask for --conditional true.",
        )
    return {}


def labels_of(plan: dict[str, Any]) -> str:
    """Where a plan's labels are read."""
    return str(plan.get("labels", "manifest"))


def resumed_plan(out: Path, asked: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """The plan of a run that goes on: what it was started with, and nothing else."""
    from facegan.training import RunFolder

    folder = RunFolder(out)
    plan = folder.as_started({**folder.read_plan(), **asked, **given})
    folder.check_same(plan)
    return plan


def train(folder: Any, plan: dict[str, Any], resume: bool, group: Any = None) -> bool:
    """Build data, GAN and trainer from a plan, and run them to the artifact.

    Args:
        folder: The run's; the first process alone looks into it.
        plan: What :func:`plan_run` made.
        resume: Whether to go on with what is in the folder.
        group: The processes that share the run; None for this one alone.

    Returns:
        Whether the run is finished and has its artifact; False where it was stopped before.

    Raises:
        RunError: another process trains in the folder.
    """
    from facegan.training.distributed.process_group import SINGLE_PROCESS

    keep_freed_memory()
    group = group or SINGLE_PROCESS
    owned = folder.owned(plan, resume) if group.is_main_process else contextlib.nullcontext()
    with owned, reached(plan["data"]) as place, reached(plan.get("evaluate_data", "")) as held_out:
        return train_on(place, held_out, folder, plan, resume, group)


def train_on(
    place: Place, held_out: Place, folder: Any, plan: dict[str, Any], resume: bool, group: Any
) -> bool:
    """The same, given where the pictures lie that are trained on and, if any, held out."""
    from facegan.gans import build_gan, find_family, find_preset
    from facegan.metrics import find_inception
    from facegan.training import Trainer
    from facegan.training.plan import resolve_plan
    from facegan.training.verified import VerifiedData

    numbers, config = resolve_plan(plan)
    if config.evaluate_kimg and config.evaluate_extractor == "inception" and group.is_main_process:
        find_inception()  # before minutes of reading
    dataset = open_dataset(
        place, int(plan["resolution"]), labels_of(plan), group, plan.get("split")
    )
    preset = find_preset(find_family(plan["family"]), plan["preset"]).replaced(numbers)
    facts = dataset.describe(with_labels=preset.conditional)
    if resume and group.is_main_process:
        folder.check_dataset(facts)
    verified = VerifiedData(folder.verified() if resume and group.is_main_process else ())
    if group.is_local_main_process:
        verify(dataset, verified)
    gan = build_gan(
        plan["family"],
        plan["preset"],
        dataset.image_shape,
        seed=config.seed,
        classes=dataset.classes if preset.conditional else None,
        **numbers,
    )
    evaluation = None
    if config.evaluate_kimg and group.is_main_process:
        evaluation = open_evaluation(plan, config, dataset, place, held_out, verified)
    if resume and config.micro_batch == "auto":
        config = keep_micro_batch(folder, config, gan, group)
    refuse_what_cannot_fit(gan, config, group)
    trainer = Trainer(gan, dataset, config, evaluation=evaluation, group=group)
    if resume:
        folder.resume(trainer)
        has_ended = group.is_main_process and trainer.is_finished and folder.holds_model(trainer)
        if group.broadcast_json(has_ended):
            if group.is_main_process:
                say_finished(trainer, folder)
            return True
    with stopping_gently(trainer), fitting_memory(trainer):
        if group.is_main_process:
            run_to_artifact(trainer, folder, plan, facts, verified.seen)
        else:
            trainer.run()
    return bool(trainer.is_finished)


def keep_micro_batch(folder: Any, config: Any, gan: Any, group: Any) -> Any:
    """Keep the micro-batch that was found when the run was started, so that its bits stay.

    It is searched for again where the processes are others and cannot compute so many images.
    """
    from facegan.training.plan import micro_batch_sizes

    found = group.broadcast_json(folder.images_at_once() if group.is_main_process else None)
    batch = config.completed_by(gan.preset).batch_size
    if found in micro_batch_sizes(gan.family, gan.preset, batch, group.size):
        return config.model_copy(update={"micro_batch": found})
    return config


def run_to_artifact(
    trainer: Any, folder: Any, plan: dict[str, Any], facts: dict[str, Any], verified: list[str]
) -> None:
    """What the first process does: train and tell, to the artifact or to where it is stopped."""
    from facegan.training.progress import ProgressReporter

    folder.start(plan, facts, trainer, verified)  # a resumed run's: where and how it goes on
    say_start(trainer, folder, plan["data"])
    with bar_above_logs(), ProgressReporter(folder, trainer):
        trainer.run()
    if trainer.is_finished:
        folder.finish(trainer, facts)
        add_graphs(folder.model, folder.archive)
        say_end(trainer, folder)
    else:
        click.echo(
            f"Stopped at {trainer.kimg:.1f} kimg. Go on with: "
            f"facegan train --out {folder.path} --resume"
        )


def open_dataset(
    place: Place,
    resolution: int,
    labels_from: str = "manifest",
    group: Any = None,
    split: str | None = None,
) -> Any:
    """The pictures, with a bar where the first process decodes them; packed ones need none."""
    from tqdm import tqdm

    from facegan.training.distributed.process_group import SINGLE_PROCESS
    from facegan.training.shards import open_together

    leads = group is None or group.is_main_process
    with tqdm(desc="Reading pictures", unit="img", disable=None if leads else True) as bar:
        return open_together(
            group or SINGLE_PROCESS,
            place.folder,
            resolution,
            bar.update,
            labels_from,
            split,
            place.open_file,
        )


def verify(dataset: Any, verified: Any) -> None:
    """Compare packed pictures with their digests, with a bar, unless that was done before."""
    from tqdm import tqdm

    with tqdm(desc="Checking pictures", unit="img", disable=None, delay=1, leave=False) as bar:
        verified.check(dataset, bar.update)


def open_evaluation(
    plan: dict[str, Any],
    config: Any,
    dataset: Any,
    place: Place,
    held_out: Place,
    verified: Any = None,
) -> Any:
    """What measures the run's quality: its extractor, and the pictures to compare with."""
    from facegan.cli.cache import default_cache
    from facegan.data.splits import split_of
    from facegan.metrics import FeatureCache
    from facegan.training.evaluation import Evaluation
    from facegan.training.precision import choose_device

    pictures, split = dataset, plan.get("evaluate_split")
    if "evaluate_data" in plan:
        pictures = open_dataset(held_out, dataset.resolution, split=split)
        if verified:
            verify(pictures, verified)
    elif split:
        pictures = split_of(getattr(dataset, "whole", dataset), split)
    return Evaluation(
        pictures,
        config,
        about=pictures.describe(),
        cache=FeatureCache(default_cache()),
        device=str(choose_device(config.device)),
    )


def say_start(trainer: Any, folder: Any, data: str) -> None:
    """What is about to happen, in a few lines."""
    from facegan.training.data_size import advice_on_size

    gan, dataset = trainer.gan, trainer.dataset
    sizes = [
        f"{name} {sum(p.numel() for p in player.parameters()):,} parameters"
        for name, player in gan.players.items()
    ]
    numeric = str(trainer.dtype).removeprefix("torch.")
    length = f"{trainer.total_images / 1000:g} kimg in batches of {trainer.batch_size}"
    click.echo(
        f"{len(dataset):,} pictures of {dataset.resolution} px from {data}{of_split(dataset)}"
    )
    if trainer.config.mirror:
        click.echo(MIRRORED)
    if advice := advice_on_size(len(dataset), trainer.config.augment):
        click.echo(advice)
    click.echo(f"{gan.family.name} {gan.preset_name}: {', '.join(sizes)}")
    if gan.classes:
        shares = ", ".join(f"{quoted(name)} {count:,}" for name, count in gan.classes.items())
        click.echo(f"{len(gan.classes)} classes: {shortened(shares)}")
    click.echo(f"{length}, {numeric} on {trainer.device}{among(trainer.group)}")
    if trainer.micro_batch < trainer.own_images:
        passes = trainer.own_images // trainer.micro_batch
        click.echo(f"Micro-batches: {passes} of {trainer.micro_batch} images a step")
    say_memory(trainer)
    click.echo(f"Curves: tensorboard --logdir {folder.tensorboard}")
    warn_of_slow_steps(trainer)


def warn_of_slow_steps(trainer: Any) -> None:
    """Say before a run of days starts that it is one: on a processor, with large networks."""
    from facegan.training.step_time import step_seconds

    if (seconds := step_seconds(trainer)) >= SLOW_STEP:
        hours = seconds * trainer.total_images / trainer.batch_size / 3600
        length = f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"
        click.echo(
            f"A step takes about {seconds:.0f} s on this processor, the whole run about {length}. "
            "Stop it by Ctrl-C, and choose a smaller preset or resolution, or a GPU.",
            err=True,
        )


def of_split(dataset: Any) -> str:
    """Which of the data's splits are used, where it has some."""
    if not (split := getattr(dataset, "split", None)):
        return ""
    others = ", ".join(name for name in dataset.splits if name != split)
    return f": the split {split} ({others or 'no others'} left out; --split all takes all)"


def among(group: Any) -> str:
    """How a run is shared, if it is."""
    hosts = len(set(group.hosts))
    on = f" on {hosts} hosts" if hosts > 1 else ""
    return f", shared by {group.size} processes{on}" if group.size > 1 else ""


def say_finished(trainer: Any, folder: Any) -> None:
    """A resumed run has nothing left to train: how long it was, and how it may get longer."""
    reached, more = [], []
    if trainer.images_seen >= trainer.total_images:
        reached.append(f"{trainer.kimg:g} of {trainer.total_images / 1000:g} kimg")
        more.append(f"--total-kimg {2 * max(trainer.kimg, trainer.total_images / 1000):g}")
    minutes = trainer.config.max_minutes
    if minutes is not None and trainer.train_seconds >= minutes * 60:
        reached.append(f"{trainer.train_seconds:.0f} of {minutes * 60:.0f} s")
        more.append(f"--max-minutes {max(2 * minutes, trainer.train_seconds / 30, 30):g}")
    click.echo(f"Already finished ({', '.join(reached)}). Give more: {' '.join(more)}.")
    click.echo(f"Model: {folder.archive}")


def say_end(trainer: Any, folder: Any) -> None:
    """What was trained, and what to do with it."""
    click.echo(
        f"Trained {trainer.kimg:.1f} kimg in {trainer.train_seconds:.0f} s. Model: {folder.archive}"
    )
    if trainer.evaluation:
        say_best(trainer.evaluation, folder)
    click.echo(f"Look: {folder.samples}; draw: facegan generate {folder.archive} --seeds 0-15")


def say_best(evaluation: Any, folder: Any) -> None:
    """The figures of the last and of the best generator."""
    card = evaluation.card()
    name = evaluation.judged_by
    click.echo(
        f"{name} {card['last'][name]:.4g} at the end; best {card['best'][name]:.4g} "
        f"at {card['best']['kimg']:.1f} kimg: {folder.best_archive}"
    )


def shortened(text: str, most: int = 200) -> str:
    """A text cut so that it fits a line or two."""
    return text if len(text) <= most else text[: most - 1] + "…"


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
