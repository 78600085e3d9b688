"""The public door's function before our real server, with what AWS puts between the two."""

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from door_server import IDENTITY, VARIABLES, AsAws, Quiet
from face_api.handler import Door, Settings  # door_server has found it
from werkzeug.serving import make_server

from facegan.artifact import Artifact
from facegan.serving import create_app
from facegan.synthesis import Synthesizer


@pytest.fixture(scope="session")
def sagemaker(artifact: Artifact) -> AsAws:
    return AsAws(create_app(Synthesizer(artifact)))


@pytest.fixture(scope="session")
def server_url(sagemaker: AsAws) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, sagemaker, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def runtime(server_url: str) -> Any:
    """boto3's own client; that it heeds AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME, another test holds."""
    return boto3.client("sagemaker-runtime", endpoint_url=server_url, **IDENTITY)


@pytest.fixture(scope="session")
def nowhere() -> Any:
    """A client whose calls a Stubber answers; made once, for that takes a fifth of a second."""
    return boto3.client("sagemaker-runtime", **IDENTITY)


@pytest.fixture(scope="session")
def secrets() -> Any:
    return boto3.client("secretsmanager", **IDENTITY)


@pytest.fixture
def make_door(runtime: Any, secrets: Any) -> Callable[..., Door]:
    """A door before the real server, or before `client`: `make_door(KEY_SECRET="arn:…")`."""

    def make(client: Any = None, **variables: str) -> Door:
        clients = {"sagemaker-runtime": client or runtime, "secretsmanager": secrets}
        settings = Settings.of(VARIABLES | variables)
        return Door(settings, clients.__getitem__, io.StringIO())

    return make


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()
