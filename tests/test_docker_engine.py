"""Docker's mistakes, each in a line; scripts stand for the client, so Docker is not needed."""

from pathlib import Path

import pytest

from facegan.docker_engine import Docker, as_docker_error
from facegan.errors import DockerError

OUTPUTS = [
    ("write /x: no space left on device", "The disk is full.*docker system prune"),
    (
        "Got permission denied while trying to connect to the Docker daemon socket at unix:///x",
        "no permission to use it.*usermod -aG docker",
    ),
    (
        "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        "daemon is not running.*systemctl start docker",
    ),
    ("the --mount option requires BuildKit. Refer to", "cannot build with BuildKit.*buildx"),
    (
        "ERROR: BuildKit is enabled but the buildx component is missing",
        "cannot build with BuildKit",
    ),
    ("exec /bin/entry: exec format error", "another architecture.*make build"),
    ('could not select device driver "" with capabilities: [[gpu]]', "GPU was requested.*--gpus"),
    ("Bind for 127.0.0.1:8080 failed: port is already allocated", "port is in use.*PORT=8081"),
    ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')", "make build CA="),
    ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "differ from the lock file.*make lock"),
    (
        "ERROR: No matching distribution found for torch==2.13.0+cpu",
        r"torch==2.13.0\+cpu was not",
    ),
    (
        "ERROR: failed to solve: failed to resolve source metadata for docker.io/library/python:3",
        "base image docker.io/library/python:3 cannot be pulled.*make base",
    ),
    (
        "Error: No such image: facegan-training:local",
        "facegan-training:local does not exist.*make build",
    ),
    ("something else\nthe last line\n", "Building failed: the last line"),
]


@pytest.mark.parametrize(("output", "meaning"), OUTPUTS)
def test_output_of_docker_becomes_an_error_with_its_fix(output: str, meaning: str) -> None:
    assert str(as_docker_error(f"Step 1\n{output}", "Building")).startswith("Building")
    with pytest.raises(DockerError, match=meaning):
        raise as_docker_error(f"Step 1\n{output}", "Building")


def client(folder: Path, script: str) -> str:
    """A program that stands for docker."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    return str(folder)


def test_a_missing_client_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DockerError, match=r"Docker is not installed.*apt-get install docker.io"):
        Docker({"PATH": str(tmp_path)})
    with pytest.raises(DockerError, match=r"DOCKER=podman is not a program"):
        Docker({"PATH": str(tmp_path), "DOCKER": "podman"})


def test_a_client_that_builds_is_taken_before_one_that_does_not(tmp_path: Path) -> None:
    """A newer one without its plugin may stand first on the path."""
    without = client(tmp_path / "a", '[ "$1" != buildx ] && echo "Docker version 28.2.2, build x"')
    older = client(tmp_path / "b", 'echo "Docker version 20.10.24, build x"')
    assert Docker({"PATH": f"{without}:{older}"}).client == f"{older}/docker"
    assert Docker({"PATH": without}).client == f"{without}/docker"


def test_an_image_of_another_architecture_is_named_before_it_is_started(tmp_path: Path) -> None:
    folder = client(tmp_path / "a", '[ "$1" = version ] && echo amd64 || echo arm64')
    with pytest.raises(DockerError, match=r"facegan:1 was built for arm64.*is amd64"):
        Docker({"PATH": folder}).check_architecture("facegan:1")


def test_a_long_commands_lines_are_told_as_they_come_and_explain_its_failure(
    tmp_path: Path,
) -> None:
    folder = client(tmp_path / "a", "echo one; echo 'no space left on device' >&2; exit 1")
    told: list[str] = []
    with pytest.raises(DockerError, match="Building: The disk is full"):
        Docker({"PATH": folder}).stream(["build"], "Building", told.append)
    assert told == ["one", "no space left on device"]
