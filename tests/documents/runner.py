"""Runs a document's blocks as a reader would: in one folder, servers in other terminals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from documents.blocks import (
    ROOT,
    SHELL,
    Block,
    Example,
    answers_of,
    blocks_of,
    commands_of,
    next_steps,
)
from documents.substitutions import place_of, run_here, shortened

SERVER = re.compile(r"(^|\s)(facegan serve|container/inference/serve)\b")
PORT = re.compile(r"\b808[0-9]\b")
MADE = re.compile(r" (?:--out|-o) (\S+)")
MAKES_FOLDER = re.compile(r"\bfacegan\S* (?:data|train)\b(?!.* --resume).* --out (\S+)")
FUNCTION = re.compile(r"^\w+\(\) \{.*\}$", re.M)
# Quiet curls that fail where the server refuses.
PREAMBLE = """set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }
"""
PATIENCE_SECONDS = 300  # a machine may be busy with other things


class Reader:
    """Somebody who follows documents in a folder.

    Args:
        folder: Where files are made; holds what the documents take for granted.
        first_port: The port that stands in for 8080; those after it for 8081 and so on.
        aws: The address of a server that stands in for AWS.
        facegan: The socket of quick_facegan.py.
    """

    followed: ClassVar[set[str]] = set()  # next steps that ran already, in any folder

    def __init__(self, folder: Path, first_port: int, aws: str, facegan: Path) -> None:
        self.folder, self.first_port = folder, first_port
        self.made: set[str] = set()
        self.suggested: dict[str, str] = {}  # a next step that was printed → by what
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.functions: list[str] = []
        self.names: dict[str, Any] = {"__name__": "__main__"}
        (folder / "bin").mkdir()
        quick = f"-I -S {ROOT / 'tests' / 'documents' / 'quick_facegan.py'} {facegan}"
        for name, words in (("python", ""), ("facegan", quick)):
            wrapper = folder / "bin" / name
            wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            wrapper.chmod(0o755)
        beside = str(Path(sys.executable).parent)  # gunicorn
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{beside}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "FACEGAN_GRAPHS": "false",
            # boto3's calls to AWS reach the first server.
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://localhost:{first_port}",
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": aws,
        }  # fmt: skip

    def read(self, document: Path) -> None:
        """Run every shell and Python block, and hold each to the JSON that follows it."""
        for block, answer in answers_of(blocks_of(document)):
            where = f"{document.relative_to(ROOT)}:{block.line}"
            if block.language in SHELL:
                self.type_in(Example(where, tuple(commands_of(block.text))), answer)
            elif block.language == "python":
                self.run_python(block, where)

    def typed(self, text: str) -> str:
        """What is typed instead of a text."""
        short = shortened(text)
        return PORT.sub(lambda found: str(self.first_port + int(found[0]) - 8080), short)

    def type_in(self, example: Example, answer: Block | None = None) -> None:
        """Run commands that stand together; a server is started and waited for, and stays."""
        rest, told, log = "", "", None
        for line in run_here(example).commands:
            if SERVER.search(line):
                told += self.run_shell(rest, example.source)
                log = self.serve(self.typed(line), example.source)
                rest = ""
            else:
                rest += line + "\n"
        told += self.run_shell(rest, example.source, is_refusal(answer))
        if answer is not None:
            compare(told if log is None else last_request_in(log), answer.text, example.source)

    def run_shell(self, lines: str, where: str, refuses: bool = False) -> str:
        """Run lines in bash, after the functions that earlier ones have defined."""
        if not lines:
            return ""
        self.make_way(lines)
        done = self.bash("\n".join([PREAMBLE, *self.functions, self.typed(lines)]))
        self.functions += FUNCTION.findall(self.typed(lines))
        if refuses:
            assert done.returncode != 0, f"{where}: was not refused"
            return done.stdout
        assert done.returncode == 0, f"{where}: {lines}{done.stdout[-500:]}{done.stderr[-2000:]}"
        for name in MADE.findall(self.typed(lines)):
            assert is_address(name) or (self.folder / name).exists(), f"{where}: no {name}"
        if "--help" not in lines:  # whose examples are no next steps
            self.note(f"{done.stdout}\n{done.stderr}", f"{where}: {lines.strip()}")
        return done.stdout

    def refused(self, command: str) -> list[str]:
        """Run a command that must fail, in a sentence; return the next steps that it prints."""
        done = self.bash(self.typed(command))
        assert done.returncode not in (0, 1), f"{command}: {done.stdout}{done.stderr}"
        return self.note(f"{done.stdout}\n{done.stderr}", command)

    def note(self, printed: str, where: str) -> list[str]:
        """Remember the next steps that were printed, and return them."""
        steps = list(next_steps(printed))
        for step in steps:
            self.suggested.setdefault(step, where)
        return steps

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in the folder."""
        return subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True,
            timeout=PATIENCE_SECONDS, text=True, errors="replace",
        )  # fmt: skip

    def make_way(self, lines: str) -> None:
        """Delete what the world has where a command is about to make it, once a folder.

        Each job on AWS has an /opt/ml of its own.
        """
        for name in MAKES_FOLDER.findall(lines):
            if name not in self.made or name.startswith("/opt/ml"):
                self.made.add(name)
                shutil.rmtree(self.folder / self.typed(name), ignore_errors=True)

    def follow_next_steps(self) -> list[str]:
        """Run each next step that was printed, and those that these print; return all."""
        steps: list[str] = []
        while ahead := [step for step in self.suggested if step not in steps]:
            for step in ahead:
                steps.append(step)
                if step not in self.followed and not place_of(step):
                    self.followed.add(step)
                    self.type_in(Example(f"after {self.suggested[step]!r}", (step,)))
        return steps

    def run_python(self, block: Block, where: str) -> None:
        """Run a Python block, after those of the document before it, in the folder."""
        before, kept = Path.cwd(), dict(os.environ)
        os.chdir(self.folder)
        os.environ.update(self.environment)
        try:
            exec(compile(self.typed(block.text), where, "exec"), self.names)
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(kept)

    def serve(self, line: str, where: str) -> Path:
        """Start a server in another terminal, unless it runs already; once it is ready, its log."""
        found = re.search(r"(?:--port |SAGEMAKER_BIND_TO_PORT=)(\d+)", line)
        port = int(found[1]) if found else self.first_port
        log = self.folder / f"server-{port}.log"
        line = re.sub(r"\bfacegan serve", f"{sys.executable} -m facegan.cli serve", line)
        if port in self.servers:
            return log
        if not found and "container/" in line:
            line = f"SAGEMAKER_BIND_TO_PORT={port} {line}"
        elif not found:
            line += f" --port {port}"
        with log.open("wb") as file:
            server = subprocess.Popen(["bash", "-c", f"exec env {line}"], cwd=self.folder,
                                      env=self.environment, stdout=file, stderr=file)  # fmt: skip
        self.servers[port] = server
        until = time.monotonic() + PATIENCE_SECONDS
        while not answers(port):
            assert server.poll() is None, (
                f"{where}: {line}: the server has ended: {log.read_text()}"
            )
            assert time.monotonic() < until, f"{where}: {line}: the server is not ready"
            time.sleep(0.1)
        self.note(log.read_text(), f"{where}: {line}")
        return log

    def leave(self) -> None:
        """End the servers."""
        for server in self.servers.values():
            server.send_signal(signal.SIGTERM)
        for server in self.servers.values():
            server.wait(60)


