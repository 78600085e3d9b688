"""Custom inference code streams and answers JSON Lines, through a real server."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import dedent

import botocore.eventstream
import pytest
import requests
from real_server import Server, running

JSON_LINES = "application/jsonlines"
SCRIPT = """
    import json

    def input_fn(body, content_type):
        return json.loads(body)["numbers"]

    def predict_fn(numbers, model):
        if 13 in numbers:
            raise ZeroDivisionError("secret")
        return [model.generate(seeds=[n])[0].mean() for n in numbers]

    def output_fn(means, accept):
        if accept == "application/json":
            return json.dumps([float(m) for m in means], indent=1)
        return (f"data: {10 / (3 - n)}\\n\\n" for n, _ in enumerate(means)), "text/event-stream"
"""
GENERATOR = """
    def predict_fn(request, model):
        for seed in request.seeds:
            if seed == 13:
                raise ZeroDivisionError("secret")
            yield model.generate(seeds=[seed])
"""
Start = Callable[[str], AbstractContextManager[Server]]


@pytest.fixture
def start(model_dir: Path, tmp_path: Path) -> Start:
    """Serve the tiny model with a script."""

    def run(script: str) -> AbstractContextManager[Server]:
        folder = tmp_path / "model"
        shutil.copytree(model_dir, folder)
        (folder / "code").mkdir()
        (folder / "code" / "inference.py").write_text(dedent(script))
        return running(folder)

    return run


def post(
    server: Server, body: object, accept: str = JSON_LINES, path: str = "/invocations",
    content_type: str = "application/json",
) -> requests.Response:  # fmt: skip
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": content_type, "Accept": accept, "X-Amzn-SageMaker-Accept": accept}
    url = f"http://127.0.0.1:{server.port}{path}"
    return requests.post(url, data=data, headers=headers, timeout=60)


def test_images_of_a_generator_are_lines_and_an_error_is_the_last(start: Start) -> None:
    """Also in the messages of AWS's event stream."""
    with start(GENERATOR) as server:
        whole = [json.loads(x) for x in post(server, {"seeds": [1, 2, 3]}).content.splitlines()]
        assert [(x["index"], x["count"], x["seed"]) for x in whole] == [
            (0, 3, 1), (1, 3, 2), (2, 3, 3)]  # fmt: skip
        broken = [json.loads(x) for x in post(server, {"seeds": [1, 13, 3]}).content.splitlines()]
        assert [x.get("error") for x in broken] == [None, "OwnCodeError"]
        assert "secret" not in json.dumps(broken[1])
        assert post(server, {"seeds": [13, 1]}).status_code == 500  # before the stream began
        route = "/endpoints/x/invocations-response-stream"
        reply = post(server, {"seeds": [1, 13]}, path=route)
        buffer = botocore.eventstream.EventStreamBuffer()
        buffer.add_data(reply.content)
        parts = [json.loads(message.payload) for message in buffer]
        assert [part.get("error") for part in parts] == [None, "OwnCodeError"]
        assert post(server, {"seeds": [1, 2]}, "image/png").content[:4] == b"\x89PNG"


def test_every_line_of_a_body_has_a_reply_of_the_scripts(start: Start) -> None:
    """A line that the script refuses or fails at does not affect the others."""
    body = b'{"numbers": [1, 2]}\n{"x": 1\n{"numbers": [13]}\n{"numbers": [4]}\n'
    with start(SCRIPT) as server:
        reply = post(server, body, content_type=JSON_LINES)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, JSON_LINES)
    lines = [json.loads(line) for line in reply.content.splitlines()]
    assert [len(line) for line in lines if isinstance(line, list)] == [2, 1]
    errors = [(x["line"], x["error"]) for x in lines if isinstance(x, dict)]
    assert errors == [(2, "RequestError"), (3, "OwnCodeError")]


def test_pieces_of_an_output_fn_are_server_sent_events(start: Start) -> None:
    """An error in the middle is the last event."""
    with start(SCRIPT) as server:
        whole = post(server, {"numbers": [1, 2, 3]}, "text/event-stream")
        assert whole.headers["Content-Type"] == "text/event-stream"
        assert whole.text.count("data: ") == 3 and "error" not in whole.text
        *events, last = (
            post(server, {"numbers": [1, 2, 3, 4]}, "text/event-stream").text.strip().split("\n\n")
        )
        assert len(events) == 3 and last.startswith("event: error\ndata: {")
        assert "OwnCodeError" in last and "ZeroDivision" not in last


def test_a_script_may_read_json_lines_itself(start: Start) -> None:
    code = """
        READS_JSON_LINES = True

        def input_fn(body, content_type):
            return [len(body.splitlines())]
    """
    with start(code) as server:
        reply = post(server, b"a\nb\n", "application/json", content_type=JSON_LINES)
    assert reply.json()["images"][0]["seed"] == 2
