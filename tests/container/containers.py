"""Containers of the two images, started as SageMaker starts them and removed whatever happens."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facegan.docker_engine import Docker

TRAINING = os.environ.get("FACEGAN_TRAINING_IMAGE", "facegan-training:local")
INFERENCE = os.environ.get("FACEGAN_INFERENCE_IMAGE", "facegan-inference:local")
LABEL = "facegan-test"  # on all that is started here, so that it can be found and removed
READY_SECONDS = 240  # SageMaker waits that long; seconds, where nothing else needs the disk
# As SageMaker's SDK sends them: some values are JSON, some are not.
HYPERPARAMETERS = {"preset": '"tiny"', "total_kimg": "0.064", "tick_kimg": '"0.032"',
                   "precision": "fp32", "share_fakes": "true", "beta1": "0.5"}  # fmt: skip


@dataclass
class Container:
    """One that was started; all its processes are gone when the test is over."""

    docker: Docker
    number: str

    def look(self, template: str) -> str:
        """A field of `docker inspect`."""
        return self.docker.output("inspect", "--format", template, self.number)

    def inside(self, *words: str) -> str:
        """What a command prints that runs beside the container's own."""
        return self.docker.output("exec", self.number, *words)

    def says(self) -> str:
        """All that it printed."""
        client = [self.docker.client, "logs", self.number]
        done = subprocess.run(client, capture_output=True, text=True)
        return done.stdout + done.stderr

    def ends(self, seconds: float = 300) -> int:
        """Wait for its end; the exit code."""
        until = time.monotonic() + seconds
        while self.look("{{.State.Running}}") == "true":
            assert time.monotonic() < until, f"still running after {seconds} s:\n{self.says()}"
            time.sleep(0.05)
        return int(self.look("{{.State.ExitCode}}"))

    def stop(self, grace_seconds: int) -> float:
        """`docker stop`, as SageMaker ends it: SIGTERM, and SIGKILL later. Seconds that it took."""
        started = time.monotonic()
        self.docker.output("stop", "--time", str(grace_seconds), self.number)
        return time.monotonic() - started

    def wait_for(self, pattern: str, seconds: float = READY_SECONDS) -> None:
        """Until its log holds something."""
        until = time.monotonic() + seconds
        while not re.search(pattern, self.says()):
            assert time.monotonic() < until, f"no {pattern!r} after {seconds} s:\n{self.says()}"
            assert self.look("{{.State.Running}}") == "true", self.says()
            time.sleep(0.05)

    def url(self, port: int = 8080) -> str:
        """Where a published port is reached from here."""
        address = self.docker.output("port", self.number, f"{port}/tcp").splitlines()[0]
        return f"http://{address}"

    def wait_until_ready(self, port: int = 8080) -> float:
        """Until /ping is 200; seconds since this was called."""
        started = time.monotonic()
        while time.monotonic() < started + READY_SECONDS:
            assert self.look("{{.State.Running}}") == "true", self.says()
            try:
                if ask(f"{self.url(port)}/ping", timeout=2).status == 200:
                    return time.monotonic() - started
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {READY_SECONDS} s:\n{self.says()}")


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


def ask(
    url: str,
    body: bytes | Mapping[str, object] | None = None,
    content_type: str = "application/json",
    method: str | None = None,
    timeout: float = 60,
    **headers: str,
) -> Answer:
    """One HTTP request; errors of HTTP are answers too."""
    data = json.dumps(body).encode() if isinstance(body, Mapping) else body
    given = {"Content-Type": content_type, **headers} if data is not None else headers
    request = urllib.request.Request(url, data, given, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return Answer(reply.status, reply.headers.get("Content-Type", ""), reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers.get("Content-Type", ""), error.read())


@contextmanager
def started(
    docker: Docker, image: str, *options: str, command: Sequence[str] = ()
) -> Iterator[Container]:
    """`docker run --detach` and, in the end, `docker rm`."""
    number = docker.output("run", "--detach", "--label", LABEL, *options, image, *command)
    container = Container(docker, number)
    try:
        yield container
    finally:
        docker.output("rm", "--force", "--volumes", number)


@contextmanager
def serving(docker: Docker, model: Path, *options: str) -> Iterator[Container]:
    """The serving image over a model folder, as SageMaker mounts it, its port published."""
    mount = f"{model}:/opt/ml/model:ro"
    words = ("--publish", "127.0.0.1::8080", "--volume", mount, *options)
    with started(docker, INFERENCE, *words, command=["serve"]) as container:
        yield container


@dataclass
class Job:
    """The folders of a training job, which become /opt/ml."""

    base: Path
    host: str = "algo-1"
    hosts: tuple[str, ...] = ("algo-1",)

    def configure(self, pictures: Sequence[Path], **hyperparameters: str) -> "Job":
        """Write what SageMaker writes before the start."""
        config, channel = self.base / "input/config", self.base / "input/data/training"
        config.mkdir(parents=True, exist_ok=True)
        channel.mkdir(parents=True, exist_ok=True)
        files = {
            "hyperparameters": {**HYPERPARAMETERS, **hyperparameters},
            "inputdataconfig": {"training": {"TrainingInputMode": "File"}},
            "resourceconfig": {
                "current_host": self.host, "hosts": [*self.hosts], "network_interface_name": "eth0",
            },
        }  # fmt: skip
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))
        for picture in pictures:
            (channel / picture.name).write_bytes(picture.read_bytes())
        return self

    @property
    def options(self) -> tuple[str, ...]:
        """One thread, so that every run rounds alike and two jobs do not fight."""
        return ("--volume", f"{self.base}:/opt/ml", "--env", "OMP_NUM_THREADS=1")

    @property
    def failure(self) -> str:
        file = self.base / "output/failure"
        return file.read_text() if file.exists() else ""

    @property
    def weights(self) -> bytes:
        """Of the model that would be uploaded; none where there is none."""
        file = self.base / "model/generator.safetensors"
        return file.read_bytes() if file.exists() else b""

    @property
    def checkpoints(self) -> list[Path]:
        return sorted(self.base.glob("checkpoints/checkpoints/kimg-*"))
