"""`facegan report`: writes one HTML page about a training run."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facegan.cache_folder import default_cache
from facegan.cli.inputs import DATA_FOLDER, RUN, check_output

if TYPE_CHECKING:
    from facegan.report import RealImages, RunRecord


@click.command("report")
@click.argument("run", type=RUN)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The page's file.  [default: RUN/report.html]"
)
@click.option(
    "--data",
    type=DATA_FOLDER,
    help="Folder of the real images.  [default: the one the run was trained on]",
)
@click.option(
    "--refresh",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Let the browser reload the page this often while the run goes on.",
)
@click.option(
    "--watch",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Write the page again this often, until the run is finished or you press Ctrl-C.",
)
def command(
    run: Path, out: Path | None, data: Path | None, refresh: int | None, watch: int | None
) -> None:
    """Write one HTML page about the training run in the folder RUN.

    \b
    Generated images, the same latents during training, losses and speed, interpolations, real
    images beside generated ones, the nearest real images (does it copy?), and the configuration:
      facegan report runs/first

    \b
    Of a model that is given images or label maps: inputs, outputs and truths side by side, what
    comes back of a translation, and how well label maps are obeyed:
      facegan report runs/paint/run

    \b
    While it trains, in another terminal; the open page keeps up with the run:
      facegan report runs/first --watch 30

    \b
    With another output file, for a run whose images were moved:
      facegan report runs/first --data /mnt/faces --out first.html

    The page is one file that loads nothing. It says what a run does not have yet.
    """
    check_output(out or run / "report.html")
    # torch takes seconds to import: after the command line is checked
    from facegan.report import find_real_images, read_run, write_report

    record = read_run(run)
    reals = find_real_images(record, data)
    file = write_report(record, reals, out, refresh or watch, default_cache(os.environ))
    click.echo(f"Wrote {file} ({file.stat().st_size / 1e6:.1f} MB). Open it in a browser.")
    if watch:
        keep_watching(record, reals, out, refresh or watch, watch)


def keep_watching(
    record: "RunRecord", reals: "RealImages | str", out: Path | None, refresh: int, seconds: int
) -> None:
    """Write the page again and again; the real images are read only once."""
    from facegan.report import kimg_text, read_run, write_report  # torch, as above

    try:
        while not record.is_finished:
            time.sleep(seconds)
            record = read_run(record.path)
            file = write_report(record, reals, out, refresh, default_cache(os.environ))
            click.echo(f"{kimg_text(record.kimg)} kimg: {file}")
    except KeyboardInterrupt:
        click.echo(f"Stopped watching at {kimg_text(record.kimg)} kimg; the page stays.")
    else:
        click.echo("The run is finished.")
