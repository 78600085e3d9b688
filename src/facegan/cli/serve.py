"""`facegan serve`: serves a model over HTTP on this machine, with SageMaker's API."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from facegan.cli.addresses import find_address, url_host
from facegan.cli.inputs import MODEL
from facegan.environment import ServingEnvironment
from facegan.errors import ArtifactError, FaceGANError, ServeError
from facegan.model_files import OWN_CODE, WEIGHTS_NAME, digest_of, read_card
from facegan.model_files.archive import check_archive, list_archive, unpack
from facegan.model_files.folder import find_archive
from facegan.model_inputs import example_options

# Imports inside functions: facegan.serving takes a second; `--help` and mistakes do not need it.

try:
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter
    from gunicorn.errors import AppImportError
except ImportError as cause:
    raise ServeError(
        f"The server's packages are not installed: {cause}.", "pip install 'facegan[serving]'"
    ) from cause


READABLE_LOG = {  # gunicorn's settings without FACEGAN_LOG_FORMAT
    "loglevel": "warning",
    "accesslog": "-",
    "access_log_format": '%(t)s "%(r)s" %(s)s, %(B)s bytes in %(M)s ms',
}


@click.command("serve")
@click.argument("model", type=MODEL)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 accepts connections from other machines.",
)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
@click.option(
    "--threads",
    default=96,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Maximum number of concurrent requests.",
)
def command(model: Path, host: str, port: int, threads: int) -> None:
    """Serve MODEL, a model.tar.gz or its folder, over HTTP until Ctrl-C.

    \b
    As in the container, a code/inference.py in the model is run: serve only models from sources
    you trust, or set FACEGAN_OWN_CODE=false.

    \b
    The routes are SageMaker's, so the same client code works with an endpoint:
      GET  /ping                          200 when ready
      POST /invocations                   images, in the format of the Accept header: image/png,
                                          image/jpeg, image/webp, application/json,
                                          application/jsonlines, application/x-npy,
                                          application/zip
      POST /endpoints/NAME/invocations    the same, under the path that boto3 uses
      GET  /                              the model, and examples of requests

    \b
    Examples
      facegan serve runs/first/model.tar.gz
      facegan serve runs/first/model.tar.gz --port 8081
      curl localhost:8080/invocations -H 'Content-Type: application/json' \\
           -d '{"seeds": [1, 2, 3, 4]}' -o faces.png
      facegan invoke --endpoint-url http://localhost:8080 --seeds 1-4 --out faces.png

    \b
    Environment variables, as in the container
      FACEGAN_MAX_IMAGES                     maximum images per request  [64]
      FACEGAN_MAX_PIXELS                     maximum pixels of the images that a request sends
                                             [32000000]
      SAGEMAKER_MAX_PAYLOAD_IN_MB            maximum size of a request or reply  [6]
      SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT   format of replies to requests without Accept
      FACEGAN_OWN_CODE                       false refuses models with code  [true]
      FACEGAN_BACKEND, FACEGAN_DEVICE, FACEGAN_PRECISION   backend, device and number format
      FACEGAN_LOG_FORMAT                     json or text: one line per request
      LOG_LEVEL                              debug, info, warning or error  [info]
      FACEGAN_EMF                            true: CloudWatch embedded metrics, every minute
    """
    variables = ServingEnvironment.from_mapping(os.environ)
    address = find_address(host, port)
    with unpacked(model) as source:
        environment = replace(
            variables,
            model_dir=source,
            is_multi_model=False,
            host=address,
            port=port,
            threads=threads,
        )
        FaceServer(environment).run()


class FaceServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in this process, configured by the same environment as the container.

    Raises:
        ArtifactError: there is no model, or a damaged one.
        OwnCodeError: it brings code, and that is not allowed.
        ConfigError: the default format of replies cannot be written.
    """

    def __init__(self, environment: ServingEnvironment) -> None:
        from facegan.serving.model.served_model import check_default_accept

        self.environment = environment
        self.description = check_model(environment.model_dir, environment.own_code)
        # Now: in the worker, an error would have a traceback.
        check_default_accept(environment.default_accept)
        super().__init__(prog="facegan serve")

    def run(self) -> None:
        """Serve until a signal arrives.

        Raises:
            ServeError: the worker could not load the model, and has logged why.
        """
        master = os.getpid()
        try:
            super().run()
        except SystemExit as ended:  # in the worker, too: the master reads its exit code
            if os.getpid() == master and ended.code == Arbiter.APP_LOAD_ERROR:
                raise ServeError("The model could not be loaded.") from None
            raise

    def load_config(self) -> None:
        """Set gunicorn's settings."""
        from facegan.serving.http.gunicorn_settings import gunicorn_settings

        env = self.environment
        changes: dict[str, Any] = {"when_ready": lambda arbiter: self.print_ready()}
        if env.log_format is None:
            changes |= READABLE_LOG
        settings = gunicorn_settings(env.host, env.port, env.threads, env.log_format, env.log_level)
        settings |= changes
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the app in gunicorn's worker; end it without a traceback on a user's mistake."""
        env = self.environment
        if env.log_format is None:  # gunicorn logs each request already
            from facegan.serving.telemetry.logs import REQUESTS

            logging.getLogger(REQUESTS).setLevel(logging.WARNING)
        try:
            from facegan.serving.start import app_of

            return app_of(env)
        except FaceGANError as error:
            raise AppImportError(f"{error.message}\n{error.hint}".strip()) from error

    def print_ready(self) -> None:
        """Print the address and two example requests; connections are accepted from now on."""
        url = f"http://{url_host(self.environment.host)}:{self.environment.port}"
        click.echo(f"Serving {self.description}, on {url}  (Ctrl-C to stop)")
        body, options = example_request(self.environment.model_dir)
        click.echo(f"  curl {url}/invocations {body} -o faces.png")
        click.echo(f"  facegan invoke --endpoint-url {url} {options} --out faces.png")


def example_request(source: Path) -> tuple[str, str]:
    """Return options of curl and of `facegan invoke` that suit what a model takes."""
    card = None if (source / OWN_CODE).is_file() else read_card(source)
    if card is None or not (card.takes("images") or card.takes("label_maps")):
        return "-H 'Content-Type: application/json' -d '{\"seeds\": [1, 2, 3, 4]}'", "--seeds 1-4"
    file = "photo.png" if card.takes("images") else "map.png"
    return f"-H 'Content-Type: image/png' --data-binary @{file}", example_options(card.inputs)


def check_model(source: Path, own_code: bool) -> str:
    """Check that a model is undamaged and return its description; none of its code runs."""
    if (source / OWN_CODE).is_file():
        if not own_code:
            from facegan.serving.custom_code.script import load_script

            load_script(source, is_allowed=False, is_private=False)  # raises
        return f"a model with its own {OWN_CODE}"
    card = read_card(source)
    if archive := find_archive(source):
        check_archive(archive)
    elif digest_of(source / WEIGHTS_NAME) != card.weights_sha256:
        raise ArtifactError(
            f"{source}: the weights are not those its card describes.",
            "The file is damaged or was changed: copy it again, or pack it again from the run.",
        )
    return f"{card.family} {card.preset}, {card.resolution} px"


@contextmanager
def unpacked(model: Path) -> Iterator[Path]:
    """Yield a model whose code can be imported: an archive with code is unpacked into a folder."""
    archive = None if (model / OWN_CODE).is_file() else find_archive(model)
    if archive is None or OWN_CODE not in list_archive(archive):
        yield model
        return
    folder, owner = Path(tempfile.mkdtemp(prefix="facegan-model-")), os.getpid()
    try:
        unpack(archive, folder)
        yield folder
    finally:
        if os.getpid() == owner:  # not in gunicorn's worker, which is a fork
            shutil.rmtree(folder, ignore_errors=True)