def is_address(name: str) -> bool:
    """Whether a name is an address, no file."""
    return "://" in name


def answers(port: int) -> bool:
    """Whether a server is ready."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/ping", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def last_request_in(log: Path) -> str:
    """The last line about a request for faces, which is written as the reply ends."""
    for _ in range(50):
        lines = [line for line in log.read_text().splitlines() if '"/invocations"' in line]
        if lines:
            return lines[-1]
        time.sleep(0.1)
    raise AssertionError(f"no line about a request in {log.read_text()}")


def is_refusal(answer: Block | None) -> bool:
    """Whether the JSON behind a block is one refusal."""
    return answer is not None and '"hint"' in answer.text and "images" not in answer.text


def values_in(text: str) -> list[Any]:
    """JSON values one after another, in lines or over several."""
    decoder, found, at = json.JSONDecoder(strict=False), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def shape(value: Any) -> Any:
    """The keys of a JSON value, at all depths; of a list those of its first."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in sorted(value.items())}
    return [shape(value[0])] if isinstance(value, list) and value else None


def compare(told: str, shown: str, where: str) -> None:
    """An answer has the keys that the document shows."""
    real, promised = values_in(told.strip()), values_in(shown.strip())
    assert len(real) == len(promised), f"{where}: {len(real)} answers, the document shows others"
    for one, other in zip(real, promised, strict=True):
        assert shape(one) == shape(other), f"{where}: {one} is not like {other}"
