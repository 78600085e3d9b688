"""Every cloud command that a document, a help or another command tells to type runs.

Against a moto server on loopback whose gaps ``cloud_account.GAPS`` fills. Run by `make test-docs`.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from botocore import xform_name
from documents.blocks import (
    ROOT,
    Example,
    blocks_of,
    document_examples,
    documents,
    every_command,
    help_examples,
    is_cloud,
    next_steps,
)
from documents.cloud_account import KEYS, Account
from documents.runner import answers
from free_ports import free_port
from PIL import Image

from facegan.artifact import pack_artifact, save_artifact
from facegan.gans import build_gan

pytestmark = pytest.mark.documents

HERE = Path(__file__).parent
COMMANDS = list(every_command())
NAMES = {name for name, _ in COMMANDS}
# Documents with cloud blocks, each one walk; and what is there before it, as a reader types it.
MODEL = "facegan cloud train --data s3://my-bucket/faces/data/photos64 --instance-type ml.g5.xlarge"
BUCKET = "facegan cloud upload runs/photos64 s3://my-bucket/faces/data/photos64 --make-bucket"
JOB = f"{MODEL} --family stylegan2 --resolution 64 --name faces-1"
DEPLOY = "facegan cloud deploy faces --model faces-1 --instance-type ml.c7i.large"
REGISTER = "facegan cloud register faces-1 --group faces"
APPROVE = "facegan cloud approve faces/1"
TUNE = (
    "facegan cloud tune start --data s3://my-bucket/faces/data/photos64 --instance-type "
    "ml.g5.xlarge --family stylegan2 --resolution 64 --evaluate-kimg 50 "
    "--range r1_gamma=0.1:10:log --name faces-tune"
)
REQUESTS = "echo '{\"seeds\": [0]}' | aws s3 cp - s3://my-bucket/requests.jsonl"
ROLES = "facegan cloud role create --bucket my-bucket"
READY = [BUCKET, "facegan cloud push"]
TRAINED = [*READY, f"{JOB} --wait"]
SERVED = [*TRAINED, DEPLOY]
WALK = "docs/sagemaker.md"
WALKS = {
    "README.md": [],
    WALK: [],
    "docs/tour.md": ["facegan cloud upload runs/photos64 s3://my-bucket/x --make-bucket"],
    "docker/README.md": [],
    "infra/README.md": SERVED,
    "infra/iam/README.md": [],
}
# What the walk's text says of what `destroy` leaves.
TAKEN_DOWN = [
    "facegan cloud destroy --with-data --with-images --with-jobs",
    "facegan cloud role delete",
]
# What a line begins with that is not run here, and where it is.
ELSEWHERE = {
    "pip install 'facegan[cloud]'": ".ci/release.py installs the wheel in a clean environment",
    "make build": ".ci/containers",
    "make base": ".ci/containers",
    "make test-images": ".ci/containers",
    "make local-test": ".ci/containers",
    "make lock": "resolves on a package index",
    "make wheels": "fetches gigabytes",
    "make sbom": "fetches advisories",
    "facegan studio": "a page for people: tests/studio",
}
# Commands that leave by another code than 0 where everything is well.
CODES = {"facegan cloud check --": (0, 9)}  # 9: something is missing, and is named
# What a help's examples stand on, where that is more than data and images.
RUNNING = [*READY, JOB]
TUNED = [*READY, TUNE]
REGISTERED = [*TRAINED, REGISTER]
FILE = "facegan cloud upload runs/first/model.tar.gz s3://my-bucket/"
MORE = [
    command
    for name in ("second", "third")
    for command in (
        f"facegan cloud upload runs/{name}/model.tar.gz s3://my-bucket/{name}.tar.gz",
        f"facegan cloud register s3://my-bucket/{name}.tar.gz --group faces",
    )
]
DOOR = "facegan cloud api deploy faces --bucket my-bucket"
OTHER = (
    "facegan cloud deploy faces --model s3://my-bucket/second.tar.gz --instance-type ml.c7i.large"
)
# Helps whose examples are alternatives: what makes room for the next; nothing: an empty account.
AGAIN: dict[str, list[str]] = {
    "facegan cloud train --help": [],
    "facegan cloud resume --help": [],
    "facegan cloud deploy --help": ["facegan cloud delete faces || true"],
    "facegan cloud update --help": ["facegan cloud delete faces", OTHER],
    "facegan cloud delete --help": [f"{DEPLOY} || true"],
}
PLACES = ("model.tar.gz", "a.tar.gz", "b.tar.gz", "models/a.tar.gz")
ASYNCHRONOUS = (
    "facegan cloud deploy slow --model faces-1 --instance-type ml.g6.xlarge "
    "--asynchronous --output s3://my-bucket/answers"
)
BEFORE = {
    f"facegan {words} --help": before
    for words, before in {
        "cloud": READY,
        "cloud check": [*READY, ROLES],
        "cloud download": [*READY, f"{FILE}faces/first/model.tar.gz"],
        "cloud attach": RUNNING,
        "cloud logs": [*TRAINED, DEPLOY],
        "cloud stop": RUNNING,
        "cloud resume": [*RUNNING, "facegan cloud stop faces-1"],
        "cloud metrics": TRAINED,
        "cloud fetch": TRAINED,
        "cloud tune results": TUNED,
        "cloud tune best": TUNED,
        "cloud tune stop": TUNED,
        "cloud register": [*TRAINED, f"{FILE}faces/model.tar.gz"],
        "cloud unregister": [*REGISTERED, *MORE],
        "cloud approve": [*REGISTERED, *MORE],
        "cloud models": REGISTERED,
        "cloud deploy": [*REGISTERED, APPROVE, *(f"{FILE}{place}" for place in PLACES)],
        "cloud update": [*REGISTERED, APPROVE, MORE[0], OTHER],
        "cloud endpoints": SERVED,
        "cloud delete": SERVED,
        "cloud transform start": [*REGISTERED, APPROVE, REQUESTS],
        "cloud api": SERVED,
        "cloud api deploy": SERVED,
        "cloud costs": TRAINED,
        "cloud costs job": TRAINED,
        "data stream": ["facegan cloud upload runs/photos64 s3://bucket/x --make-bucket"],
        "invoke": [*SERVED, ASYNCHRONOUS],
    }.items()
}


# What the documents cannot know → what it is here.
NAMED_BY_AWS = {
    "https://ID.execute-api.eu-west-1.amazonaws.com": "$AWS_ENDPOINT_URL/door",
    "--secret-id ARN": "--secret-id facegan-door-key",
}


class Reader:
    """Somebody who types commands in a folder, with an account of their own.

    Args:
        folder: Where files are made.
        account: What stands for AWS.
        facegan: The socket of sure_facegan.py.
    """

    def __init__(self, folder: Path, account: Account, facegan: Path) -> None:
        self.folder, self.account = folder, account
        self.followed: set[str] = set()
        self.failures: list[str] = []
        tools = folder / ".venv" / "bin"  # where `make` looks
        tools.mkdir(parents=True)
        quick = f"-I -S {HERE / 'quick_facegan.py'} {facegan}"
        scripts = {"facegan": quick, "aws": HERE / "aws_stand_in.py",
                   "docker": ROOT / "tests/cloud/docker_stand_in.py"}  # fmt: skip
        for name, script in scripts.items():
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {script} "$@"\n')
            (tools / name).chmod(0o755)
        (tools / "python").touch()
        (folder / ".venv" / ".installed").touch()
        self.environment = os.environ | KEYS | {
            "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"),
            "AWS_ENDPOINT_URL": account.url, "DOCKER": str(tools / "docker"),
            "STAND_IN_TAGS": "0.0.1 abcdef123456 local", "FACEGAN_GRAPHS": "false",
            "XDG_CACHE_HOME": str(folder / ".cache"), "COLUMNS": "200",
        }  # fmt: skip
        self.environment.pop("AWS_PROFILE", None)

    def type_in(self, line: str, where: str) -> None:
        """Run a line, and what it prints as next steps."""
        for step in next_steps(self.run(line, where)):
            if step not in self.followed:
                self.followed.add(step)
                if typed := as_followed(step):
                    self.run(typed, f"{where}: a next step of `{line}`")

    def check(self) -> None:
        """Fail if a command has."""
        assert not self.failures, "\n\n".join(self.failures)

    def run(self, line: str, where: str) -> str:
        """Run a line; what it printed. Where it fails, that is noted."""
        for old, new in NAMED_BY_AWS.items():
            line = line.replace(old, new)
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=self.folder,
                              env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300)  # fmt: skip
        wanted = next((codes for start, codes in CODES.items() if line.startswith(start)), (0,))
        told = f"{done.stdout}\n{done.stderr}"
        if done.returncode not in wanted:
            self.failures.append(f"{where}: {line}: exit {done.returncode}\n{told.strip()[-2000:]}")
        return told


def as_followed(step: str) -> str:
    """A printed command as it is run at once: by --dry-run where it would change something.

    "" of a mention: a command's bare name, which needs more than that.
    """
    words = shlex.split(step)
    if words[0] != "facegan":
        return step
    command = command_of(words)
    needed = [it for it in command.params if it.required and isinstance(it, click.Argument)]
    if needed and step in NAMES:
        return ""
    has_dry_run = any("--dry-run" in option.opts for option in command.params)
    return f"{step} --dry-run" if has_dry_run and "--dry-run" not in words else step


def command_of(words: list[str]) -> click.Command:
    """The command that words name."""
    return max(
        (name.split(), command) for name, command in COMMANDS
        if words[: name.count(" ") + 1] == name.split()
    )[1]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Account, Path]]:
    """What a reader has before the first command: photos, a model; and a server of that."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "photos").mkdir()
    for index in range(6):
        colour = (40 * index, 120, 200 - 30 * index)
        Image.new("RGB", (80, 80), colour).save(folder / "photos" / f"{index}.png")
    for seed, name in enumerate(("first", "second", "third")):
        model = folder / "runs" / name
        save_artifact(build_gan("dcgan", "tiny", (3, 16, 16), seed=seed), model)
        pack_artifact(model, model / "model.tar.gz")
    model = folder / "runs" / "first" / "model.tar.gz"
    prepare = "data prepare photos --out runs/photos64 --resolution 64"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "FACEGAN_GRAPHS": "false"}
    facegan_here = [sys.executable, "-m", "facegan.cli"]
    subprocess.run([*facegan_here, *prepare.split()], cwd=folder, env=environment, check=True,
                   capture_output=True)  # fmt: skip
    for name in ("toy32", "photos64s"):
        shutil.copytree(folder / "runs" / "photos64", folder / "runs" / name)
    port = free_port()
    server = subprocess.Popen(
        [*facegan_here, "serve", str(model), "--port", str(port)], cwd=folder,
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("s") / "s"
    waiting = subprocess.Popen([sys.executable, str(HERE / "sure_facegan.py"), str(place)],
                               env=environment)  # fmt: skip
    account = Account(model, f"http://127.0.0.1:{port}")
    try:
        while not (place.exists() and answers(port)):
            assert server.poll() is None, "the server has ended"
            assert waiting.poll() is None, "sure_facegan.py has ended"
            time.sleep(0.1)
        yield folder, account, place
    finally:
        waiting.terminate()
        account.close()
        server.terminate()
        server.wait(60)


@pytest.fixture
def reader(made: tuple[Path, Account, Path], tmp_path: Path) -> Reader:
    """Somebody with the settings that docs/sagemaker.md tells to write, and an empty account."""
    folder, account, facegan = made
    account.empty()
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    settings = next(it for it in blocks_of(ROOT / "docs/sagemaker.md") if it.language == "toml")
    (tmp_path / "facegan.toml").write_text(settings.text)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    return Reader(tmp_path, account, facegan)


def followed(example: Example) -> list[str]:
    """The commands of an example that run here: those that need an account.

    Of the walk, and of the help of a cloud command, all do: each stands on the one before it.
    """
    is_ours = example.source.startswith((WALK, "facegan cloud"))
    if not is_ours and not any(map(is_cloud, example.commands)):
        return []
    commands = [it for it in example.commands if is_ours or is_cloud(it)]
    return [it for it in commands if not it.startswith(tuple(ELSEWHERE))]


IN_DOCUMENTS = {
    str(document.relative_to(ROOT)): [it for it in document_examples(document) if followed(it)]
    for document in documents()
}
IN_HELPS = [example for example in help_examples() if followed(example)]


def test_every_document_with_a_cloud_block_is_walked() -> None:
    assert {name for name, examples in IN_DOCUMENTS.items() if examples} == set(WALKS)
    assert not set(BEFORE) - {example.source for example in IN_HELPS}


@pytest.mark.parametrize("name", WALKS)
def test_a_document_runs(name: str, reader: Reader) -> None:
    for line in WALKS[name]:
        reader.run(line, name)
    for example in IN_DOCUMENTS[name]:
        for line in followed(example):
            reader.type_in(line, example.source)
    for line in TAKEN_DOWN if name == WALK else ():
        reader.type_in(line, name)
    reader.check()
    if name == WALK:
        left = left_in(reader.account)
        assert not left, json.dumps(left, indent=1, default=str)


def left_in(account: Account) -> dict[str, Any]:
    """What an account has that could cost, or act."""
    sagemaker, kinds = account.client("sagemaker"), ("Endpoints", "EndpointConfigs", "Models")
    found = {kind: getattr(sagemaker, f"list_{xform_name(kind)}")()[kind] for kind in kinds}
    running = sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    found |= {
        "groups": sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"],
        "jobs": running,
        "buckets": account.client("s3").list_buckets()["Buckets"],
        "repositories": account.client("ecr").describe_repositories()["repositories"],
        "roles": account.client("iam").list_roles()["Roles"],
        "alarms": account.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "stacks": account.client("cloudformation").describe_stacks()["Stacks"],
    }
    return {kind: them for kind, them in found.items() if them}


@pytest.mark.parametrize("example", [pytest.param(it, id=it.source) for it in IN_HELPS])
def test_a_help_runs(example: Example, reader: Reader) -> None:
    for at, line in enumerate(followed(example)):
        room = AGAIN.get(example.source) if at else []
        if room == []:
            reader.account.empty()
        for before in (room or BEFORE.get(example.source, READY)) if room is not None else ():
            reader.run(before, f"before {example.source}")
        reader.type_in(line, example.source)
    reader.check()
