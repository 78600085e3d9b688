"""Every command, watched: no address is asked that the user did not name; HOME is not needed.

All run as a user whom the system does not know, without a home, in a folder that nobody can write.
"""

import http.server
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from free_ports import free_port

from facegan.cli.__main__ import facegan

ROOT = Path(__file__).parents[2]
WATCHED = Path(__file__).parent / "watched"
AWS_ERROR = b'{"__type": "AccessDenied", "message": "no"}'
# What runs for long, asks a terminal, or needs more than is installed here: has tests of its own.
ELSEWHERE = {
    "serve": "below, with the container's",
    "studio": "tests/studio/test_studio_contacts.py",
}
# Words of every other command: a real run of each that works on files, at 16 px; on AWS a call that
# is refused by a server on this machine.
LOCAL = {
    "data toy": "--out {d}/toy --images 16 --resolution 16",
    "data prepare": "{d}/toy --out {d}/prepared --resolution 16",
    "data check": "{d}/prepared",
    "data show": "{d}/prepared --out {d}/sheet.png",
    "data stream": "{d}/prepared --out {d}/streamed",
    "data merge": "{d}/prepared --out {d}/merged",
    "train": "--data {d}/toy --out {d}/run --family dcgan --preset tiny --resolution 16"
    " --batch-size 8 --total-kimg 0.008 --processes 2",
    "evaluate": "{d}/run/model.tar.gz --data {d}/toy --samples 8",
    "report": "{d}/run --out {d}/report.html",
    "export": "{d}/run/model.tar.gz",
    "generate": "{d}/run/model.tar.gz --seeds 1 --out {d}/a.png",
}
CLOUD = {
    "cloud check": "",
    "cloud policy": "training --bucket b",
    "cloud role create": "--yes",
    "cloud role delete": "--yes",
    "cloud upload": "{d}/toy s3://b/c --yes",
    "cloud download": "s3://b/c {d}/down --yes",
    "cloud remove": "s3://b/c --yes",
    "cloud push": "--dry-run",
    "cloud remove-images": "--yes",
    "cloud train": "--data s3://b/c --instance-type ml.g5.xlarge --bucket b --yes",
    "cloud jobs": "",
    "cloud attach": "job",
    "cloud logs": "job",
    "cloud stop": "job --yes",
    "cloud resume": "job --yes",
    "cloud metrics": "job",
    "cloud fetch": "job",
    "cloud tune start": "--data s3://b/c --instance-type ml.g5.xlarge --yes",
    "cloud tune results": "tuning",
    "cloud tune best": "tuning",
    "cloud tune stop": "tuning --yes",
    "cloud register": "s3://b/model.tar.gz --yes",
    "cloud approve": "arn --yes",
    "cloud models": "",
    "cloud unregister": "arn --yes",
    "cloud deploy": "faces --model s3://b/model.tar.gz --yes",
    "cloud update": "faces --model s3://b/model.tar.gz --yes",
    "cloud endpoints": "",
    "cloud delete": "faces --yes",
    "cloud transform start": "faces --model s3://b/model.tar.gz --requests {d}/r.jsonl"
    " --output s3://b/o --instance-type ml.m5.xlarge --yes",
    "cloud transform status": "",
    "cloud transform stop": "faces --yes",
    "cloud api delete": "--yes",
    "cloud api deploy": "faces --yes",
    "cloud api url": "",
    "cloud costs estimate": "--instance-type ml.g5.xlarge",
    "cloud costs job": "job",
    "cloud costs running": "",
    "cloud destroy": "--yes",
}
INVOKE = {"invoke": "--endpoint-url {url} --seeds 1 --out {d}/b.png"}


def verbs(command: click.Command, *path: str) -> Iterator[str]:
    """The full names of all commands."""
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        under = command.get_command(context, name)
        assert under is not None
        yield from verbs(under, *path, name)


def test_no_command_is_forgotten() -> None:
    assert set(verbs(facegan)) == {*LOCAL, *CLOUD, *INVOKE, *ELSEWHERE}


