"""Docker's client: which one, how it is called, and what its mistakes mean, in a line each."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from facegan.errors import DockerError

INSTALL = "Install it: https://docs.docker.com/engine/install (Debian: apt-get install docker.io)."
LINES_KEPT = 400  # of a command's output, to find the reason in

# What Docker, BuildKit or pip inside a build says → what it means, and what to do. The first match
# counts: a full disk makes all the others fail too.
MEANINGS = [
    (
        r"no space left on device",
        "The disk is full.",
        "`docker system df` shows what fills it, `docker system prune` frees what nobody uses. "
        "A CUDA image needs 25 GB while it is built.",
    ),
    (
        r"permission denied.*docker.*(socket|sock)|docker\.sock.*permission denied",
        "Docker is here, but you may not use it.",
        "Run `sudo usermod -aG docker $USER` and log in again, or run this as root.",
    ),
    (
        r"Cannot connect to the Docker daemon|Is the docker daemon running",
        "Docker's engine does not run.",
        "Start it: `sudo systemctl start docker`, or `sudo dockerd &` where there is no systemd.",
    ),
    (
        r"buildx component is missing|requires BuildKit|unknown flag: --(mount|secret|progress)",
        "This docker cannot build with BuildKit.",
        "Install buildx (https://docs.docker.com/go/buildx), or name another client by DOCKER=.",
    ),
    (
        r"exec format error|does not match the (detected host|specified) platform",
        "The image was built for another architecture than this machine's.",
        "Build it here: `make build`.",
    ),
    (
        r"could not select device driver|nvidia-container-cli|runtime name: nvidia",
        "A GPU is asked for, and Docker finds none here.",
        "Leave `--gpus` out, or install the NVIDIA driver and nvidia-container-toolkit.",
    ),
    (
        r"port is already allocated|address already in use",
        "The port is taken.",
        "Name another, as PORT=8081, or stop whoever has it (`docker ps`).",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "The package index shows a certificate that nobody here trusts.",
        "Behind a company's proxy, name its certificates: make build CA=company.pem.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "The package index gives other files than those that were locked.",
        "If that is intended, `make lock` against this index, and look at what changes.",
    ),
    (
        r"No matching distribution found for (?P<thing>[^\s(]+)",
        "No index has {thing}.",
        "Name one that has (make build TORCH_INDEX=…, PIP_CONF=pip.conf), or put the wheel into "
        "docker/wheels (make wheels).",
    ),
    (
        r"(failed to resolve source metadata for|pull access denied for|do request: Head) "
        r"\"?(?P<thing>[^\s,\"]+)",
        "The base image cannot be fetched: {thing}.",
        "Without a registry, make one from Debian's packages: make base, then "
        "make build BASE=facegan-base BUILD_BASE=facegan-build-base.",
    ),
    (
        r"(No such image|Unable to find image|does not exist locally)[^\w]*(?P<thing>[\w./:-]*)",
        "There is no image {thing} here.",
        "Build it: `make build`.",
    ),
]


def as_docker_error(output: str, doing: str) -> DockerError:
    """What went wrong, from all that a failed command said.

    Args:
        output: Standard output and error.
        doing: What it was to do, as "Building facegan-training".
    """
    for pattern, message, hint in MEANINGS:
        if found := re.search(pattern, output, re.IGNORECASE):
            thing = found.groupdict().get("thing") or ""
            return DockerError(f"{doing}: {message.format(thing=thing)}", hint)
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return DockerError(f"{doing} failed: {said[-1] if said else 'Docker said nothing.'}")


def find_client(environment: Mapping[str, str]) -> str:
    """The client that ``DOCKER`` names, or the first on the path that builds with BuildKit.

    Raises:
        DockerError: there is none.
    """
    if named := environment.get("DOCKER"):
        found = shutil.which(named, path=environment.get("PATH"))
        if not found:
            raise DockerError(f"There is no program {named!r} (DOCKER).", INSTALL)
        return found
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    clients = [found for folder in folders if (found := shutil.which("docker", path=folder))]
    if not clients:
        raise DockerError("Docker is not installed.", INSTALL)
    return next(filter(builds, clients), clients[0])


def builds(client: str) -> bool:
    """Whether a client has BuildKit: of its own until version 22, later as the plugin buildx."""
    told = subprocess.run([client, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"version (\d+)", told)
    if version and int(version[1]) < 23:
        return True
    return subprocess.run([client, "buildx", "version"], capture_output=True).returncode == 0


class Docker:
    """Docker, as far as facegan uses it.

    Args:
        environment: The process's variables; ``DOCKER`` and ``PATH`` say where the client is.

    Raises:
        DockerError: there is no client. Its methods raise it when the client fails.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.client = find_client(environment)
        self.environment = {**environment, "DOCKER_BUILDKIT": "1"}

    def output(self, *words: str, doing: str = "Asking Docker", given: str | None = None) -> str:
        """Run a short command; what it printed, without the last newline."""
        done = subprocess.run(
            [self.client, *words], env=self.environment, text=True, capture_output=True, input=given
        )
        if done.returncode:
            raise as_docker_error(done.stdout + done.stderr, doing)
        return done.stdout.rstrip("\n")

    def stream(self, words: Sequence[str], doing: str, tell: Callable[[str], object]) -> None:
        """Run a long command, each of its lines told as it comes."""
        kept: list[str] = []
        with subprocess.Popen(
            [self.client, *words], env=self.environment, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            for line in lines_of(process):
                tell(line)
                kept = [*kept[-LINES_KEPT:], line]
        if process.returncode:
            raise as_docker_error("\n".join(kept), doing)

    def check(self) -> None:
        """Fail early, and by name, where Docker cannot be used.

        Raises:
            DockerError: no engine runs, or this user may not use it.
        """
        self.output("version", "--format", "{{.Server.Version}}", doing="Docker")

    def check_architecture(self, image: str) -> None:
        """Fail where an image was built for another processor, before it says "exec format error".

        Raises:
            DockerError: it was, or there is no such image.
        """
        here = self.output("version", "--format", "{{.Server.Arch}}")
        its = self.output("image", "inspect", "--format", "{{.Architecture}}", image, doing=image)
        if its != here:
            raise DockerError(
                f"{image} was built for {its}, and this machine is {here}.",
                f"Build it here (make build), or for {here}: docker build --platform linux/{here}.",
            )


def lines_of(process: "subprocess.Popen[str]") -> Iterator[str]:
    """What a process prints, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
