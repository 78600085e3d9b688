"""`facegan`: the verbs of the line, from pictures to faces, with help that teaches."""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from facegan import __version__, errors

# verb → the file that holds it. Imported on use: `facegan invoke` must not load torch.
VERBS = {
    "data": "facegan.cli.data",
    "train": "facegan.cli.train",
    "evaluate": "facegan.cli.evaluate",
    "report": "facegan.cli.report",
    "export": "facegan.cli.export",
    "generate": "facegan.cli.generate",
    "serve": "facegan.cli.serve",
    "invoke": "facegan.cli.invoke",
}

# One line per verb, so that `facegan --help` imports none of them.
SUMMARIES = {
    "data": "Make or prepare a data set (toy: synthetic cartoon faces).",
    "train": "Train a GAN on a folder of pictures; ends with model.tar.gz.",
    "evaluate": "Measure a model: FID, KID, precision and recall.",
    "report": "Write one HTML page about a run: faces, curves, what was set.",
    "export": "Add a model's graphs (ONNX), which CPU servers draw without torch.",
    "generate": "Draw faces with a model, here, without a server.",
    "serve": "Serve a model over HTTP as SageMaker would.",
    "invoke": "Ask a running endpoint for faces through boto3.",
}

# What a script can tell apart by exit code; 2 is click's own for a wrong command line.
EXIT_CODES: dict[type[errors.FaceGANError], int] = {
    errors.ConfigError: 2,
    errors.DatasetError: 3,
    errors.RunError: 4,
    errors.TrainingDiverged: 5,
    errors.ArtifactError: 6,
    errors.ServeError: 7,
    errors.InvocationError: 8,
    errors.CloudError: 9,
    errors.RequestError: 10,
    errors.MetricError: 11,
    errors.ExportError: 12,
    errors.EngineError: 13,
}


class LazyVerbs(click.Group):
    """A command group that imports a verb's file when the verb is named, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            hint = errors.nearest(name, tuple(VERBS), "commands")
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        command: click.Command = importlib.import_module(VERBS[name]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands, in the order of the line"):
            formatter.write_dl([(verb, SUMMARIES[verb]) for verb in VERBS])


@click.command(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facegan")
def facegan() -> None:
    """Train an image-generating GAN on your own pictures, and serve it.

    \b
    The whole line, on this machine:
      facegan data toy --out runs/toy32 --images 20000 --resolution 32
      facegan train --data runs/toy32 --out runs/first --family dcgan --preset toy32
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png
      facegan serve runs/first/model.tar.gz            (in another terminal)
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png

    `facegan COMMAND --help` explains each, with examples.
    """


def exit_code(error: errors.FaceGANError) -> int:
    """The exit code of an error: that of the nearest class in the table, else 1."""
    return next((EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES), 1)


def run_safely(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a click command; a user's mistake becomes a sentence and a code, never a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        command(args=arguments, prog_name="facegan", standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.ClickException as mistake:
        mistake.show()
        return mistake.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        return 130
    except errors.FaceGANError as error:
        click.secho(f"Error: {error.message}", fg="red", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        return exit_code(error)
    return 0


def main() -> None:
    """Entry point of the console script."""
    leave(run_safely(facegan))


def leave(code: int) -> NoReturn:
    """End the process; without Python's last steps where it was one of several.

    In those, one in fourteen processes that gloo had joined was aborted by C++ ("terminate called
    without an active exception", torch 2.13.0): a finished run would count as failed.
    """
    if "facegan.training.joining" in sys.modules:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
