"""`facegan studio`: a page on this machine to look at faces with."""

import logging
import os
import shutil
import signal
import tempfile
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facegan.cli.addresses import find_address
from facegan.cli.inputs import DATA_FOLDER, MODEL, URL
from facegan.client import HttpTransport, Transport
from facegan.errors import ConfigError, ServeError

if TYPE_CHECKING:
    from facegan.studio import RealImages

# Imports inside functions: `--help` answers before Gradio is imported (3 s).

# Before Gradio is imported: it would count its users, and ask the Hugging Face Hub.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",  # FastAPI would send traces wherever another program does
}
# These could share the page, open folders of this machine, start other servers, send tokens along,
# or have Gradio believe that it runs on Hugging Face's machines.
REMOVED = ("GRADIO_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_", "SPACE_", "SPACES_", "SYSTEM",
           "OAUTH_", "OPENID_", "FASTAPI_")  # fmt: skip
ONE = "Say whose faces: --endpoint-url URL, --endpoint NAME or --model FILE, one of them."


@click.command("studio")
@click.option("--endpoint-url", type=URL, metavar="URL", help="A server's address.")
@click.option("--endpoint", metavar="NAME", help="An endpoint on AWS, through boto3.")
@click.option(
    "--model",
    type=MODEL,
    metavar="FILE",
    help="A model.tar.gz or its folder, drawn in this process.",
)
@click.option(
    "--port",
    default=7860,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the page on 127.0.0.1.",
)
@click.option(
    "--data",
    type=DATA_FOLDER,
    metavar="FOLDER",
    help="A data set, for the quiz: real or generated?",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="How long the page waits for an answer.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]")
@click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]")
def command(
    endpoint_url: str | None,
    endpoint: str | None,
    model: Path | None,
    port: int,
    data: Path | None,
    timeout: float,
    no_browser: bool,
    region: str | None,
    profile: str | None,
) -> None:
    """Open a page on this machine: a gallery, morphs, mixed styles, walks, favourites, a quiz.

    \b
    Of a model's file, without a server:
      facegan studio --model runs/first/model.tar.gz

    \b
    Of a running server; of an endpoint on AWS, with your credentials:
      facegan studio --endpoint-url http://localhost:8080
      facegan studio --endpoint my-faces --region eu-west-1

    \b
    With a quiz, real or generated; on another port, for a browser that you open yourself:
      facegan studio --model runs/first/model.tar.gz --data runs/toy32
      facegan studio --model runs/first/model.tar.gz --port 7870 --no-browser

    The page is for this machine alone, loads nothing from elsewhere and tells nobody. What the
    model lacks is not shown; what goes wrong is said in the page.
    """
    if sum(given is not None for given in (endpoint_url, endpoint, model)) != 1:
        raise click.UsageError(ONE)
    find_address("127.0.0.1", port)
    with temporary_folder() as folder:
        prepare_gradio(folder)
        from facegan.studio import Studio
        from facegan.studio.page import make_page, open_page

        reals = None if data is None else opener_of(data)
        transport = reach(endpoint_url, endpoint, model, timeout, region, profile)
        studio = Studio(transport, folder / "faces", timeout, reals)
        server = open_page(make_page(studio), port)
        click.echo(f"The studio is on {server.url}  (Ctrl-C ends)")
        if not no_browser:
            webbrowser.open(server.url)
        wait()


def reach(
    endpoint_url: str | None,
    endpoint: str | None,
    model: Path | None,
    timeout: float,
    region: str | None,
    profile: str | None,
) -> Transport:
    """The one way to faces that was named."""
    if endpoint_url is not None:
        return HttpTransport(endpoint_url, timeout)
    if endpoint is not None:
        from facegan.cloud.invoke_endpoint import SageMakerTransport

        return SageMakerTransport(endpoint, None, region, profile)
    assert model is not None
    return transport_of(model)


def transport_of(model: Path) -> Transport:
    """A model's server without a socket: its own code, if it brings some, is not run."""
    from facegan.client import WSGITransport

    try:
        from facegan.serving.http.app import create_app
        from facegan.serving.telemetry.logs import REQUESTS
    except ImportError as cause:
        raise ServeError(
            f"The server's packages are not installed: {cause}.", "pip install 'facegan[studio]'"
        ) from cause
    from facegan.synthesis import open_synthesizer

    logging.getLogger(REQUESTS).setLevel(logging.WARNING)
    started = time.perf_counter()
    transport = WSGITransport(create_app(open_synthesizer(model)))
    click.echo(f"{model} is loaded ({time.perf_counter() - started:.1f} s).")
    return transport


def prepare_gradio(folder: Path) -> None:
    """Import Gradio, silent and with its files in a folder of ours.

    Raises:
        ServeError: it is not installed.
    """
    for name in [name for name in os.environ if name.startswith(REMOVED)]:
        del os.environ[name]
    os.environ.update(QUIET)
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    try:
        import gradio  # noqa: F401
    except ImportError as cause:
        told = f"The studio's packages are not installed: {cause}."
        raise ServeError(told, "pip install 'facegan[studio]'") from cause
    logging.getLogger("httpx").setLevel(logging.WARNING)


def opener_of(folder: Path) -> "Callable[[int], RealImages]":
    """Opens a data set at a resolution, once the model's is known.

    Raises:
        ConfigError: torch is missing, which data sets are read with.
    """
    try:
        from facegan.cli.studio_dataset import DatasetImages
    except ImportError as cause:
        raise ConfigError(
            f"Data sets cannot be read here: {cause}.",
            "pip install 'facegan[serving-gpu]', or leave --data out.",
        ) from cause
    return lambda resolution: DatasetImages(folder, resolution)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that goes with the page."""
    folder = Path(tempfile.mkdtemp(prefix="facegan-studio-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait() -> None:
    """Until Ctrl-C, or SIGTERM, so that the folder goes too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("The studio is closed.")
