"""Every block of the README and of the serving guide does what it says, against real servers.

Run by `make test-docs`, not by `make test`: it takes a minute or two.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents.blocks import ROOT, SHELL, Block, blocks_of, commands_of
from documents.runner import Reader
from free_ports import free_port

from facegan.artifact import pack_artifact, save_artifact
from facegan.gans import build_gan

pytestmark = pytest.mark.documents

SHAPE = (3, 32, 32)
CLASSES = {"long": 16, "short": 32, "bald": 16}
# Typed instead, so that minutes become seconds.
SHORTER = {
    "--images 20000": "--images 600",
    "--family dcgan --preset toy32": "--family dcgan --preset toy32 --total-kimg 1",
    "--out runs/first --resume": "--out runs/first --resume --total-kimg 1",
    "--samples 500": "--samples 300",
    "facegan data prepare photos.zip": ": facegan data prepare photos.zip",
}
# What a block begins with that runs elsewhere, and where: another line of CI, or a test.
ELSEWHERE = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make setup": "Makefile",  # `make test` begins with it
    ". .venv/bin/activate": "Makefile",
    "make build": ".ci/containers",
    "make local-test": ".ci/containers",
    "make studio": "Makefile",  # a page for people, with tests of its own
    "facegan studio": "Makefile",
    "make notebook": "Makefile",
    "local_test/": "tests/local_test/test_scripts.py",
    # These need an account: their flags alone are held.
    "facegan cloud": "tests/test_readme.py",
    "facegan invoke --endpoint faces --region": "tests/test_readme.py",
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in a folder of their own, with two models and the repository's scripts."""
    for name, family, preset, classes in (
        ("first", "dcgan", "toy32", None), ("style", "stylegan2", "tiny-conditional", CLASSES),
    ):  # fmt: skip
        folder = tmp_path / "runs" / name
        save_artifact(build_gan(family, preset, SHAPE, seed=0, classes=classes), folder)
        pack_artifact(folder, folder / "model.tar.gz")
    (tmp_path / "container").symlink_to(ROOT / "container")
    somebody = Reader(tmp_path, four_free_ports(), SHORTER)
    yield somebody
    somebody.leave()


def four_free_ports() -> int:
    """The first of four ports in a row at which nobody listens."""
    while True:
        first = free_port()
        if all(is_free(first + further) for further in range(1, 4)):
            return first


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_serving_guide_runs(reader: Reader) -> None:
    """Its pages in order, with one set of servers."""
    for name in ("wire", "serving", "serving-models"):
        reader.read(ROOT / "docs" / f"{name}.md")


@pytest.mark.parametrize("name", ["README.md", "docs/tour.md"])
def test_it_runs_from_pictures_to_faces(reader: Reader, name: str, tmp_path: Path) -> None:
    """The way from nothing: the run is made by the document itself."""
    (tmp_path / "runs" / "first").rename(tmp_path / "not-needed")
    for block in blocks_of(ROOT / name):
        if block.language == "python":
            reader.run_python(block, name)
        elif block.language in SHELL:
            lines = [line for line in commands_of(block.text) if not runs_elsewhere(line)]
            here = Block(block.language, "\n".join(lines), block.line)
            reader.type_in(here, None, f"{name}, line {block.line}")
    assert (tmp_path / "runs" / "first" / "model.tar.gz").exists()
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")


def runs_elsewhere(line: str) -> bool:
    """Whether another part of CI runs a line: each of its commands is named there."""
    found = [(start, place) for start, place in ELSEWHERE.items() if line.startswith(start)]
    for start, place in found:
        assert (ROOT / place).exists(), place
        if start.startswith("make ") and place.startswith(".ci"):
            assert start in (ROOT / place).read_text(), f"{place} does not run {start}"
    return bool(found)
