"""`facegan serve` and the container's `serve`: a real gunicorn, called through AWS's own SDK."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3
import numpy as np
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from example_data import MAP_CLASSES
from free_ports import free_port
from PIL import Image

from facegan.artifact import Artifact, save_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.serve import example_request
from facegan.client import FaceClient
from facegan.cloud.invoke_endpoint import SageMakerTransport
from facegan.gans import build_gan
from facegan.synthesis import Synthesizer
from facegan.wire import NPY, decode_images

ROOT = Path(__file__).parents[2]
CONTAINER_SERVE = ROOT / "container/inference/serve"
START_SECONDS = 60


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code, and the seconds it took."""
        started = time.monotonic()
        self.process.terminate()
        return self.process.wait(30), time.monotonic() - started


@contextmanager
def running(command: list[str], port: int, **variables: str) -> Iterator[Server]:
    """Start a server, wait until it answers /ping, and leave none behind."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    server = Server(process, port)
    try:
        wait_for_ping(server)
        yield server
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_for_ping(server: Server) -> None:
    """Ask until the answer is 200, as SageMaker does."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.process.communicate()[0]
        try:
            with urllib.request.urlopen(server.url + "/ping", timeout=5) as reply:
                assert (reply.status, reply.read()) == (200, b"")
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"no answer within {START_SECONDS} s")


def serve_command(model: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "facegan.cli", "serve", str(model), "--port", str(port)]


@pytest.fixture(scope="module")
def server(model_dir: Path) -> Iterator[Server]:
    """One `facegan serve` for all tests that leave it running."""
    port = free_port()
    with running(serve_command(model_dir / "model.tar.gz", port), port) as started:
        yield started


def serve(*arguments: object) -> int:
    return run_safely(facegan, ["serve", *map(str, arguments)])


def test_the_client_through_boto3_gets_the_very_faces(server: Server, artifact: Artifact) -> None:
    """FaceClient → boto3 → HTTP → gunicorn → Flask → the same arrays as without all that."""
    faces = FaceClient(SageMakerTransport("any", endpoint_url=server.url)).generate(seeds=[1, 2, 3])
    np.testing.assert_array_equal(faces, Synthesizer(artifact).generate(seeds=[1, 2, 3]))


