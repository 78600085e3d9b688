"""`facegan train`: from a folder of images to model.tar.gz, or on from where a run stopped."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import click

from facegan.cache_folder import default_cache
from facegan.cli.error_printer import print_error, to_flag
from facegan.cli.exit_codes import exit_code
from facegan.cli.inputs import RUN_FILE, S3, refuse_run
from facegan.cli.run_options import (
    FLAGS,
    UNDECLARED_FLAGS,
    RunCommand,
    parse_flags,
    run_options,
)
from facegan.environment import WorkerEnvironment, wants_graphs
from facegan.errors import ConfigError, FaceGANError, RunFileError
from facegan.files import read_json
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_file import read_run_file
from facegan.hyperparameters.run_spec import IDENTITY, RunSpec
from facegan.path_kinds import describe_path, refuse_data
from facegan.tick_line import METRIC_DEFINITIONS
from facegan.training.check_run import check_run
from facegan.training.run_lock import check_free

HELP = """Train a GAN on a folder of images; ends with RUN/model.tar.gz.

\b
Examples:
  facegan train --data faces/ --out runs/a --resolution 32
  facegan train --data runs/toy32 --out runs/b --preset toy32 --total-kimg 50 --seed 7
  facegan train --data runs/toy32 --out runs/b --resume            # after any stop
  facegan train --data cats_and_dogs/ --out runs/c --family r3gan --preset paper64 \\
                --conditional true --labels folders
  facegan train --data runs/toy32 --out runs/d --processes 2       # the same faces, shared work
  facegan train --config runs/b/run.toml --out runs/e  # settings from a file; see facegan init

Every hyperparameter below is a flag; its default is the preset's. Images of any size are cropped
to a centred square and resized. Ctrl-C (or SIGTERM) ends the step, writes a checkpoint and stops;
--resume continues, bit-identical to a run that was never interrupted.
"""


def print_metric_definitions(ctx: click.Context, param: click.Parameter, is_given: bool) -> None:
    """Print the MetricDefinitions by which SageMaker draws a job's curves."""
    if is_given:
        click.echo(json.dumps(METRIC_DEFINITIONS, indent=2))
        ctx.exit()


@click.command(cls=RunCommand, help=HELP, context_settings=UNDECLARED_FLAGS)
@click.option(
    "--config",
    type=RUN_FILE,
    help="A run.toml, as `facegan init` writes it; flags override it.",
)
@run_options
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="The run's folder.  [required]"
)
@click.option("--resume", is_flag=True, help="Resume the run in --out.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    help="Number of processes that share every batch.  [default: one per GPU; 1 without]",
)
@click.option(
    "--metric-definitions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_metric_definitions,
    help="Print the MetricDefinitions of a SageMaker training job, and exit.",
)
def command(
    config: Path | None,
    out: Path | None,
    resume: bool,
    processes: int | None,
    hyperparameters: tuple[str, ...],
    **options: Any,
) -> None:
    values = {name: value for name, value in options.items() if value is not None}
    values |= parse_flags(list(hyperparameters))
    if config is not None:
        values = {**settings_from(config, values), **values}
    environment = WorkerEnvironment.from_mapping(os.environ)
    if environment is None or environment.rank == 0:
        check_quickly(out, values, resume, processes or 1)
    if out is None:
        raise click.UsageError("Missing option '--out': the folder of the run.")
    with_graphs = wants_graphs(os.environ)

    # torch takes seconds to import, so check first
    from facegan.training.allocator import keep_freed_memory
    from facegan.training.data_source import absolute_source
    from facegan.training.distributed.worker import take_part
    from facegan.training.run import Run, complete_spec, resumed_spec
    from facegan.training.start import start

    keep_freed_memory(os.environ)
    for name in ("data", "evaluate_data"):
        if name in values:
            values[name] = absolute_source(values[name])
    cache = default_cache(os.environ)

    def decide() -> Run:
        spec = (
            resumed_spec(out, values)
            if resume
            else complete_spec(RunSpec.from_mapping(values), FLAGS)
        )
        return Run(
            spec=spec,
            out=str(out),
            resume=resume,
            cache=None if cache is None else str(cache),
            exports_graphs=with_graphs,
        )

    if environment:
        if processes is not None:
            raise click.UsageError("Under torchrun, leave out --processes: torchrun sets it.")
        take_part(environment, decide, values.get("data"), print_last_error)
    else:
        start(decide(), processes)


def print_last_error(error: FaceGANError) -> int:
    """Print the error that ends a process under torchrun, and return its exit code."""
    print_error(str(error))
    return exit_code(error)


def settings_from(file: Path, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in a run.toml, with names, types and ranges checked.

    Raises:
        RunFileError: a setting in the file is wrong.
        ConfigError: a flag for the family or the preset is wrong.
    """
    settings = read_run_file(file)
    chosen = {name: flags[name] for name in IDENTITY if name in flags}
    identity = {name: settings[name] for name in IDENTITY if name in settings} | chosen
    offered = tuple(RunSpec.own_settings())
    try:
        resolve(RunSpec.from_mapping(identity), offered)
    except ConfigError as error:
        raise error if chosen else RunFileError(f"{file}: {error.message}", error.hint) from None
    try:
        spec = resolve(RunSpec.from_mapping({**settings, **chosen}), offered).spec
    except ConfigError as error:
        raise RunFileError(f"{file}: {error.message}", error.hint) from None
    return {name: value for name, value in spec.as_mapping().items() if name in settings}


def check_quickly(
    out: Path | None, values: dict[str, Any], resume: bool, processes: int = 1
) -> None:
    """Check names, values, paths and access before torch is imported, which takes seconds.

    Raises:
        UsageError: --data or --out is missing.
        FaceGANError: a name, a value, a path or a folder's access is wrong.
    """
    before: dict[str, Any] = {}
    if resume and out is not None:
        refuse_run(describe_path(out))
        before = recorded_plan(out)
    check_run(RunSpec.from_mapping({**before, **values}), FLAGS, processes)
    if "data" not in values and not resume:
        raise click.UsageError(
            "Missing option '--data': the folder of images to train on. "
            "Draw one with: facegan data toy --out DIR"
        )
    for name in ("data", "evaluate_data"):
        if not values.get(name, "").isascii():
            refuse_undecoded(name, values[name])
        if name in values and not values[name].startswith(S3):
            refuse_data(describe_path(values[name]), values.get("resolution") or 64)
    if out is not None and not resume:
        check_free(out)


def refuse_undecoded(name: str, path: str) -> None:
    """Raise ConfigError for a path that is not UTF-8: the run's record is JSON."""
    try:
        str(Path(path).absolute()).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{to_flag(name)} {path!a} is not valid UTF-8.", "Rename the folder, or link it."
        ) from None


def recorded_plan(out: Path) -> dict[str, Any]:
    """Return the run's recorded spec; empty if it cannot be read, which RunFolder reports."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return dict(read_json(out / "run.json")["plan"])
    return {}
