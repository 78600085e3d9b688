"""The `facegan` command: its subcommands, its exit codes, and how errors are printed."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from facegan import __version__, errors
from facegan.cache_folder import set_torch_cache
from facegan.cli.error_printer import (
    find_command,
    flags_by_name,
    print_error,
    with_flags,
    without_json,
)
from facegan.cli.exit_codes import EXIT_CODES, exit_code
from facegan.cli.lazy import LazyCommand, LazyGroup
from facegan.cli.missing_packages import describe_missing

# Imports inside functions: a process that torch did not start never needs it.

COMMANDS = {  # in the order in which they are used
    "data": LazyCommand("facegan.cli.data", "Make or prepare a data set."),
    "train": LazyCommand("facegan.cli.train", "Train a GAN on a folder of images."),
    "init": LazyCommand("facegan.cli.init", "Write a run.toml: the settings of a run, explained."),
    "evaluate": LazyCommand(
        "facegan.cli.evaluate", "Measure a model: FID, KID, precision and recall."
    ),
    "report": LazyCommand("facegan.cli.report", "Write one HTML page about a training run."),
    "export": LazyCommand(
        "facegan.cli.export", "Add ONNX graphs to a model, to serve it on CPUs without torch."
    ),
    "generate": LazyCommand("facegan.cli.generate", "Generate images without a server."),
    "serve": LazyCommand("facegan.cli.serve", "Serve a model over HTTP with SageMaker's API."),
    "invoke": LazyCommand("facegan.cli.invoke", "Get images from a running endpoint."),
    "studio": LazyCommand("facegan.cli.studio", "Browse a model's images on a local web page."),
    "cloud": LazyCommand("facegan.cli.cloud", "Train, deploy and delete on AWS."),
}

NOT_INSTALLED = 14  # a package of an extra
NO_TEMPORARY = "No usable temporary directory"  # Python's tempfile says so


@click.command(
    cls=LazyGroup,
    lazy_commands=COMMANDS,
    title="Commands, in the order in which they are used",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="facegan")
def facegan() -> None:
    """Train an image-generating GAN on your own images, and serve it.

    \b
    From data to a server, on this machine:
      facegan data toy --out runs/toy32 --images 20000 --resolution 32
      facegan train --data runs/toy32 --out runs/first --family dcgan --preset toy32
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png
      facegan serve runs/first/model.tar.gz            # in another terminal
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png

    See `facegan COMMAND --help` for examples of each command.

    \b
    Exit codes: 0 success; 1 a bug in facegan; 2 wrong options or hyperparameters; 3 data; 4 a run
    folder or an output; 5 diverged; 6 a model; 7 the server; 8 an endpoint; 9 AWS; 10 a request;
    11 a metric; 12 the export; 13 Docker; 14 a missing package; 130 Ctrl-C.
    """


def run_safely(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a click command and return its exit code; print users' mistakes without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # at INFO: where it found credentials
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
        typed = sys.argv[1:] if arguments is None else arguments
        print_error(*in_flags(error, command, typed))
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
        if (texts := describe_missing(missing)) is None:
            raise
        print_error(*texts)
        return NOT_INSTALLED
    return 0


def in_flags(
    error: errors.FaceGANError, command: Callable[..., Any], arguments: Sequence[str]
) -> tuple[str, str]:
    """Return an error's message and hint, with options and hyperparameters written as flags."""
    if not isinstance(command, click.Command) or isinstance(error, errors.RunFileError):
        return error.message, error.hint
    flags = flags_by_name(find_command(command, arguments), arguments)
    offers_flags = "hyperparameter" in error.message
    return (
        with_flags(error.message, flags),
        with_flags(without_json(error.hint), flags, offers_flags),
    )


def main() -> None:
    """Run the console script."""
    set_torch_cache(os.environ)
    leave(run_safely(facegan))


def leave(code: int) -> NoReturn:
    """End the process; one that torch's launcher started, without Python's finalization."""
    if "RANK" in os.environ:  # such a process has imported torch
        from facegan.training.distributed.rendezvous import exit_process

        exit_process(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
