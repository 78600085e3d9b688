"""Runs Docker's client and explains its errors."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from facegan.errors import DockerError

INSTALL = "Install it: https://docs.docker.com/engine/install (Debian: apt-get install docker.io)."
LINES_KEPT = 400  # of a command's output, to find the reason of a failure

# Output of Docker, BuildKit or pip → meaning and fix. The first match counts: a full disk makes
# everything else fail, too.
MEANINGS = [
    (
        r"no space left on device",
        "The disk is full.",
        "`docker system df` shows what uses it, `docker system prune` frees unused space. "
        "Building a CUDA image needs 25 GB.",
    ),
    (
        r"permission denied.*docker.*(socket|sock)|docker\.sock.*permission denied",
        "Docker is installed, but you have no permission to use it.",
        "Run `sudo usermod -aG docker $USER` and log in again, or run this as root.",
    ),
    (
        r"Cannot connect to the Docker daemon|Is the docker daemon running",
        "Docker's daemon is not running.",
        "Start it: `sudo systemctl start docker`, or `sudo dockerd &` without systemd.",
    ),
    (
        r"buildx component is missing|requires BuildKit|unknown flag: --(mount|secret|progress)",
        "This docker cannot build with BuildKit.",
        "Install buildx (https://docs.docker.com/go/buildx), or set DOCKER to another client.",
    ),
    (
        r"exec format error|does not match the (detected host|specified) platform",
        "The image was built for another architecture.",
        "Build it here: `make build`.",
    ),
    (
        r"could not select device driver|nvidia-container-cli|runtime name: nvidia",
        "A GPU was requested, but Docker finds none.",
        "Leave `--gpus` out, or install the NVIDIA driver and nvidia-container-toolkit.",
    ),
    (
        r"port is already allocated|address already in use",
        "The port is in use.",
        "Choose another, e.g. PORT=8081, or stop the container that uses it (`docker ps`).",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "The certificate of the package index is not trusted.",
        "Behind a company's proxy, pass its certificates: make build CA=company.pem.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "The files of the package index differ from the lock file.",
        "If that is intended, run `make lock` with this index and check the changes.",
    ),
    (
        r"No matching distribution found for (?P<thing>[^\s(]+)",
        "{thing} was not found in any package index.",
        "Add one that has it (make build TORCH_INDEX=…, PIP_CONF=pip.conf), or put the wheel "
        "into docker/wheels (make wheels).",
    ),
    (
        r"(failed to resolve source metadata for|pull access denied for|do request: Head) "
        r"\"?(?P<thing>[^\s,\"]+)",
        "The base image {thing} cannot be pulled.",
        "Without a registry, build one from Debian packages: make base, then "
        "make build BASE=facegan-base BUILD_BASE=facegan-build-base.",
    ),
    (
        r"(No such image|Unable to find image|does not exist locally)[^\w]*(?P<thing>[\w./:-]*)",
        "The image {thing} does not exist here.",
        "Build it: `make build`.",
    ),
]


def as_docker_error(output: str, doing: str) -> DockerError:
    """Return the error for a failed command.

    Args:
        output: Standard output and error.
        doing: What it was doing, e.g. "Building facegan-training".
    """
    for pattern, message, hint in MEANINGS:
        if found := re.search(pattern, output, re.IGNORECASE):
            thing = found.groupdict().get("thing") or ""
            return DockerError(f"{doing}: {message.format(thing=thing)}", hint)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return DockerError(f"{doing} failed: {lines[-1] if lines else 'Docker printed nothing.'}")


def find_client(environment: Mapping[str, str]) -> str:
    """Return the client in ``DOCKER``, or the first on the path that builds with BuildKit.

    Raises:
        DockerError: there is none.
    """
    if named := environment.get("DOCKER"):
        found = shutil.which(named, path=environment.get("PATH"))
        if not found:
            raise DockerError(f"DOCKER={named} is not a program.", INSTALL)
        return found
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    clients = [found for folder in folders if (found := shutil.which("docker", path=folder))]
    if not clients:
        raise DockerError("Docker is not installed.", INSTALL)
    return next(filter(has_buildkit, clients), clients[0])


def has_buildkit(client: str) -> bool:
    """Return whether a client has BuildKit: built in until version 22, later as a plugin."""
    output = subprocess.run([client, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"version (\d+)", output)
    if version and int(version[1]) < 23:
        return True
    return subprocess.run([client, "buildx", "version"], capture_output=True).returncode == 0


class Docker:
    """Docker's client.

    Args:
        environment: The process's variables; ``DOCKER`` or ``PATH`` locates the client.

    Raises:
        DockerError: there is no client. All methods raise it if the client fails.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.client = find_client(environment)
        self.environment = {**environment, "DOCKER_BUILDKIT": "1"}

    def output(self, *words: str, doing: str = "Calling Docker", stdin: str | None = None) -> str:
        """Run a short command and return its output, without the last newline."""
        done = subprocess.run(
            [self.client, *words], env=self.environment, text=True, capture_output=True, input=stdin
        )
        if done.returncode:
            raise as_docker_error(done.stdout + done.stderr, doing)
        return done.stdout.rstrip("\n")

    def stream(self, words: Sequence[str], doing: str, on_line: Callable[[str], object]) -> None:
        """Run a long command and call `on_line` with each line of output."""
        kept: list[str] = []
        with subprocess.Popen(
            [self.client, *words], env=self.environment, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            for line in lines_of(process):
                on_line(line)
                kept = [*kept[-LINES_KEPT:], line]
        if process.returncode:
            raise as_docker_error("\n".join(kept), doing)

    def check(self) -> None:
        """Raise DockerError if no daemon is running, or this user may not use it."""
        self.output("version", "--format", "{{.Server.Version}}", doing="Docker")

    def check_architecture(self, image: str) -> None:
        """Raise DockerError if an image was built for another architecture, or does not exist."""
        here = self.output("version", "--format", "{{.Server.Arch}}")
        built_for = self.output(
            "image", "inspect", "--format", "{{.Architecture}}", image, doing=image
        )
        if built_for != here:
            raise DockerError(
                f"{image} was built for {built_for}, but this machine is {here}.",
                f"Build it here (make build), or for {here}: docker build --platform linux/{here}.",
            )


def lines_of(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield the output of a process, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