def test_the_readmes_python_fetches_faces(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands there, but for the port; without a profile or variables of AWS."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    assert "http://localhost:8080" in block
    exec(block.replace("http://localhost:8080", server.url), {})
    with Image.open("faces.png") as grid:
        assert grid.size == (66, 66)


def runtime(url: str) -> object:
    """boto3's own client, as anyone would make it, less the signature."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client(
        "sagemaker-runtime", endpoint_url=url, region_name="us-east-1", config=config
    )


def test_bare_boto3_calls_it_like_an_endpoint(server: Server, artifact: Artifact) -> None:
    """The very call that goes to the cloud, with another address."""
    answer = runtime(server.url).invoke_endpoint(  # type: ignore[attr-defined]
        EndpointName="faces", ContentType="application/json", Accept=NPY, Body=b'{"seeds": [4]}'
    )
    faces = decode_images(answer["Body"].read(), answer["ContentType"])
    np.testing.assert_array_equal(faces, Synthesizer(artifact).generate(seeds=[4]))


def test_boto3_without_accept_gets_the_default(server: Server) -> None:
    """boto3 then sends no Accept at all."""
    answer = runtime(server.url).invoke_endpoint(  # type: ignore[attr-defined]
        EndpointName="faces", ContentType="application/json", Body=b'{"seeds": [4]}'
    )
    assert answer["ContentType"] == "image/png"


def test_boto3_sees_a_refusal_as_its_own_error(server: Server) -> None:
    """The status and the sentence arrive."""
    with pytest.raises(ClientError, match="not JSON") as caught:
        runtime(server.url).invoke_endpoint(  # type: ignore[attr-defined]
            EndpointName="faces", ContentType="application/json", Body=b"{"
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_body_that_is_chunked_wrongly_is_refused(server: Server) -> None:
    """The caller's mistake, told by gunicorn's parser in the midst of the body."""
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_huge_body_is_refused_over_the_wire(server: Server, is_chunked: bool) -> None:
    """10 MB: the caller hears 413, and the next request is answered."""
    size = 10_000_000
    body = (b" " * 65536 for _ in range(size // 65536 + 1)) if is_chunked else b" " * size
    for payload, status in ((body, 413), (b'{"seeds": [1]}', 200)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/invocations", payload, headers)
        assert connection.getresponse().status == status
        connection.close()


def test_a_port_in_use_is_reported_before_the_model_is_loaded(
    server: Server, model_dir: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Exit code 7, the port, and the flag that mends it."""
    monkeypatch.setattr("facegan.cli.serve.check_model", lambda *_: pytest.fail("opened"))
    assert serve(model_dir, "--port", server.port) == 7
    output = capsys.readouterr().err
    assert f"Port {server.port}" in output and "--port" in output and "Traceback" not in output


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 100])
def test_a_host_that_is_not_here_is_reported(
    host: str, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 7 for a name that is unknown, and for another machine's address."""
    assert serve(model_dir, "--host", host, "--port", free_port()) == 7
    assert host in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_bad_model_is_reported_before_the_server_starts(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 6, and the file's name."""
    model = tmp_path / "model.tar.gz"
    if content is not None:
        model.write_bytes(content)
    assert serve(model, "--port", free_port()) == 6
    assert str(model) in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "text"), [
    ("FACEGAN_MAX_IMAGES", "many"), ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "image/gif"),
])  # fmt: skip
def test_a_wrong_variable_is_reported_before_the_server_starts(
    variable: str, text: str, model_dir: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Exit code 2, and what was read."""
    monkeypatch.setenv(variable, text)
    assert serve(model_dir, "--port", free_port()) == 2
    assert text in capsys.readouterr().err


def with_code(model_dir: Path, target: Path, code: str) -> Path:
    """A model.tar.gz that brings code of its own."""
    shutil.copytree(model_dir, target / "own")
    (target / "own/model.tar.gz").unlink()
    (target / "own/code").mkdir()
    (target / "own/code/inference.py").write_text(code)
    return Path(shutil.make_archive(str(target / "model"), "gztar", target / "own"))


def test_a_models_own_code_runs_as_in_the_container(model_dir: Path, tmp_path: Path) -> None:
    """Out of its archive, which is unpacked for as long as the server runs."""
    code = "def output_fn(prediction, accept): return f'{len(prediction.images)} faces'"
    archive, port, place = with_code(model_dir, tmp_path, code), free_port(), tmp_path / "tmp"
    place.mkdir()
    alone = tmp_path / "alone"  # a folder of nothing but the archive, as a job's output may be
    alone.mkdir()
    archive.rename(alone / "model.tar.gz")
    with running(serve_command(alone, port), port, TMPDIR=str(place)) as server:
        body, headers = b'{"seeds": [1, 2]}', {"Content-Type": "application/json"}
        asked = urllib.request.Request(server.url + "/invocations", body, headers)
        with urllib.request.urlopen(asked) as reply:
            assert reply.read() == b"2 faces"
        assert list(place.iterdir())
        code, seconds = server.stop()  # by SIGTERM
        assert code == 0 and seconds < 5
        assert server.process.stdout is not None
        output = server.process.stdout.read()
        assert server.url in output and "Traceback" not in output
    assert not list(place.iterdir())


def test_own_code_that_does_not_load_is_reported_without_a_trace(
    model_dir: Path, tmp_path: Path
) -> None:
    """Exit code 7; the sentence names the line."""
    command = serve_command(with_code(model_dir, tmp_path, "x = 1\n1 / 0"), free_port())
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert "code/inference.py, line 2" in done.stderr and "Traceback" not in done.stderr


def test_own_code_can_be_forbidden(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Told before the server starts, and nothing of it has run."""
    monkeypatch.setenv("FACEGAN_OWN_CODE", "false")
    trap = tmp_path / "sprung"
    archive = with_code(model_dir, tmp_path, f"open({str(trap)!r}, 'w')")
    assert serve(archive, "--port", free_port()) != 0
    assert "forbidden" in capsys.readouterr().err and not trap.exists()


def test_an_archive_that_would_leave_its_folder_is_not_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        for name in ("code/inference.py", "../outside.py"):
            tar.addfile(tarfile.TarInfo(name))
    assert serve(tmp_path / "model.tar.gz", "--port", free_port()) == 6
    assert "outside.py" in capsys.readouterr().err and not (tmp_path.parent / "outside.py").exists()


def finish_while_stopping(server: Server, answers: list[int]) -> Callable[[], None]:
    """Send half a request now; the other half when called, while the server stops."""
    body = b'{"seeds": [1, 2]}'
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:5])

    def finish() -> None:
        time.sleep(0.5)
        connection.send(body[5:])
        answers.append(connection.getresponse().status)

    return finish


def test_ctrl_c_ends_it_with_0_and_soon(model_dir: Path) -> None:
    """Exit code 0 within 5 seconds; it had said where it listens."""
    port = free_port()
    with running(serve_command(model_dir, port), port) as server:
        started = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
        assert time.monotonic() - started < 5
        assert server.process.stdout is not None
        output = server.process.stdout.read()
        assert server.url in output and "curl" in output and "facegan invoke" in output
        assert "Traceback" not in output


