"""SageMaker's contract with a serving container, a line a test."""

import io
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from containers import INFERENCE, Answer, Container, ask, serving, started
from PIL import Image

from facegan.artifact import load_artifact
from facegan.docker_engine import Docker
from facegan.synthesis import Synthesizer

NPY = "application/x-npy"
ASK_INSIDE = """
import sys, urllib.request
for path, body in (("ping", None), ("invocations", b'{"seeds": [1]}')):
    call = urllib.request.Request(f"http://localhost:8080/{path}", body)
    body and call.add_header("Content-Type", "application/json")
    try:
        print(urllib.request.urlopen(call, timeout=60).status)
    except OSError as error:
        sys.exit(str(error))
"""


def test_pid_1_is_the_server(server: Container) -> None:
    """Not a shell: it hears SIGTERM."""
    command = server.inside("cat", "/proc/1/cmdline").split("\0")
    assert "gunicorn" in command[1] and "wsgi:app" in command


def test_it_accepts_connections_within_a_quarter_of_a_second(server: Container) -> None:
    address = urlsplit(server.url())
    started_at = time.monotonic()
    socket.create_connection((str(address.hostname), address.port or 0), timeout=2).close()
    assert time.monotonic() - started_at < 0.25


def test_ping_is_answered_within_two_seconds_and_without_a_body(server: Container) -> None:
    reply = ask(f"{server.url()}/ping", timeout=2)
    assert (reply.status, reply.body) == (200, b"")


def test_it_draws_the_faces_that_the_model_draws(server: Container, model_dir: Path) -> None:
    reply = ask(f"{server.url()}/invocations", {"seeds": [1, 2]}, Accept=NPY)
    assert reply.status == 200
    theirs = np.load(io.BytesIO(reply.body))
    ours = Synthesizer(load_artifact(model_dir)).generate(seeds=[1, 2])
    assert theirs.shape == ours.shape
    assert int(np.abs(theirs.astype(int) - ours.astype(int)).max()) <= 1  # other kernels may round


def test_a_variable_of_sagemakers_that_nobody_knows_is_ignored(server: Container) -> None:
    assert "SM_OF_TOMORROW" in server.look("{{.Config.Env}}")
    assert ask(f"{server.url()}/ping").status == 200


def test_nothing_is_written_in_the_image(server: Container) -> None:
    ask(f"{server.url()}/invocations", {"seeds": [1]})
    changed = server.docker.output("diff", server.number).splitlines()
    assert [line for line in changed if "/opt/ml" not in line and line != "C /opt"] == []


def test_the_model_folder_stays_as_it_was(server: Container, model_dir: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in model_dir.rglob("*")}
    ask(f"{server.url()}/invocations", {"seeds": [1]})
    assert {path: path.stat().st_mtime_ns for path in model_dir.rglob("*")} == before


def test_a_wrong_request_is_answered_in_json_without_a_trace(server: Container) -> None:
    reply = ask(f"{server.url()}/invocations", {"seeds": ["one"]})
    assert reply.status == 400
    assert set(json.loads(reply.body)) >= {"error", "message", "hint"}
    assert b"Traceback" not in reply.body


def test_sigterm_ends_it_within_30_seconds_and_what_is_under_way_is_answered(
    docker: Docker, model_dir: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(model_dir, model)
    (model / "code").mkdir()
    (model / "code/inference.py").write_text(
        "import time\n"
        "def output_fn(prediction, accept):\n    time.sleep(4)\n    return 'in flight'\n"
    )
    answers: list[Answer] = []
    with serving(docker, model) as container:
        container.wait_until_ready()
        url = f"{container.url()}/invocations"
        caller = threading.Thread(target=lambda: answers.append(ask(url, {"seeds": [1]})))
        caller.start()
        time.sleep(1)
        seconds = container.stop(grace_seconds=30)
        caller.join()
        assert seconds < 30 and container.look("{{.State.ExitCode}}") == "0", container.says()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"in flight")]


def test_sagemaker_bind_to_port(docker: Docker, model_dir: Path) -> None:
    words = ("--publish", "127.0.0.1::9090", "--env", "SAGEMAKER_BIND_TO_PORT=9090")
    with serving(docker, model_dir, *words) as container:
        container.wait_until_ready(9090)
        assert ask(f"{container.url(9090)}/invocations", {"seeds": [1]}).status == 200