class Watched:
    """A folder for all that commands may write, and what the hook noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        self.log.touch()
        (folder / "tmp").mkdir()

    def environment(self, **others: str) -> dict[str, str]:
        """A hostile one: nobody's, homeless."""
        named = {name: value for name, value in os.environ.items()
                 if not name.startswith(("AWS_", "XDG_", "FACEGAN_", "PYTEST_"))}  # fmt: skip
        for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
            named.pop(name, None)
        path = os.pathsep.join(map(str, [WATCHED, ROOT / "src"]))
        return {
            **named, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.folder / "tmp"), "WATCHED_LOG": str(self.log), **others,
        }  # fmt: skip

    def run(self, commands: dict[str, str], **others: str) -> str:
        """Run commands in one process, somewhere that cannot be written; what they said."""
        told = [[name, [*name.split(), *words.format(d=self.folder, **others).split()]]
                for name, words in commands.items()]  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(WATCHED / "commands.py")], cwd="/proc",
            input=json.dumps(told), env=self.environment(**others), timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    @contextmanager
    def server(self, *words: str, port: int, **others: str) -> Iterator[None]:
        """A server, until it is up and then no longer needed."""
        said = self.folder / f"server-{port}"
        process = subprocess.Popen(
            words, cwd="/proc", env=self.environment(WATCHED_COMMAND=words[-1], **others),
            stdout=said.open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            for _ in range(600):
                assert process.poll() is None, said.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(30)
        assert "Traceback" not in said.read_text(), said.read_text()

    def noted(self, what: str) -> list[tuple[str, str]]:
        """Commands, and what of this kind they did."""
        lines = [line.split("\t") for line in self.log.read_text().splitlines()]
        return [(command, eval(which)) for command, kind, which in lines if kind == what]

    def check(self) -> None:
        """No other machine was asked, nothing written elsewhere, and no process is left."""
        strangers = [row for row in self.noted("asks") if not is_here(row[1])]
        assert not strangers
        elsewhere = [row for row in self.noted("writes")
                     if not row[1].startswith((str(self.folder), "/dev/"))]  # fmt: skip
        assert not elsewhere
        assert not self.processes()

    def processes(self) -> list[str]:
        """The processes that are still there."""
        mark = f"WATCHED_LOG={self.log}".encode()
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    left.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it has gone, or is another user's
                pass
        return left


def is_here(host: str) -> bool:
    """Whether a name or an address is this machine's own, by its text alone."""
    if host in ("localhost", "None", ""):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


class Refusing(http.server.BaseHTTPRequestHandler):
    """An AWS that permits nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(AWS_ERROR)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(AWS_ERROR)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs Linux's /proc")
    return Watched(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def trained(watched: Watched) -> str:
    """What all commands that work on files said; their run is left for others."""
    return watched.run(LOCAL, FACEGAN_GRAPHS="true")


def test_commands_on_files_ask_nobody_and_write_only_what_they_are_told(
    watched: Watched, trained: str
) -> None:
    failed = [name for name in LOCAL if f"[{name}] ended with 0" not in trained]
    assert not failed, trained
    watched.check()


def test_commands_on_aws_ask_the_address_that_is_named(watched: Watched, trained: str) -> None:
    """Where the user has credentials, and where not."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        aws = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
               "AWS_DEFAULT_REGION": "eu-west-1"}  # fmt: skip
        watched.run(CLOUD, **aws)
        assert not server.asked  # type: ignore[attr-defined]
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
        told = watched.run(CLOUD, **aws, **keys)
        assert server.asked, told  # type: ignore[attr-defined]
        server.shutdown()
    watched.check()


def test_servers_ask_nobody(watched: Watched, trained: str) -> None:
    """`facegan serve` and the container's, from their start over a request to their end."""
    model, port = watched.folder / "run/model.tar.gz", free_port()
    program = [sys.executable, "-m", "facegan.cli", "serve", "--port", str(port), str(model)]
    with watched.server(*program, port=port):
        watched.run(INVOKE, url=f"http://127.0.0.1:{port}")
    base = watched.folder / "ml"
    shutil.unpack_archive(model, base / "model")
    with watched.server(
        "sh", str(ROOT / "container/inference/serve"), port=(port := free_port()),
        SAGEMAKER_BASE_DIR=str(base), SAGEMAKER_BIND_TO_PORT=str(port),
    ):  # fmt: skip
        watched.run(INVOKE, url=f"http://127.0.0.1:{port}")
    watched.check()


def test_a_training_job_asks_nobody(watched: Watched, trained: str) -> None:
    base, config = watched.folder / "job", watched.folder / "job/input/config"
    shutil.copytree(watched.folder / "toy", base / "input/data/training")
    config.mkdir(parents=True)
    wished = {"family": "dcgan", "preset": "tiny", "resolution": "16", "batch_size": "8",
              "total_kimg": "0.008"}  # fmt: skip
    files = {"hyperparameters": wished, "inputdataconfig": {"training": {}},
             "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]}}  # fmt: skip
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    program = [sys.executable, str(ROOT / "container/training/train.py")]
    done = subprocess.run(
        program, cwd="/proc", capture_output=True, text=True, timeout=300,
        env=watched.environment(SAGEMAKER_BASE_DIR=str(base), WATCHED_COMMAND="training job"),
    )  # fmt: skip
    assert done.returncode == 0 and (base / "model/generator.onnx").exists(), done.stderr
    watched.check()
