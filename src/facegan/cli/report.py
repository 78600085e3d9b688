"""`facegan report`: one HTML page about a training run, to look at and to hand on."""

import time
from pathlib import Path
from typing import Any

import click

from facegan.cli.inputs import DATA_FOLDER, RUN, check_output


@click.command("report")
@click.argument("run", type=RUN)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The page.  [default: RUN/report.html]"
)
@click.option(
    "--data",
    type=DATA_FOLDER,
    help="Folder of the real pictures.  [default: the one the run was started on]",
)
@click.option(
    "--refresh",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="The browser reads the page again this often, while the run goes on.",
)
@click.option(
    "--watch",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Write the page again this often, until the run is finished or Ctrl-C.",
)
def command(
    run: Path, out: Path | None, data: Path | None, refresh: int | None, watch: int | None
) -> None:
    """Write one HTML page about the training run in the folder RUN.

    \b
    Faces, the same latents through time, losses and speed, ways between seeds, real pictures
    beside generated ones, the nearest real pictures (does it copy?), and the configuration:
      facegan report runs/first

    \b
    While it trains, in another terminal; the open page keeps up with the run:
      facegan report runs/first --watch 30

    \b
    Elsewhere, of a run whose pictures moved:
      facegan report runs/first --data /mnt/faces --out first.html

    The page is one file that loads nothing. What a run does not have yet is said on it.
    """
    check_output(out or run / "report.html")
    # torch takes seconds to import: after the mistakes of the command line, not before
    from facegan.report import find_reals, read_run, write_report

    record = read_run(run)
    reals = find_reals(record, data)
    say_written(write_report(record, reals, out, refresh or watch))
    if watch:
        keep_watching(record, reals, out, refresh or watch, watch)


def keep_watching(record: Any, reals: Any, out: Path | None, refresh: int, seconds: int) -> None:
    """Write the page again and again; the real pictures are looked through once."""
    from facegan.report import kimg_text, read_run, write_report

    try:
        while not record.is_finished:
            time.sleep(seconds)
            record = read_run(record.path)
            file = write_report(record, reals, out, refresh)
            click.echo(f"{kimg_text(record.kimg)} kimg: {file}")
    except KeyboardInterrupt:
        click.echo(f"Stopped watching at {kimg_text(record.kimg)} kimg; the page stays.")
    else:
        click.echo("The run is finished.")


def say_written(file: Path) -> None:
    """Where the page is."""
    click.echo(f"Wrote {file} ({file.stat().st_size / 1e6:.1f} MB). Open it in a browser.")
