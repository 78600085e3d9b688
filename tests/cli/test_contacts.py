"""Every command, watched: no address is asked that the user did not name; HOME is not needed.

All run as a user whom the system does not know, without a home, in a folder that nobody can write.
"""

import http.server
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from free_ports import free_port
from watching import ROOT, Watched

from facegan.cache_folder import set_torch_cache
from facegan.cli.__main__ import facegan, run_safely

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/faces/1"
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
    "init": "--preset tiny --out {d}/run.toml",
    "evaluate": "{d}/run/model.tar.gz --data {d}/toy --samples 8",
    "report": "{d}/run --out {d}/report.html",
    "export": "{d}/run/model.tar.gz",
    "generate": "{d}/run/model.tar.gz --seeds 1 --out {d}/a.png",
}
CLOUD = {
    "cloud check": "",
    "cloud policy": "training",
    "cloud role create": "--yes",
    "cloud role delete": "--yes",
    "cloud upload": "{d}/toy s3://my-bucket/toy --yes",
    "cloud download": "s3://my-bucket/toy {d}/down --yes",
    "cloud remove": "s3://my-bucket/toy --yes",
    "cloud push": "--dry-run",
    "cloud remove-images": "--yes",
    "cloud train": "--data s3://my-bucket/toy --instance-type ml.g5.xlarge --yes",
    "cloud jobs": "",
    "cloud attach": "job",
    "cloud logs": "job",
    "cloud stop": "job --yes",
    "cloud resume": "job --yes",
    "cloud metrics": "job",
    "cloud fetch": "job",
    "cloud tune start": "--data s3://my-bucket/toy --instance-type ml.g5.xlarge --preset tiny"
    " --family dcgan --evaluate-kimg 1 --range generator_learning_rate=1e-4:1e-3:log"
    " --max-jobs 1 --max-parallel 1 --yes",
    "cloud tune results": "tuning",
    "cloud tune best": "tuning",
    "cloud tune stop": "tuning --yes",
    "cloud register": "s3://my-bucket/model.tar.gz --yes",
    "cloud approve": ARN + " --yes",
    "cloud models": "",
    "cloud unregister": ARN + " --yes",
    "cloud deploy": "faces --model s3://my-bucket/model.tar.gz --instance-type ml.m5.large --yes",
    "cloud update": "faces --model s3://my-bucket/model.tar.gz --yes",
    "cloud endpoints": "",
    "cloud delete": "faces --yes",
    "cloud transform start": "faces --model s3://my-bucket/model.tar.gz --requests {d}/r.jsonl"
    " --output s3://my-bucket/o --instance-type ml.m5.xlarge --yes",
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
WITHOUT_AWS = {"cloud policy", "cloud push"}  # with a role, and as a dry run
SETTINGS = """[cloud]
bucket = "my-bucket"
role = "arn:aws:iam::123456789012:role/facegan-training"
"""
INVOKE = {"invoke": "--seeds 1 --out {d}/b.png --endpoint-url"}


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


class Refusing(http.server.BaseHTTPRequestHandler):
    """An AWS that permits nothing."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(AWS_ERROR)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(AWS_ERROR)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs Linux's /proc")
    (tmp_path / "watched").mkdir()
    return Watched(tmp_path / "watched")


def test_the_watch_notices(watched: Watched, tmp_path: Path) -> None:
    """A name, an address, a file elsewhere, a helper that stays: in any process of a command's."""
    elsewhere = tmp_path / "elsewhere"
    program = (
        "import os, socket, subprocess, sys\n"
        "try: socket.getaddrinfo('name.invalid', 80, flags=socket.AI_NUMERICHOST)\n"
        "except OSError: pass\n"
        "socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))\n"
        f"open({str(elsewhere)!r}, 'w').close()\n"
        "helper = 'import time; time.sleep(60)'\n"
        "away = dict.fromkeys(('stdout', 'stderr'), subprocess.DEVNULL)\n"
        "print(subprocess.Popen([sys.executable, '-c', helper], **away).pid)\n"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    helper = int(watched.start("-c", parent))
    try:
        assert [host for _, host in watched.strangers] == ["name.invalid", "192.0.2.1"]
        assert str(elsewhere) in [path for _, path in watched.noted("writes")]
        assert len(watched.processes()) == 1
    finally:
        os.kill(helper, signal.SIGKILL)


def test_commands_on_files_and_servers_ask_nobody_and_write_only_what_they_are_told(
    watched: Watched,
) -> None:
    """Servers: `facegan serve` and the container's, from start to end, with a request each."""
    output = watched.run(LOCAL, FACEGAN_GRAPHS="false")
    failed = [name for name in LOCAL if f"[{name}] ended with 0" not in output]
    assert not failed, output
    watched.check()
    model, base = watched.folder / "run/model.tar.gz", watched.folder / "ml"
    shutil.unpack_archive(model, base / "model")
    serve = [sys.executable, "-m", "facegan.cli", "serve", "--port"]
    container = ("sh", str(ROOT / "container/inference/serve"))
    port, container_port, many_port = free_port(), free_port(), free_port()
    one = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(container_port)}
    many = one | {"SAGEMAKER_BIND_TO_PORT": str(many_port), "SAGEMAKER_MULTI_MODEL": "true"}
    with (
        watched.server(*serve, str(port), str(model), port=port),
        watched.server(*container, port=container_port, **one),
        watched.server(*container, port=many_port, **many),
    ):
        for each in (port, container_port):
            output = watched.run(INVOKE, f"http://127.0.0.1:{each}")
            assert "[invoke] ended with 0" in output, output
    watched.check()
    left = [path.name for path in (watched.folder / "tmp").iterdir()]
    assert all(name.startswith("torchinductor_") for name in left), left  # torch's cache


def test_commands_on_aws_ask_the_address_that_is_named(watched: Watched, images_dir: Path) -> None:
    """And nobody for credentials, where there are none."""
    shutil.copytree(images_dir, watched.folder / "toy")
    (watched.folder / "facegan.toml").write_text(SETTINGS)
    (watched.folder / "r.jsonl").write_text('{"seeds": [1]}\n')
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = "--settings", str(watched.folder / "facegan.toml")
        aws = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
               "AWS_DEFAULT_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "1"}  # fmt: skip
        watched.run(CLOUD, *settings, **aws)
        assert not watched.noted("asks")
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
        output = watched.run(CLOUD, *settings, **aws, **keys)
        server.shutdown()
    asked = {command for command, _ in watched.noted("asks")}
    assert CLOUD.keys() - asked == WITHOUT_AWS, output
    watched.check()


def test_a_training_job_asks_nobody(watched: Watched, images_dir: Path) -> None:
    base, config = watched.folder / "job", watched.folder / "job/input/config"
    shutil.copytree(images_dir, base / "input/data/training")
    config.mkdir(parents=True)
    wished = {"family": "dcgan", "preset": "tiny", "resolution": "16", "batch_size": "8",
              "total_kimg": "0.008"}  # fmt: skip
    files = {"hyperparameters": wished, "inputdataconfig": {"training": {}},
             "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]}}  # fmt: skip
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    watched.start(
        str(ROOT / "container/training/train.py"),
        SAGEMAKER_BASE_DIR=str(base), WATCHED_COMMAND="training job", FACEGAN_GRAPHS="true",
    )  # fmt: skip
    assert (base / "model/generator.onnx").exists()
    watched.check()


def test_openvino_reports_nothing_with_its_telemetry_installed_or_not() -> None:
    """It uses its own stub; nothing is left of the package that sends."""
    from openvino.tools.ovc import telemetry_utils

    import facegan.synthesis.openvino_backend  # noqa: F401

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    with pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]


def test_no_lock_file_names_what_is_left_out_of_the_images() -> None:
    folder = ROOT / "docker/requirements"
    lines = (folder / "excluded.in").read_text().splitlines()
    left_out = [line for line in lines if not line.startswith("#")]
    assert "openvino-telemetry" in left_out
    for lock in folder.glob("*.lock"):
        assert not [name for name in left_out if name in lock.read_text()], lock


def test_torchs_cache_is_in_ours_where_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home, expected in ((tmp_path / "new", True), (Path("/dev/null"), False)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
        set_torch_cache(os.environ)
        own = str(home / "facegan/torchinductor") if expected else None
        assert os.environ.get("TORCHINDUCTOR_CACHE_DIR") == own
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    set_torch_cache(os.environ)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"


def test_without_a_folder_for_temporary_files_that_is_reported(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/dev/null/tmp"])
    assert run_safely(facegan, ["export", str(model_dir / "model.tar.gz")]) == 2
    assert "Set TMPDIR" in capsys.readouterr().err