def test_network_isolation_any_user_and_no_privileges(docker: Docker, model_dir: Path) -> None:
    """As the strictest platform would: no network, no root, no capability, nothing writable."""
    strict = ("--network=none", "--user=54321:54321", "--cap-drop=ALL", "--read-only",
              "--security-opt=no-new-privileges")  # fmt: skip
    mount = ("--volume", f"{model_dir}:/opt/ml/model:ro")
    model_dir.chmod(0o755)
    for folder in model_dir.parents[:3]:  # pytest's own are closed to others
        folder.chmod(0o755)
    with started(docker, INFERENCE, *strict, *mount, command=["serve"]) as container:
        until = time.monotonic() + 60
        while True:
            try:
                assert container.inside("python", "-c", ASK_INSIDE).split() == ["200", "200"]
                break
            except Exception:
                assert time.monotonic() < until, container.says()
                time.sleep(0.2)


def test_batch_transform(docker: Docker, model_dir: Path) -> None:
    """SageMaker sets these, asks for /execution-parameters, and sends many lines at once."""
    variables = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
                 "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
                 "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "4"}  # fmt: skip
    words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    lines = b'{"seeds": [1]}\n{"seeds": [2]}\n{"seeds": ["x"]}\n'
    with serving(docker, model_dir, *words) as container:
        container.wait_until_ready()
        printed = json.loads(ask(f"{container.url()}/execution-parameters").body)
        assert set(printed) == {"MaxConcurrentTransforms", "BatchStrategy", "MaxPayloadInMB"}
        reply = ask(f"{container.url()}/invocations", lines, "application/jsonlines",
                    Accept="application/jsonlines")  # fmt: skip
    assert reply.status == 200
    answers = [json.loads(line) for line in reply.body.splitlines()]
    assert len(answers) == 3 and ["error" in answer for answer in answers] == [False, False, True]


def test_multi_model_mode(docker: Docker, model_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(model_dir, tmp_path / "hash/model")
    options = ("--volume", f"{tmp_path}:/opt/ml/models:ro", "--publish", "127.0.0.1::8080",
               "--env", "SAGEMAKER_MULTI_MODEL=true")  # fmt: skip
    option = {"model_name": "faces", "url": "/opt/ml/models/hash/model"}
    with started(docker, INFERENCE, *options, command=["serve"]) as container:
        container.wait_until_ready()
        models = f"{container.url()}/models"
        assert ask(f"{models}/faces/invoke", {"seeds": [1]}).status == 404
        assert ask(models, option).status == 200
        assert ask(models, option).status == 409
        picture = ask(f"{models}/faces/invoke", {"seeds": [1]})
        assert Image.open(io.BytesIO(picture.body)).size == (32, 32)
        assert "faces" in ask(models).body.decode()
        assert ask(f"{models}/faces", method="DELETE").status == 200
        assert ask(f"{models}/faces/invoke", {"seeds": [1]}).status == 404


@pytest.mark.parametrize("harm", ["no card", "damaged graph", "empty"])
def test_a_model_that_cannot_be_served_ends_the_container_with_a_line_that_says_why(
    docker: Docker, model_dir: Path, tmp_path: Path, harm: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(model_dir, model)
    if harm == "damaged graph":
        graph = (model / "generator.onnx").read_bytes()
        (model / "generator.onnx").write_bytes(graph[:-8] + b"\0" * 7 + b"\1")
    else:
        (model / "model_card.json").unlink()
    if harm == "empty":
        for file in model.iterdir():
            file.unlink()
    with serving(docker, model) as container:
        assert container.ends(60) != 0
        named = "generator.onnx" if harm == "damaged graph" else "model_card.json"
        assert "/opt/ml/model" in container.says() and named in container.says()


def test_a_gpu_that_is_not_there_is_reported_in_a_line(docker: Docker, model_dir: Path) -> None:
    with serving(docker, model_dir, "--env", "FACEGAN_DEVICE=cuda:7") as container:
        assert container.ends(60) != 0
        printed = container.says()
    with_torch = "The device 'cuda:7' cannot be used here. Use auto, cpu" in printed
    assert with_torch or "torch is not installed here, and running on cuda:7 needs it." in printed