def test_the_containers_serve_is_gunicorn_itself(model_dir: Path, tmp_path: Path) -> None:
    """PID 1 is gunicorn: SIGTERM ends the request under way and the process, with 0, in 5 s.

    Started as SageMaker does, except for the base folder and the port.
    """
    shutil.copytree(model_dir, tmp_path / "model")
    port = free_port()
    variables = {
        "SAGEMAKER_BASE_DIR": str(tmp_path),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "FACEGAN_MAX_IMAGES": "2",
    }
    with running([str(CONTAINER_SERVE)], port, **variables) as server:
        reply = FaceClient(SageMakerTransport("x", endpoint_url=server.url)).generate(seeds=[1, 2])
        assert reply.shape == (2, 32, 32, 3)
        too_many = json.dumps({"seeds": [1, 2, 3]}).encode()
        with pytest.raises(ClientError, match="the limit is 2"):
            runtime(server.url).invoke_endpoint(  # type: ignore[attr-defined]
                EndpointName="x", ContentType="application/json", Body=too_many
            )
        answers: list[int] = []
        finish = threading.Thread(target=finish_while_stopping(server, answers))
        time.sleep(0.3)  # the first half has arrived
        finish.start()
        server.process.terminate()
        started = time.monotonic()
        time.sleep(0.2)  # gunicorn passes the signal on to its worker
        assert status_while_ending(server, "GET", "/ping") == 503
        assert status_while_ending(server, "POST", "/invocations") == 503
        code = server.process.wait(30)
        finish.join()
        assert (answers, code) == ([200], 0)
        assert time.monotonic() - started < 5
        assert server.process.stdout is not None
        log = [json.loads(line) for line in server.process.stdout.read().splitlines()]
        answered = [line for line in log if line.get("route", "").endswith("invocations")]
        assert [line["status"] for line in answered] == [200, 413, 200]
        refused = [line["error"] for line in log if line.get("route") == "none"]
        assert refused == ["Draining"]
        assert log.index(answered[-1]) < messages(log).index(
            "Server stopped; all requests answered."
        )


def status_while_ending(server: Server, method: str, path: str) -> int:
    """What a caller is told who comes once SIGTERM was sent, at once."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)
    connection.request(method, path, headers={"X-Request-Id": "late-1"})
    reply = connection.getresponse()
    assert reply.headers["X-Request-Id"] == "late-1"
    connection.close()
    return reply.status


def messages(log: list[dict]) -> list[str]:
    return [line["message"] for line in log]


SLOW_CODE = """
import time

def output_fn(prediction, accept):
    time.sleep(1.2)
    return b"drawn"
"""


def test_many_models_are_let_go_at_the_end(model_dir: Path, tmp_path: Path) -> None:
    """SIGTERM: /ping is 503 and nothing is loaded, who draws gets the reply, models are closed."""
    folder = tmp_path / "models/x/model"
    shutil.copytree(model_dir, folder)
    (folder / "code").mkdir()
    (folder / "code/inference.py").write_text(SLOW_CODE)
    port = free_port()
    variables = {
        "SAGEMAKER_BASE_DIR": str(tmp_path),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MULTI_MODEL": "true",
    }
    with running([str(CONTAINER_SERVE)], port, **variables) as server:

        def post(path: str, option: object) -> tuple[int, bytes]:
            body = json.dumps(option).encode()
            headers = {"Content-Type": "application/json"}
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()

        assert post("/models", {"model_name": "x", "url": str(folder)})[0] == 200
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=30)  # from before the signal
        idle.request("GET", "/ping")
        idle.getresponse().read()
        with ThreadPoolExecutor(1) as callers:
            drawing = callers.submit(post, "/models/x/invoke", {"seeds": [1]})
            time.sleep(0.4)
            server.process.terminate()
            time.sleep(0.2)
            assert status_while_ending(server, "GET", "/ping") == 503
            option = json.dumps({"model_name": "y", "url": str(folder)})
            idle.request("POST", "/models", option, {"Content-Type": "application/json"})
            assert idle.getresponse().status == 503
            assert drawing.result() == (200, b"drawn")
        assert server.process.wait(30) == 0
        assert server.process.stdout is not None
        log = [json.loads(line) for line in server.process.stdout.read().splitlines()]
        assert messages(log).count("Server stopped; all requests answered.") == 1
        assert any("Unloaded 'x'" in output for output in messages(log))


@pytest.mark.parametrize(
    ("family", "body", "options"),
    [
        ("dcgan", '{"seeds": [1, 2, 3, 4]}', "--seeds 1-4"),
        ("spade", "Content-Type: image/png' --data-binary @map.png", "--label-map map.png --seeds"),
        ("cyclegan", "Content-Type: image/png' --data-binary @photo.png", "--image photo.png"),
    ],
)
def test_the_examples_are_of_what_the_model_takes(
    tmp_path: Path, family: str, body: str, options: str
) -> None:
    save_artifact(build_gan(family, "tiny", (3, 32, 32), map_classes=MAP_CLASSES), tmp_path)
    found = example_request(tmp_path)
    assert body in found[0] and options in found[1]
