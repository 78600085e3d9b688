"""`facegan init`: writes a run.toml, a run's settings in a file, each explained."""

from pathlib import Path
from typing import Any

import click

from facegan.cli.run_options import FLAGS, UNDECLARED_FLAGS, RunCommand, parse_flags, run_options
from facegan.errors import OutputError, reason_of
from facegan.hyperparameters.run_file import RUN_FILE_NAME, run_file_text
from facegan.hyperparameters.run_spec import DEFAULT_RESOLUTION, RunSpec
from facegan.training.check_run import check_run

HELP = """Write a run.toml with every setting of a run, its meaning and its range.

\b
Examples:
  facegan init                                          # dcgan's preset for 32 px
  facegan init --family stylegan2 --preset paper64 --out faces64.toml
  facegan init --data runs/toy32 --total-kimg 50 --out toy.toml   # the preset for its resolution
  facegan train --config toy.toml --out runs/from-file

It takes the flags of `facegan train`, and writes their values instead of the preset's.
"""


@click.command("init", cls=RunCommand, help=HELP, context_settings=UNDECLARED_FLAGS)
@run_options
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=RUN_FILE_NAME,
    show_default=True,
    help="The file to write; an existing one is not overwritten.",
)
def command(out: Path, hyperparameters: tuple[str, ...], **options: Any) -> None:
    values = {name: value for name, value in options.items() if value is not None}
    spec = RunSpec.from_mapping({**values, **parse_flags(list(hyperparameters))})
    run = check_run(spec, FLAGS)
    if run.spec.preset is None:  # neither the data nor a flag tells
        run = check_run(spec.replaced(resolution=DEFAULT_RESOLUTION), FLAGS)
    text = run_file_text(run.spec, run.preset, run.complete_config, out.name)
    try:
        with out.open("x") as stream:
            stream.write(text)
    except FileExistsError:
        raise OutputError(f"{out} exists already.", "Delete it, or name another --out.") from None
    except OSError as cause:
        raise OutputError(f"{out} cannot be written: {reason_of(cause).lower()}.") from cause
    data = "" if spec.data else " --data DIR"
    click.echo(f"Wrote {out}. Train with it: facegan train --config {out}{data} --out RUN")
