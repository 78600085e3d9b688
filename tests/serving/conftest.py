"""A tiny model behind Flask's test client, without a socket."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from facegan.artifact import Artifact
from facegan.serving import create_app
from facegan.synthesis import Synthesizer

Post = Callable[..., TestResponse]


@pytest.fixture(scope="session")
def app(artifact: Artifact) -> Flask:
    return create_app(Synthesizer(artifact))


@pytest.fixture(scope="session")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def post(client: FlaskClient) -> Post:
    """POST a body to /invocations: `post(b"…", "text/csv", Accept="image/png")`."""

    def send(
        body: bytes, content_type: str | None = "application/json", **headers: str
    ) -> TestResponse:
        return client.post("/invocations", data=body, content_type=content_type, headers=headers)

    return send
