"""A server on this machine that speaks enough of S3 for boto3."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

PAGE = 4  # keys


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
