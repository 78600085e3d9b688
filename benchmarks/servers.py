"""Starts and stops the servers that are compared, ours as its container does, and weighs them.

Peers live in environments of their own under ``.bench/``, made at first use with the versions of
``peers/requirements-*.txt``. Every server is a session of its own, which is ended whole: LitServe
leaves its workers behind when only its first process is told to end.
"""

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent / ".bench"
PEERS = HERE / "peers"
START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """How a server is started and asked."""

    name: str
    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    ping: str = "/ping"
    says_kind: bool = True  # the body names the kind of reply; ours reads the Accept header

    def extra(self, kind: str) -> str:
        """What the JSON body holds besides the seeds."""
        return f',"reply":"{kind}"' if self.says_kind else ""


@dataclass
class Running:
    """A server that answers."""

    server: Server
    process: "subprocess.Popen[bytes]"
    port: int
    ready_seconds: float  # from the start of its process to the first 200 on its ping

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/invocations"

    def memory_mb(self) -> float:
        """All its processes' memory; pages that several share are counted once (PSS)."""
        kilobytes = 0
        for process in members(self.process.pid):
            try:
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            except OSError:  # it has ended
                continue
            kilobytes += next(int(x.split()[1]) for x in rollup.splitlines() if x[:4] == "Pss:")
        return kilobytes / 1024

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        ticks = 0
        for process in members(self.process.pid):
            words = stat_of(process)
            ticks += int(words[11]) + int(words[12]) if words else 0
        return ticks / os.sysconf("SC_CLK_TCK")


def stat_of(process: int) -> list[str]:
    """The words of /proc/PID/stat behind the process's name, or none if it has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def members(first: int) -> list[int]:
    """A server's processes: its session's, and those whose parents are among them."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    stats = {number: words for number in numbers if (words := stat_of(number))}
    found = {number for number, words in stats.items() if words[3] == str(first)}
    while more := {n for n, words in stats.items() if int(words[1]) in found} - found:
        found |= more
    return sorted(found)


# --- which servers there are --------------------------------------------------------------------


def ours(model: Path) -> Server:
    """What the container starts, from this checkout, with SageMaker's variables."""
    folder = HERE.parent / "container" / "inference"
    base = model.parent / "ml"
    base.mkdir(exist_ok=True)
    if not (base / "model").exists():
        (base / "model").symlink_to(model.resolve())
    variables = {
        "SAGEMAKER_BASE_DIR": str(base),
        "FACEGAN_HOST": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ("sh", str(folder / "serve"))
    return Server("ours", command, folder, variables, says_kind=False)


def litserve(model: Path, torch_index: str = "", **settings: str) -> Server:
    """LitServe; what it is tuned by is what was best of those that the results list."""
    chosen = {"MAX_BATCH": "16", "BATCH_SECONDS": "0.005", "FAST_QUEUE": "0"} | settings
    command = (str(environment("litserve", torch_index) / "python"), "litserve_server.py")
    return Server("LitServe", command, PEERS, {**weights(model), **chosen})


def bentoml(model: Path, torch_index: str = "", **settings: str) -> Server:
    """BentoML; tuned as LitServe is."""
    chosen = {"MAX_BATCH": "16", "MAX_LATENCY_MS": "1000"} | settings
    program = str(environment("bentoml", torch_index) / "bentoml")
    command = (program, "serve", "bentoml_service:Dcgan", "--host", "127.0.0.1", "--port", "PORT")
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(CACHE / "bentoml")}
    return Server("BentoML", command, PEERS, {**weights(model), **chosen, **quiet}, "/readyz")


def plain_flask(model: Path, torch_index: str = "", threads: int = 8) -> Server:
    """Flask under gunicorn."""
    program = str(environment("flask", torch_index) / "gunicorn")
    options = f"-k gthread -w 1 --threads {threads} --timeout 60 --no-control-socket"
    command = (program, "-b", "127.0.0.1:PORT", *options.split(), "flask_app:app")
    return Server("Flask", command, PEERS, weights(model))


def weights(model: Path) -> dict[str, str]:
    return {"WEIGHTS": str(model / "generator.safetensors")}


def environment(name: str, torch_index: str = "") -> Path:
    """A peer's environment, made if it is missing or of other versions; its folder of programs."""
    wanted = PEERS / f"requirements-{name}.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    folder = CACHE / "venvs" / name
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Making the environment of {name} (once; torch is large) …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        index = ["--extra-index-url", torch_index] if torch_index else []
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *index]
        subprocess.run([*pip, "-r", str(wanted)], check=True)
        stamp.write_text(digest)
    return folder / "bin"


# --- starting and stopping ----------------------------------------------------------------------


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, wait until it answers, and end all its processes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))  # so that none outlives us
    port = free_port()
    variables = {"PORT": str(port), "SAGEMAKER_BIND_TO_PORT": str(port), **server.variables}
    command = [word.replace("PORT", str(port)) for word in server.command]
    log = CACHE / f"{server.name}.log"
    started = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=server.folder,
            env={**os.environ, **variables},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not answers(port, server.ping):
            late = time.perf_counter() - started > START_SECONDS
            if late or process.poll() is not None:
                sys.exit(f"{server.name} did not start; {log} tells why.")
            time.sleep(0.01)
        yield Running(server, process, port, time.perf_counter() - started)
    finally:
        end(process)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether a server says 200 now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to a server's first process, and after its end SIGKILL to whatever it left."""
    everyone = members(process.pid)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    for left in {*everyone, *members(process.pid)}:
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    process.wait()
