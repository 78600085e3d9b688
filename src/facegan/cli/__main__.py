"""`facegan`: the verbs of the line, from pictures to faces, with help that teaches."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from facegan import __version__, errors
from facegan.cli.cache import set_torch_cache
from facegan.cli.error_printer import flags_of, named_command, print_error, with_flags, without_json
from facegan.cli.lazy import LazyCommand, LazyGroup
from facegan.cli.missing_packages import describe_missing

# In the order of the line.
VERBS = {
    "data": LazyCommand(
        "facegan.cli.data", "Make or prepare a data set (toy: synthetic cartoon faces)."
    ),
    "train": LazyCommand(
        "facegan.cli.train", "Train a GAN on a folder of pictures; ends with model.tar.gz."
    ),
    "evaluate": LazyCommand(
        "facegan.cli.evaluate", "Measure a model: FID, KID, precision and recall."
    ),
    "report": LazyCommand(
        "facegan.cli.report", "Write one HTML page about a run: faces, curves, what was set."
    ),
    "export": LazyCommand(
        "facegan.cli.export", "Add a model's graphs (ONNX), which CPU servers draw without torch."
    ),
    "generate": LazyCommand(
        "facegan.cli.generate", "Draw faces with a model, here, without a server."
    ),
    "serve": LazyCommand("facegan.cli.serve", "Serve a model over HTTP as SageMaker would."),
    "invoke": LazyCommand("facegan.cli.invoke", "Ask a running endpoint for faces through boto3."),
    "studio": LazyCommand("facegan.cli.studio", "Open a local page to look at a model's faces."),
    "cloud": LazyCommand("facegan.cli.cloud", "On AWS: check, upload, train, deploy, take down."),
}

# What a script can tell apart by exit code; 2 is click's own for a wrong command line.
# docs/exit-codes.md explains them; a test compares the two.
EXIT_CODES: dict[type[errors.FaceGANError], int] = {
    errors.ConfigError: 2,
    errors.DatasetError: 3,
    errors.RunError: 4,
    errors.OutputError: 4,
    errors.TrainingDiverged: 5,
    errors.ArtifactError: 6,
    errors.ServeError: 7,
    errors.InvocationError: 8,
    errors.CloudError: 9,
    errors.RequestError: 10,
    errors.MetricError: 11,
    errors.ExportError: 12,
    errors.DockerError: 13,
}
NOT_INSTALLED = 14  # a package of an extra
NO_TEMPORARY = "No usable temporary directory"  # of Python's tempfile


@click.command(
    cls=LazyGroup,
    verbs=VERBS,
    title="Commands, in the order of the line",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="facegan")
def facegan() -> None:
    """Train an image-generating GAN on your own pictures, and serve it.

    \b
    The whole line, on this machine:
      facegan data toy --out runs/toy32 --images 20000 --resolution 32
      facegan train --data runs/toy32 --out runs/first --family dcgan --preset toy32
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png
      facegan serve runs/first/model.tar.gz            # in another terminal
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png

    `facegan COMMAND --help` explains each, with examples.

    \b
    Exit codes: 0 done; 1 a fault of facegan; 2 a wrong command line or hyperparameter; 3 data;
    4 a run's folder or an output; 5 diverged; 6 a model; 7 the server; 8 an endpoint; 9 AWS;
    10 a request; 11 a metric; 12 the export; 13 Docker; 14 a package is missing; 130 Ctrl-C.
    """


def exit_code(error: errors.FaceGANError) -> int:
    """The exit code of an error: that of the nearest class in the table, else 1."""
    return next((EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES), 1)


def run_safely(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a click command; a user's mistake becomes a sentence and a code, never a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # else: where it found credentials
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
        print_error(*spoken(error, command, sys.argv[1:] if arguments is None else arguments))
        return exit_code(error)
    except BrokenPipeError:  # `| head` has read enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except OSError as cause:
        if NO_TEMPORARY in str(cause):
            print_error("There is no folder for temporary files.", "Set TMPDIR to one that exists.")
            return EXIT_CODES[errors.ConfigError]
        if cause.filename is None:
            raise
        print_error(f"{cause.filename}: {(cause.strerror or str(cause)).lower()}.")
        return EXIT_CODES[errors.OutputError]
    except ModuleNotFoundError as missing:
        if (told := describe_missing(missing)) is None:
            raise
        print_error(*told)
        return NOT_INSTALLED
    return 0


def spoken(
    error: errors.FaceGANError, command: Callable[..., Any], arguments: Sequence[str]
) -> tuple[str, str]:
    """An error's sentence and hint, with hyperparameters and options named as flags."""
    if not isinstance(command, click.Command):
        return error.message, error.hint
    flags = flags_of(named_command(command, arguments), arguments)
    is_of_names = "hyperparameter" in error.message
    return (
        with_flags(error.message, flags),
        with_flags(without_json(error.hint), flags, offers_flags=is_of_names),
    )


def main() -> None:
    """Entry point of the console script."""
    set_torch_cache()
    leave(run_safely(facegan))


def leave(code: int) -> NoReturn:
    """End the process; without Python's last steps where it was one of several.

    In those, one in fourteen processes that gloo had joined was aborted by C++ ("terminate called
    without an active exception", torch 2.13.0): a finished run would count as failed.
    """
    if "facegan.training.distributed.rendezvous" in sys.modules:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
