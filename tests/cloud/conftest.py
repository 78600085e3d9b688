"""AWS for tests: a moto server, which has accounts, buckets and jobs but few of AWS's checks.

And one bucket whose server pages, loses keys and refuses credentials as S3 does; moto's does not.
"""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from moto_server import moto_server
from strict_aws import StrictAws
from watching import is_here

from facegan.cloud.aws import Aws

REGION = "eu-west-1"
PAGE = 4  # keys
strangers: list[str] = []  # an audit hook cannot be taken away again


def note(event: str, args: tuple[Any, ...]) -> None:
    """Note the names and addresses of other machines that this process asks for."""
    if event == "socket.getaddrinfo" and not is_here(str(args[0])):
        strangers.append(str(args[0]))
    elif event == "socket.connect" and isinstance(args[1], tuple) and not is_here(args[1][0]):
        strangers.append(args[1][0])


@pytest.fixture(scope="session")
def hook() -> None:
    sys.addaudithook(note)


@pytest.fixture(autouse=True)
def asks_nobody_else(hook: None) -> Iterator[None]:
    """No command on AWS asks another machine than the test's."""
    strangers.clear()
    yield
    assert not strangers


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of this machine's AWS settings is read."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def credentials(no_aws: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An account's keys, in a region."""
    no_aws.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    no_aws.setenv("AWS_DEFAULT_REGION", REGION)
    return no_aws


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server's address."""
    with moto_server() as address:
        yield address


@pytest.fixture
def moto(moto_url: str, credentials: pytest.MonkeyPatch) -> str:
    """An empty moto server that boto3 takes for AWS, commands of ours in this process too."""
    import urllib.request

    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"", timeout=10).close()
    credentials.setenv("AWS_ENDPOINT_URL", moto_url)
    return moto_url


@pytest.fixture
def aws(moto: str) -> Aws:
    """Our AWS on that server."""
    return Aws()


@pytest.fixture
def strict(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> StrictAws:
    """An AWS of a few answers, which our commands take for the real one, in an empty folder."""
    found = StrictAws()
    no_aws.setattr("facegan.cli.cloud.desk.Aws", lambda *_: found)
    no_aws.setattr("time.sleep", lambda _: None)
    no_aws.chdir(tmp_path)
    return found


class Store(ThreadingHTTPServer):
    """One bucket: ListObjectsV2 in pages, GetObject, and errors as S3 words them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.vanished: set[str] = set()  # listed, and gone when asked for
        self.key_id = "good"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        bucket, _, key = unquote(where.path).lstrip("/").partition("/")
        if f"Credential={self.server.key_id}/" not in self.headers["Authorization"]:
            self.reply(403, error("InvalidAccessKeyId", "The key Id does not exist."))
        elif bucket != "faces":
            self.reply(404, error("NoSuchBucket", "The bucket does not exist."))
        elif not key:
            self.reply(200, self.page(parse_qs(where.query)))
        elif key in self.server.objects and key not in self.server.vanished:
            self.reply(200, self.server.objects[key])
        else:
            self.reply(404, error("NoSuchKey", "The key does not exist."))

    def page(self, asked: dict[str, list[str]]) -> bytes:
        prefix = asked.get("prefix", [""])[0]
        keys = sorted((k for k in self.server.objects if k.startswith(prefix)), key=str.encode)
        start = int(asked.get("continuation-token", ["0"])[0])
        more = start + PAGE < len(keys)
        listed = "".join(
            f"<Contents><Key>{escape(k)}</Key></Contents>" for k in keys[start : start + PAGE]
        )
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        end = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        return f"<ListBucketResult>{end}{listed}</ListBucketResult>".encode()

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Nothing."""


def error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket called faces, and credentials for it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "good", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with Store() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
