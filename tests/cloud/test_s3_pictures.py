"""Pictures on S3, through boto3 and a server on this machine that speaks enough of it."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image

from facegan.cli.__main__ import facegan, run_safely

PAGE = 4  # keys


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


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
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "good", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with Store() as server:
        server.objects = {f"set/{k}/{k:02d}.png": picture(k) for k in range(11)}
        server.objects |= {"set/": b"", "set/notes.txt": b"x", "settled/no.png": picture(99)}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def prepared(store: Store, out: Path, address: str = "s3://faces/set") -> int:
    words = ["data", "prepare", address, "--out", str(out), "--resolution", "8", "--workers", "1"]
    return run_safely(facegan, [*words, "--endpoint-url", store.url, "--region", "eu-west-1"])


def test_every_page_is_prepared_and_a_key_that_vanishes_is_named(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.vanished = {"set/5/05.png"}
    assert prepared(store, tmp_path / "out") == 0
    assert "11 found = 10 written + 0 duplicates + 1 skipped" in capsys.readouterr().out
    assert "vanished" in (tmp_path / "out/skipped.jsonl").read_text()
    assert "settled" not in (tmp_path / "out/sources.jsonl").read_text()


def test_labels_come_from_a_dataset_json_there(store: Store, tmp_path: Path) -> None:
    store.objects["set/dataset.json"] = b'{"labels": {"1/01.png": 1, "2/02.png": 0}}'
    assert prepared(store, tmp_path / "out") == 0
    assert np.load(tmp_path / "out/labels.npy").tolist() == [1, 0]


@pytest.mark.parametrize(("harm", "address", "told"), [
    ({"key_id": "other"}, "s3://faces/set", "aws sts get-caller-identity"),
    ({}, "s3://cats/set", "aws s3 ls"), ({}, "s3://", "names no bucket"),
])  # fmt: skip
def test_wrong_credentials_and_buckets_are_told_in_a_line(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: dict, address: str,
    told: str,
) -> None:  # fmt: skip
    vars(store).update(harm)
    assert prepared(store, tmp_path / "out", address) == 9
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said


def test_no_credentials_are_told(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert prepared(store, tmp_path / "out") == 9
    assert "aws configure" in capsys.readouterr().err


def test_an_empty_prefix_is_told(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(store, tmp_path / "out", "s3://faces/nothing") == 3
    assert "holds no pictures" in capsys.readouterr().err
