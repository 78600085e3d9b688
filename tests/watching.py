"""Commands in processes whose every contact, and every file written, is noted (tests/watched)."""

import ipaddress
import json
import os
import subprocess
import sys
import time
import urllib.request
from ast import literal_eval
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
WATCHED = Path(__file__).parent / "watched"


class Watched:
    """A folder for all that commands may write, and what the hook noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        self.log.touch()
        (folder / "tmp").mkdir()

    def environment(self, **others: str) -> dict[str, str]:
        """Return a hostile environment: no user, no home, nothing from other tests."""
        others_own = ("AWS_", "XDG_", "FACEGAN_", "PYTEST_", "TORCHINDUCTOR_")
        named = {name: value for name, value in os.environ.items()
                 if not name.startswith(others_own)}  # fmt: skip
        for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
            named.pop(name, None)
        path = os.pathsep.join(map(str, [WATCHED, ROOT / "src"]))
        return {
            **named, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.folder / "tmp"), "WATCHED_LOG": str(self.log), **others,
        }  # fmt: skip

    def run(self, commands: Mapping[str, str], *more: str, **others: str) -> str:
        """Run commands of facegan in one process; what they said."""
        told = [[name, [*name.split(), *words.format(d=self.folder).split(), *more]]
                for name, words in commands.items()]  # fmt: skip
        return self.start(str(WATCHED / "commands.py"), stdin=json.dumps(told), **others)

    def start(self, *words: str, stdin: str = "", **others: str) -> str:
        """Run Python to its end, in a folder that cannot be written; what it said."""
        done = subprocess.run(
            [sys.executable, *words], cwd="/proc", input=stdin, env=self.environment(**others),
            timeout=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout
        return done.stdout

    @contextmanager
    def server(self, *words: str, port: int, path: str = "ping", **others: str) -> Iterator[None]:
        """A server that has answered at this path, until it is no longer needed."""
        said = self.folder / f"server-{port}"
        process = subprocess.Popen(
            words, cwd="/proc", env=self.environment(WATCHED_COMMAND=words[-1], **others),
            stdout=said.open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            for _ in range(600):
                assert process.poll() is None, said.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5).close()
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
        return [(command, literal_eval(which)) for command, kind, which in lines if kind == what]

    @property
    def strangers(self) -> list[tuple[str, str]]:
        """Commands, and the names and addresses of other machines that they asked for."""
        return [row for row in self.noted("asks") if not is_here(row[1])]

    def check(self) -> None:
        """No other machine was asked, nothing written elsewhere, and no process is left."""
        assert not self.strangers, self.strangers
        elsewhere = [row for row in self.noted("writes")
                     if not row[1].startswith((str(self.folder), "/dev/"))]  # fmt: skip
        assert not elsewhere, elsewhere
        assert not self.processes(), self.processes()

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
