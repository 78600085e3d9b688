"""The engine, one server to look at, and images to train on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import INFERENCE, TRAINING, Container, Job, serving

from facegan.docker_engine import Docker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need Docker, but those of the engine's mistakes, which need none."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "without_docker" not in item.path.name:
            item.add_marker(pytest.mark.container)


@pytest.fixture(scope="session")
def docker() -> Docker:
    """An engine that holds both images; `make build` made them."""
    docker = Docker(os.environ)
    docker.check()
    for image in (TRAINING, INFERENCE):
        docker.check_architecture(image)
    return docker


@pytest.fixture(scope="session")
def model_dir(graphs_dir: Path) -> Path:
    """As a training job leaves it: a server on processors has no torch."""
    return graphs_dir


@pytest.fixture(scope="session")
def server(docker: Docker, model_dir: Path) -> Iterator[Container]:
    """A server with a read-only root and a variable of SageMaker's that nobody knows yet."""
    with serving(docker, model_dir, "--read-only", "--env", "SM_OF_TOMORROW=[1]") as container:
        container.wait_until_ready()
        yield container


@pytest.fixture(scope="session")
def pictures(images_dir: Path) -> list[Path]:
    return sorted(images_dir.glob("*.png"))


@pytest.fixture
def job(tmp_path: Path, pictures: list[Path]) -> Job:
    """A job that was not started."""
    return Job(tmp_path / "ml").configure(pictures)
