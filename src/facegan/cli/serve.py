"""`facegan serve`: a model behind HTTP on this machine, as SageMaker would serve it."""

import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.errors import ServeError

if TYPE_CHECKING:
    from facegan.artifact import Artifact
    from facegan.environment import ServingEnvironment

try:
    from gunicorn.app.base import BaseApplication
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
@click.argument("model", type=click.Path(path_type=Path))
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
      FACEGAN_LOG_FORMAT                     json or text: a line a request, as the container has
      LOG_LEVEL                              debug, info, warning or error  [info]
      FACEGAN_EMF                            true: CloudWatch's embedded metrics, a line a minute
    """
    from facegan.environment import ServingEnvironment

    variables = ServingEnvironment.from_mapping(os.environ)
    asked = replace(variables, host=find_address(host, port), port=port, threads=threads)
    FaceServer(load_quietly(model), asked).run()


class FaceServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in this process, serving a model that is already loaded.

    Raises:
        ConfigError: a reply's default type that cannot be written.
    """

    def __init__(self, artifact: "Artifact", environment: "ServingEnvironment") -> None:
        from facegan.serving.handler import writable_type

        self.artifact = artifact
        self.environment = environment
        writable_type(environment.default_accept)  # now, not in the worker, where it has a trace
        super().__init__(prog="facegan serve")

    def load_config(self) -> None:
        """gunicorn asks for its settings."""
        from facegan.serving.gunicorn_settings import gunicorn_settings

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
        """gunicorn's worker asks for the app."""
        from facegan.serving.app import create_app
        from facegan.serving.cores import usable_cores
        from facegan.serving.limits import ServingLimits
        from facegan.serving.telemetry.logs import REQUESTS
        from facegan.synthesis import Drawing
        from facegan.synthesis.opening import synthesizer_of

        here = self.environment
        if here.log_format is None:  # gunicorn writes a line a request already
            logging.getLogger(REQUESTS).setLevel(logging.WARNING)
        return create_app(
            synthesizer_of(
                self.artifact, Drawing("torch", here.device, here.precision, usable_cores())
            ),
            limits=ServingLimits(**here.limits),
            default_accept=here.default_accept,
            threads=here.threads,
            emf=here.emf,
        )

    def say_ready(self) -> None:
        """Where it listens, and two ways to ask. Connections wait from here on; none is refused."""
        url = f"http://{reachable(self.environment.host)}:{self.environment.port}"
        card = self.artifact.card
        what = f"{card.family} {card.preset}, {card.resolution} px"
        click.echo(f"Serving {what}, on {url}  (Ctrl-C ends)")
        click.echo(
            f"  curl {url}/invocations -H 'Content-Type: application/json' "
            "-d '{\"seeds\": [1, 2, 3, 4]}' -o faces.png"
        )
        click.echo(f"  facegan invoke --endpoint-url {url} --seeds 1-4 --out faces.png")


def reachable(address: str) -> str:
    """An address as a URL on this machine spells it."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(address, address)
    return f"[{name}]" if ":" in name else name


def find_address(host: str, port: int) -> str:
    """The address of a host, where the port is free.

    gunicorn would try five times, and log that it could not.

    Raises:
        ServeError: the host is unknown or not this machine, or the port is taken or forbidden.
    """
    try:
        family, *_, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as cause:
        raise ServeError(
            f"The host {host!r} is unknown.",
            "--host takes an address of this machine: 127.0.0.1, "
            "or 0.0.0.0 to let other machines in.",
        ) from cause
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except OSError as cause:
            raise ServeError(
                f"Port {port} of {host} cannot be opened: {os.strerror(cause.errno or 0).lower()}.",
                "Another server may be running there. Choose another port with --port, "
                f"for example --port {port + 1 if port < 65535 else 8080}.",
            ) from cause
    return str(target[0])


def load_quietly(model: Path) -> "Artifact":
    """Load a model without starting torch's threads, as gunicorn forks afterwards.

    A child inherits none of them, and would wait for ever for the lost ones (gunicorn issue 2478).

    Raises:
        ArtifactError: there is no model, or a damaged one.
    """
    import torch

    from facegan.artifact import load_artifact

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return load_artifact(model)
    finally:
        torch.set_num_threads(before)
