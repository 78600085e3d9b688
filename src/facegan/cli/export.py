"""`facegan export`: adds ONNX graphs to a model, so that CPU servers need no torch."""

import logging
import os
import tempfile
from pathlib import Path

import click

from facegan.cli.inputs import MODEL, check_output
from facegan.environment import wants_graphs
from facegan.errors import ArtifactError, ExportError, OutputError
from facegan.model_files import CARD_NAME, copy_artifact, pack_artifact, read_card
from facegan.model_files.folder import ARCHIVE_NAME

# Imports inside functions: `--help` and refusals answer without importing torch (1.6 s).

log = logging.getLogger(__name__)


@click.command("export")
@click.argument("model", type=MODEL)
def command(model: Path) -> None:
    """Add ONNX graphs to MODEL, a model.tar.gz or its folder, in place.

    \b
    Training does this at its end. For older models, and those trained with FACEGAN_GRAPHS=false:
      facegan export runs/first/model.tar.gz

    A server without a GPU runs the graphs with OpenVINO: it starts sooner, needs less memory and
    answers faster than with torch. The pixels are the same, within one level of 255.
    """
    check_output(model)
    if model.is_dir() and not (model / CARD_NAME).exists():  # the folder of a run
        model = model / ARCHIVE_NAME
    if model.is_dir():
        export_folder(model)
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy_artifact(model, folder)
            export_folder(Path(folder))
            pack_artifact(folder, model)
    facts = read_card(model).graph
    click.echo(f"{model} has graphs: {', '.join(facts.sha256 if facts else ())}")


def export_folder(folder: Path) -> None:
    """Export the model in a folder."""
    click.echo("Exporting …", err=True)
    from facegan.export import export_graphs  # torch and its exporter take seconds to import

    export_graphs(folder)


def add_graphs(model_dir: Path, archive: Path) -> None:
    """Export a run's model, unless FACEGAN_GRAPHS is false; a failure does not fail the run."""
    if not wants_graphs(os.environ):
        return
    try:
        export_folder(model_dir)
        pack_artifact(model_dir, archive)
    except (ExportError, ArtifactError, OutputError) as error:
        log.warning("The model has no graphs, so a CPU server needs torch for it. %s", error)
