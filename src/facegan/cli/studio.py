"""`facegan studio`: opens a local web page to browse and morph a model's images."""

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

# Set before Gradio is imported: it would report its use, and call the Hugging Face Hub.
NO_TELEMETRY = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",  # FastAPI would send traces
}
# Variables with these prefixes could share the page, open folders of this machine, start other
# servers, send tokens, or make Gradio believe that it runs on Hugging Face's machines.
REMOVED = ("GRADIO_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_", "SPACE_", "SPACES_", "SYSTEM",
           "OAUTH_", "OPENID_", "FASTAPI_")  # fmt: skip
ONE_SOURCE = "Choose one of --endpoint-url URL, --endpoint NAME and --model FILE."


@click.command("studio")
@click.option("--endpoint-url", type=URL, metavar="URL", help="A server's address.")
@click.option("--endpoint", metavar="NAME", help="An endpoint on AWS, through boto3.")
@click.option(
    "--model",
    type=MODEL,
    metavar="FILE",
    help="A model.tar.gz or its folder, run in this process.",
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
    help="A data set, for the quiz (real or generated?) and for label maps to paint on.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Timeout of a request.",
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
    """Open a local web page: gallery, morphs, style mixing, interpolations, favourites, quiz.

    Models that take label maps or images get a tab to paint or to translate with instead.

    \b
    For a model file, without a server:
      facegan studio --model runs/first/model.tar.gz

    \b
    For a running server; for an endpoint on AWS, with your credentials:
      facegan studio --endpoint-url http://localhost:8080
      facegan studio --endpoint my-faces --region eu-west-1

    \b
    With a quiz; on another port, without opening a browser:
      facegan studio --model runs/first/model.tar.gz --data runs/toy32
      facegan studio --model runs/first/model.tar.gz --port 7870 --no-browser

    Only this machine can reach the page. It loads nothing from elsewhere and sends no telemetry.
    """
    if sum(source is not None for source in (endpoint_url, endpoint, model)) != 1:
        raise click.UsageError(ONE_SOURCE)
    find_address("127.0.0.1", port)
    with temporary_folder() as folder:
        prepare_gradio(folder)
        from facegan.studio import Studio
        from facegan.studio.page import make_page, open_page

        reals = None if data is None else dataset_opener(data)
        transport = make_transport(endpoint_url, endpoint, model, timeout, region, profile)
        studio = Studio(transport, folder / "faces", timeout, reals)
        server = open_page(make_page(studio), port)
        click.echo(f"The studio is on {server.url}  (Ctrl-C to stop)")
        if not no_browser:
            webbrowser.open(server.url)
        wait()


def make_transport(
    endpoint_url: str | None,
    endpoint: str | None,
    model: Path | None,
    timeout: float,
    region: str | None,
    profile: str | None,
) -> Transport:
    """Return a transport to the server, endpoint or model that was named."""
    if endpoint_url is not None:
        return HttpTransport(endpoint_url, timeout)
    if endpoint is not None:
        from facegan.cloud.invoke_endpoint import SageMakerTransport

        return SageMakerTransport(endpoint, None, region, profile)
    assert model is not None
    return transport_to_file(model)


def transport_to_file(model: Path) -> Transport:
    """Return a transport to a model's server without a socket; the model's code is not run."""
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
    """Import Gradio without telemetry and with its files in a folder of ours."""
    for name in [name for name in os.environ if name.startswith(REMOVED)]:
        del os.environ[name]
    os.environ.update(NO_TELEMETRY)
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    try:
        import gradio  # noqa: F401
    except ImportError as cause:
        raise ServeError(
            f"The studio's packages are not installed: {cause}.", "pip install 'facegan[studio]'"
        ) from cause
    logging.getLogger("httpx").setLevel(logging.WARNING)


def dataset_opener(folder: Path) -> "Callable[[int], RealImages]":
    """Return a function that opens a data set at the model's resolution, once that is known."""
    try:
        from facegan.cli.studio_dataset import DatasetImages
    except ImportError as cause:
        raise ConfigError(
            f"--data needs torch: {cause}.",
            "pip install 'facegan[serving-gpu]', or leave --data out.",
        ) from cause
    return lambda resolution: DatasetImages(folder, resolution)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is deleted with the page."""
    folder = Path(tempfile.mkdtemp(prefix="facegan-studio-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait() -> None:
    """Wait for Ctrl-C or SIGTERM, so that the folder is deleted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("The studio is closed.")
