"""`facegan serve`: a model behind HTTP on this machine, as SageMaker would serve it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.errors import ServeError

if TYPE_CHECKING:
    from facegan.artifact import Artifact

try:
    from gunicorn.app.base import BaseApplication
except ImportError as cause:
    raise ServeError(
        f"The server's packages are not installed: {cause}.", "pip install 'facegan[serving]'"
    ) from cause


@click.command("serve")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; 0.0.0.0 lets other machines in.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535),
              help="Port to listen on.")
@click.option("--threads", default=16, show_default=True, type=click.IntRange(1, 1024),
              help="Requests under way at the same time.")
def command(model: Path, host: str, port: int, threads: int) -> None:
    """Serve MODEL, a model.tar.gz or its folder, over HTTP until Ctrl-C.

    \b
    The routes are SageMaker's, so what works here works against an endpoint:
      GET  /ping                          200 when ready
      POST /invocations                   faces, as Accept says: image/png, application/json
                                          or application/x-npy
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
    """
    check_address(host, port)
    with single_torch_thread():
        from facegan.artifact import load_artifact

        artifact = load_artifact(model)
    FaceServer(artifact, host, port, threads).run()


class FaceServer(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn in this process, serving a model that is already loaded."""

    def __init__(self, artifact: "Artifact", host: str, port: int, threads: int) -> None:
        from facegan.environment import ServingEnvironment

        self.artifact = artifact
        self.address = host, port
        self.threads = threads
        self.environment = ServingEnvironment.from_mapping(os.environ)
        super().__init__(prog="facegan serve")

    def load_config(self) -> None:
        """gunicorn asks for its settings."""
        from facegan.serving.gunicorn_settings import gunicorn_settings

        own = {
            "loglevel": "warning",
            "accesslog": "-",  # a person is watching
            "access_log_format": '%(t)s "%(r)s" %(s)s, %(B)s bytes in %(M)s ms',
            "when_ready": lambda arbiter: self.say_ready(),
        }
        for name, value in (gunicorn_settings(*self.address, self.threads) | own).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """gunicorn's worker asks for the app."""
        from facegan.serving.app import create_app
        from facegan.serving.limits import ServingLimits
        from facegan.synthesis import Synthesizer

        here = self.environment
        limits = ServingLimits(max_images=here.max_images, max_body_bytes=here.max_body_bytes)
        return create_app(
            Synthesizer(self.artifact), limits=limits, default_accept=here.default_accept
        )

    def say_ready(self) -> None:
        """Where it listens, and two ways to ask. Connections wait from here on; none is refused."""
        host, port = self.address
        url = f"http://{reachable(host)}:{port}"
        card = self.artifact.card
        what = f"{card.family} {card.preset}, {card.resolution} px"
        click.echo(f"Serving {what}, on {url}  (Ctrl-C ends)")
        click.echo(f"  curl {url}/invocations -H 'Content-Type: application/json' "
                   "-d '{\"seeds\": [1, 2, 3, 4]}' -o faces.png")
        click.echo(f"  facegan invoke --endpoint-url {url} --seeds 1-4 --out faces.png")


def reachable(host: str) -> str:
    """The host as a URL on this machine spells it."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"[{name}]" if ":" in name else name


def check_address(host: str, port: int) -> None:
    """Find out now, in a sentence, what gunicorn would only try five times and log.

    Raises:
        ServeError: the host is unknown or not this machine, or the port is taken or forbidden.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as cause:
        raise ServeError(
            f"The host {host!r} is unknown.", "--host takes an address of this machine: 127.0.0.1, "
            "or 0.0.0.0 to let other machines in."
        ) from cause
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as cause:
            raise ServeError(
                f"Port {port} of {host} cannot be opened: {os.strerror(cause.errno or 0).lower()}.",
                "Another server may be running there. Choose another port with --port, "
                f"for example --port {port + 1 if port < 65535 else 8080}.",
            ) from cause


@contextmanager
def single_torch_thread() -> Iterator[None]:
    """Keep torch from starting its threads: gunicorn forks, and a child inherits none of them.

    It would wait for ever for the lost ones (gunicorn issue 2478).
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
