"""`facegan serve`: a model behind HTTP on this machine, as SageMaker would serve it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.addresses import find_address, reachable
from facegan.cli.inputs import MODEL
from facegan.errors import ArtifactError, FaceGANError, ServeError

if TYPE_CHECKING:
    from facegan.environment import ServingEnvironment

# Imports inside functions: `--help` answers before Flask and gunicorn are imported (0.2 s).

try:
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter
    from gunicorn.errors import AppImportError
except ImportError as cause:
    raise ServeError(
        f"The server's packages are not installed: {cause}.", "pip install 'facegan[serving]'"
    ) from cause


FOR_PEOPLE = {  # gunicorn's settings where nobody asked for a form of the log
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
    help="Address to listen on; 0.0.0.0 lets other machines in.",
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
    help="Requests under way at the same time.",
)
def command(model: Path, host: str, port: int, threads: int) -> None:
    """Serve MODEL, a model.tar.gz or its folder, over HTTP until Ctrl-C.

    \b
    The model is opened as the container does: a code/inference.py in it runs, so serve only
    models of those you trust, or set FACEGAN_OWN_CODE=false.

    \b
    The routes are SageMaker's, so what works here works against an endpoint:
      GET  /ping                          200 when ready
      POST /invocations                   faces, as Accept says: image/png, image/jpeg,
                                          image/webp, application/json, application/jsonlines,
                                          application/x-npy or application/zip
      POST /endpoints/NAME/invocations    the same, under boto3's path
      GET  /                              what is served, and how to ask

    \b
    Examples
      facegan serve runs/first/model.tar.gz
      facegan serve runs/first/model.tar.gz --port 8081
      curl localhost:8080/invocations -H 'Content-Type: application/json' \\
           -d '{"seeds": [1, 2, 3, 4]}' -o faces.png
      facegan invoke --endpoint-url http://localhost:8080 --seeds 1-4 --out faces.png

    \b
    Variables it reads, as the container does
      FACEGAN_MAX_IMAGES                     images in one request  [64]
      SAGEMAKER_MAX_PAYLOAD_IN_MB            size of a request or a reply  [6]
      SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT   the reply's type where a caller has no wish
      FACEGAN_OWN_CODE                       false refuses a model that brings code  [true]
      FACEGAN_BACKEND, FACEGAN_DEVICE, FACEGAN_PRECISION   what draws, and where
      FACEGAN_LOG_FORMAT                     json or text: a line a request, as the container has
      LOG_LEVEL                              debug, info, warning or error  [info]
      FACEGAN_EMF                            true: CloudWatch's embedded metrics, a line a minute
    """
    from facegan.environment import ServingEnvironment

    variables = ServingEnvironment.from_mapping(os.environ)
    address = find_address(host, port)
    with unpacked(model) as source:
        asked = replace(
            variables,
            model_dir=source,
            is_multi_model=False,
            host=address,
            port=port,
            threads=threads,
        )
        FaceServer(asked).run()


class FaceServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in this process, serving the model of an environment as the container does.

    Raises:
        ArtifactError: there is no model, or a damaged one.
        OwnCodeError: it has code of its own, and may not.
        ConfigError: a reply's default type that cannot be written.
    """

    def __init__(self, environment: "ServingEnvironment") -> None:
        from facegan.serving.model.served_model import check_default_accept

        self.environment = environment
        self.what = check_model(environment.model_dir, environment.own_code)
        # Now: the worker would report it with a trace.
        check_default_accept(environment.default_accept)
        super().__init__(prog="facegan serve")

    def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            ServeError: the worker could not load the model, and has said why.
        """
        master = os.getpid()
        try:
            super().run()
        except SystemExit as ended:  # in the worker, too, whose code the master reads
            if os.getpid() == master and ended.code == Arbiter.APP_LOAD_ERROR:
                raise ServeError("The model could not be loaded.") from None
            raise

    def load_config(self) -> None:
        """gunicorn asks for its settings."""
        from facegan.serving.http.gunicorn_settings import gunicorn_settings

        here = self.environment
        own: dict[str, Any] = {"when_ready": lambda arbiter: self.say_ready()}
        if here.log_format is None:
            own |= FOR_PEOPLE
        settings = gunicorn_settings(
            here.host, here.port, here.threads, here.log_format, here.log_level
        )
        settings |= own
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """gunicorn's worker asks for the app; what a user can mend ends it with a sentence."""
        here = self.environment
        if here.log_format is None:  # gunicorn writes a line a request already
            from facegan.serving.telemetry.logs import REQUESTS

            logging.getLogger(REQUESTS).setLevel(logging.WARNING)
        try:
            from facegan.serving.start import app_of

            return app_of(here)
        except FaceGANError as error:
            raise AppImportError(f"{error.message}\n{error.hint}".strip()) from error

    def say_ready(self) -> None:
        """Where it listens, and two ways to ask. Connections wait from here on; none is refused."""
        url = f"http://{reachable(self.environment.host)}:{self.environment.port}"
        click.echo(f"Serving {self.what}, on {url}  (Ctrl-C ends)")
        click.echo(
            f"  curl {url}/invocations -H 'Content-Type: application/json' "
            "-d '{\"seeds\": [1, 2, 3, 4]}' -o faces.png"
        )
        click.echo(f"  facegan invoke --endpoint-url {url} --seeds 1-4 --out faces.png")


def check_model(source: Path, own_code: bool) -> str:
    """What is served, in a few words, once it is known to be whole; none of its code runs.

    Raises:
        ArtifactError: there is no model, or a damaged one.
        OwnCodeError: it has code of its own, and may not.
    """
    from facegan.model_files import OWN_CODE, WEIGHTS_NAME, digest_of, read_card
    from facegan.model_files.archive import check_archive
    from facegan.model_files.folder import find_archive

    if (source / OWN_CODE).is_file():
        if not own_code:
            from facegan.serving.custom_code.script import load_script

            load_script(source, is_allowed=False, is_private=False)  # raises
        return f"a model by its own {OWN_CODE}"
    card = read_card(source)
    if archive := find_archive(source):
        check_archive(archive)
    elif digest_of(source / WEIGHTS_NAME) != card.weights_sha256:
        raise ArtifactError(
            f"{source}: the weights are not those its card describes.",
            "The file is damaged or was changed; copy it again, or pack it again from the run.",
        )
    return f"{card.family} {card.preset}, {card.resolution} px"


@contextmanager
def unpacked(model: Path) -> Iterator[Path]:
    """A model where its own code can be imported: an archive that brings some, in a folder.

    Raises:
        ArtifactError: the archive is damaged or hostile.
    """
    from facegan.model_files.archive import list_archive, unpack
    from facegan.model_files.card import OWN_CODE
    from facegan.model_files.folder import find_archive

    archive = None if (model / OWN_CODE).is_file() else find_archive(model)
    if archive is None or OWN_CODE not in list_archive(archive):
        yield model
        return
    folder, owner = Path(tempfile.mkdtemp(prefix="facegan-model-")), os.getpid()
    try:
        unpack(archive, folder)
        yield folder
    finally:
        if os.getpid() == owner:  # gunicorn's worker is a fork and leaves through here, too
            shutil.rmtree(folder, ignore_errors=True)
