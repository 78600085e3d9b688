"""A body larger than any valid request is refused unparsed; large ones are parsed one at a time."""

import json
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from werkzeug.test import TestResponse

from facegan.errors import Overloaded, RequestTooLarge
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import LARGE_BYTES, MAX_PARSING, parsing
from facegan.serving.limits import PLAIN_BYTES, ServingLimits
from facegan.wire import CSV, JSON, JSON_LINES, NPY, json_lines, request_codecs, source_codecs
from facegan.wire.npy import write_npy

Post = Callable[..., TestResponse]
LIMIT = 6 * 2**20
ROW = "[" + ", ".join(["0.123456789"] * 16) + "]"
LARGE = {
    "seeds": (b'{"seeds": [' + b"1, " * 2_000_000 + b"1]}", JSON),
    "blanks": (b'{"seeds": [1]}' + b" " * 6_000_000, JSON),
    "latents": (f'{{"latents": [{", ".join([ROW] * 25_000)}]}}'.encode(), JSON),
    "brackets": (b"[" * 6_000_000, JSON),
    "digits": (b"9" * 6_000_000, JSON),
    "a text": (b'{"seeds": "' + b"\\\\" * 3_000_000 + b'"}', JSON),
    "CSV": (b"0.5,0.5\n" * 750_000, CSV),
    "one row": (b"0.5," * 1_500_000, CSV),
    "quotes": (b'"' * 6_000_000, CSV),
    "npy": (write_npy(np.zeros((90_000, 16), np.float32)), NPY),
    "lines": (b'{"seeds": [1]}\n' * 400_000, JSON_LINES),
    "one line": (b'{"seeds": [' + b"1, " * 2_000_000 + b"1]}", JSON_LINES),
    "empty lines": (b"\n" * 6_000_000, JSON_LINES),
}


@pytest.mark.parametrize(("body", "kind"), LARGE.values(), ids=LARGE)
def test_megabytes_are_refused_before_they_are_parsed(
    post: Post, body: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((request_codecs.json, "loads"), (request_codecs.csv, "reader"),
                         (source_codecs, "read_npy"), (json_lines, "decode_json")):  # fmt: skip
        monkeypatch.delattr(module, name)  # parsing now fails with 500
    reply = post(body, kind)
    assert reply.status_code == 413
    monkeypatch.undo()
    error = reply.get_json()
    assert error["error"] == "RequestTooLarge" and f"{len(body):,}" in error["message"]
    assert error["hint"]


def test_largest_valid_request_is_accepted(post: Post) -> None:
    """The maximum number of latents, indented, each number with all its digits, is accepted."""
    latents = np.random.default_rng(0).standard_normal((64, 16)) * 1e-100
    for text in (json.dumps({"latents": latents.tolist()}, indent=8), "[" * 100_000):
        assert post(text.encode()).status_code == (200 if text.startswith("{") else 400)
    assert post(write_npy(latents.astype(np.longdouble)), NPY).status_code == 200
    rows = "".join(", ".join(map(repr, row)) + "\r\n" for row in latents.tolist())
    assert post(rows.encode(), CSV).status_code == 200


def test_a_line_longer_than_a_request_is_wrong_and_the_others_are_answered(post: Post) -> None:
    long = json.dumps({"latents": [[0.1] * 16] * 8000}).encode()
    reply = post(b'{"seeds": [1]}\n' + long[:400_000] + b'\n{"seeds": [2]}', JSON_LINES)
    lines = [json.loads(line) for line in reply.data.splitlines()]
    assert [line.get("error") for line in lines] == [None, "RequestTooLarge", None]
    assert lines[1]["line"] == 2


@pytest.mark.parametrize("names", [0, 1000])
def test_the_bound_grows_with_what_the_model_needs(names: int) -> None:
    """Latents of any width fit, and so do the longest names, in any escaping."""
    limits = ServingLimits()
    body = {
        "latents": [[-1.2345678901234567e-100] * 512] * 64,
        "classes": ["\U0001f600" * names] * 64,
    }
    limits.check_body(json.dumps(body).encode(), JSON, 512, names)
    with pytest.raises(RequestTooLarge, match="at most"):
        limits.check_body(bytes(PLAIN_BYTES + 64 * 300), JSON, 512, 0)
    limits.check_body(bytes(LIMIT), "text/plain", 1, 0)  # 415 tells more


def test_large_bodies_are_parsed_one_at_a_time_and_few_wait() -> None:
    inside, most, refused = 0, 0, 0
    lock, queue_is_full = threading.Lock(), threading.Event()

    def parse() -> None:
        nonlocal inside, most, refused
        try:
            with parsing(LARGE_BYTES, Deadline(time.monotonic() + 20)):
                with lock:
                    inside += 1
                    most = max(most, inside)
                queue_is_full.wait(5)  # the first holds its turn until all others came
                time.sleep(0.02)
                with lock:
                    inside -= 1
        except Overloaded:
            with lock:
                refused += 1
                if refused == 4:
                    queue_is_full.set()

    callers = [threading.Thread(target=parse) for _ in range(MAX_PARSING + 4)]
    for caller in callers:
        caller.start()
    with parsing(LARGE_BYTES - 1, Deadline(time.monotonic())):
        pass  # a small one waits for nobody
    for caller in callers:
        caller.join()
    assert most == 1 and refused == 4
