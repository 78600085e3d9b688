"""Every shell block of every document, every example of every help, every printed next step runs.

Against real servers, in folders that hold what the documents take for granted. Run by
`make test-docs`, not by `make test`: it takes minutes. What calls AWS is run by
test_cloud_documents.py.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents.blocks import ROOT, Example, document_examples, documents, help_examples
from documents.runner import Reader
from documents.substitutions import run_here
from documents.world import fill_bucket, make_files, make_runs
from free_ports import free_port
from moto_server import moto_server

pytestmark = pytest.mark.documents

GUIDE = ("docs/serving-reference.md", "docs/serving.md")  # one set of servers
FROM_NOTHING = ("README.md", "docs/tour.md")
OTHERS = [
    document
    for document in documents()
    if str(document.relative_to(ROOT)) not in GUIDE + FROM_NOTHING
    and any(run_here(example).commands for example in document_examples(document))
]
HELPS = [example for example in help_examples() if run_here(example).commands]
# What a help takes for running.
SERVERS = {
    "facegan invoke --help": (
        "facegan serve runs/first/model.tar.gz",
        "facegan serve runs/style/model.tar.gz --port 8081",
        "facegan serve runs/translate/run/model.tar.gz --port 8082",
        "facegan serve runs/paint/run/model.tar.gz --port 8083",
    )
}
# A command that is refused prints the next one, which runs.
REFUSED = (
    "facegan data show toy64 --out grid.png",
    "facegan data check photos",
    "facegan data check photos.zip",
    "facegan data prepare runs/first --out runs/x --resolution 32",
    "facegan train --data photos.zip --out runs/x",
    "facegan train --data runs/first --out runs/x",
    "facegan train --data runs/first/model.tar.gz --out runs/x",
    "facegan train --data nowhere --out runs/x",
    "facegan train --data runs/toy32 --out runs/first",
    "facegan generate runs/toy32",
    "facegan serve runs/toy32",
    "facegan evaluate photos --data runs/toy32",
    "facegan report runs/toy32",
)


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    with moto_server() as address:
        yield address


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, moto_address: str) -> Path:
    """A folder with all that the documents name, and the same photos on S3."""
    folder = tmp_path_factory.mktemp("world")
    make_files(folder)
    make_runs(folder)
    fill_bucket(moto_address, folder)
    return folder


@pytest.fixture(scope="session")
def quick_facegan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process that has imported torch, and forks for each command."""
    socket_ = tmp_path_factory.mktemp("quick") / "facegan"
    program = ROOT / "tests" / "documents" / "quick_facegan.py"
    with subprocess.Popen([sys.executable, str(program), str(socket_)]) as process:
        while not socket_.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield socket_
        process.terminate()


@pytest.fixture
def reader(tmp_path: Path, world: Path, moto_address: str, quick_facegan: Path) -> Iterator[Reader]:
    """Somebody in a folder of their own, which holds what the documents name."""
    shutil.copytree(world, tmp_path, symlinks=True, dirs_exist_ok=True)
    somebody = Reader(tmp_path, four_free_ports(), moto_address, quick_facegan)
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
    for name in GUIDE:
        reader.read(ROOT / name)
    reader.follow_next_steps()


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_it_runs_from_images_to_faces(reader: Reader, name: str, tmp_path: Path) -> None:
    """The way from nothing: the document makes the run; the next steps it prints run, too."""
    shutil.rmtree(tmp_path / "runs")
    reader.read(ROOT / name)
    assert (tmp_path / "runs" / "first" / "model.tar.gz").exists()
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")
    assert reader.follow_next_steps()


@pytest.mark.parametrize("document", OTHERS, ids=lambda it: str(it.relative_to(ROOT)))
def test_every_shell_block_runs(reader: Reader, document: Path) -> None:
    for example in document_examples(document):
        reader.type_in(example)
    reader.follow_next_steps()


@pytest.mark.parametrize("example", HELPS, ids=lambda it: it.source)
def test_every_example_of_every_help_runs(reader: Reader, example: Example) -> None:
    reader.type_in(Example(example.source, SERVERS.get(example.source, ())))
    reader.type_in(example)
    reader.follow_next_steps()


@pytest.mark.parametrize("command", REFUSED)
def test_what_a_refusal_proposes_runs(reader: Reader, command: str) -> None:
    assert reader.refused(command), "it proposes nothing"
    reader.follow_next_steps()
