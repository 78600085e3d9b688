"""Every block of every document, and every example of every `--help`, does what it says.

Against real servers, in folders that hold what the documents take for granted. Run by
`make test-docs`, not by `make test`: it takes minutes. The commands on AWS are run in
test_cloud_documents.py.
"""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents.blocks import ROOT, SHELL, Block, blocks_of, commands_of
from documents.examples import every_command, help_examples
from documents.runner import Reader
from documents.world import fill_bucket, make_files, make_runs
from free_ports import free_port

pytestmark = pytest.mark.documents

# Typed instead, so that minutes become seconds: a pattern → its replacement.
SHORTER = {
    r"--images \d+": "--images 300",
    r"^((?:facegan|torchrun .* -m facegan.cli) train\b.*)": r"\1 --total-kimg 0.1",
    r"^(facegan evaluate\b.*)": r"\1 --samples 200",
    r" --watch 30": "",
    r"--preset paper64": "--preset tiny-conditional",
    r"/opt/ml/processing/": "processing/",
    r"/tmp/ml\b": "ml",
    r"/mnt/faces": "faces",
}
# What a line begins with that is run elsewhere, and where: another line of CI, or a test.
ELSEWHERE = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make setup": "Makefile",  # `make test` begins with it
    ". .venv/bin/activate": "Makefile",
    "make build": ".ci/containers",
    "make local-test": ".ci/containers",
    "make push": "tests/cloud/test_push_to_deploy.py",  # is `facegan cloud push`
    "docker run": "tests/container/test_training_contract.py",
    "make studio": "Makefile",  # a page for people, with tests of its own
    "facegan studio": "tests/studio/test_studio_command.py",
    "make notebook": "Makefile",
    "local_test/": "tests/local_test/test_scripts.py",
    "facegan cloud": "tests/documents/test_cloud_documents.py",
    "facegan invoke --endpoint ": "tests/documents/test_cloud_documents.py",
    "pip install": ".ci/release.py",
    "aws ": "tests/documents/test_cloud_documents.py",  # AWS's own program, which is not installed
}
# What asks for files that nobody may put here; the code is held by these tests.
NEEDS_DOWNLOADS = {
    "--extractor inception": "tests/metrics/test_extractor.py",
    "--inception-weights": "tests/metrics/test_extractor.py",
    "--crop faces": "tests/preparing/test_face_crops.py",
}
GUIDE = ("wire", "serving", "serving-models")  # one guide, with one set of servers
FROM_NOTHING = ("README.md", "docs/tour.md")
FOLDERS = ("docs", "container", "docker", "local_test", "infra", "notebooks")
OTHERS = [
    document
    for document in (
        *sorted(ROOT.glob("*.md")),
        *sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.md")),
    )
    if str(document.relative_to(ROOT)) not in FROM_NOTHING
    and document.stem not in GUIDE
    and any(block.language in SHELL for block in blocks_of(document))
]


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, moto_address: str) -> Path:
    """A folder with all that the documents name, and the same photos on S3."""
    folder = tmp_path_factory.mktemp("world")
    make_files(folder)
    make_runs(folder)
    fill_bucket(moto_address, folder)
    return folder


@pytest.fixture
def reader(tmp_path: Path, world: Path, moto_address: str) -> Iterator[Reader]:
    """Somebody in a folder of their own, which holds what the documents name."""
    shutil.copytree(world, tmp_path, symlinks=True, dirs_exist_ok=True)
    somebody = Reader(tmp_path, four_free_ports(), SHORTER, moto_address)
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
        reader.read(ROOT / "docs" / f"{name}.md")


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_it_runs_from_images_to_faces(reader: Reader, name: str, tmp_path: Path) -> None:
    """The way from nothing: the document makes the run; the next steps it prints run, too."""
    shutil.rmtree(tmp_path / "runs")
    type_in(reader, ROOT / name, ("python", *SHELL))
    assert (tmp_path / "runs" / "first" / "model.tar.gz").exists()
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")
    assert reader.follow_next_steps()


@pytest.mark.parametrize("document", OTHERS, ids=lambda it: str(it.relative_to(ROOT)))
def test_every_shell_block_runs(reader: Reader, document: Path, tmp_path: Path) -> None:
    lines = [line for block in shell_blocks(document) for line in commands_of(block.text)]
    make_way(lines, tmp_path)
    type_in(reader, document, SHELL)
    reader.follow_next_steps()


HELP = {
    name: list(help_examples(command))
    for name, command in every_command()
    if not name.startswith("facegan cloud")
}


@pytest.mark.parametrize("name", [name for name, examples in HELP.items() if examples])
def test_every_example_of_every_help_runs(reader: Reader, name: str, tmp_path: Path) -> None:
    make_way(HELP[name], tmp_path)
    reader.type_in(here(Block("sh", "\n".join(HELP[name]), 0)), None, f"{name} --help")
    reader.follow_next_steps()


def type_in(reader: Reader, document: Path, languages: tuple[str, ...]) -> None:
    """Run a document's blocks of some languages."""
    for block in blocks_of(document):
        where = f"{document.name}, line {block.line}"
        if block.language == "python" and "python" in languages:
            reader.run_python(block, where)
        elif block.language in SHELL:
            reader.type_in(here(block), None, where)


def shell_blocks(document: Path) -> list[Block]:
    return [block for block in blocks_of(document) if block.language in SHELL]


def make_way(lines: list[str], folder: Path) -> None:
    """Delete the world's own results where a command is about to make them."""
    for line in lines:
        made = re.search(r"\bfacegan\S* (?:data|train)\b.* --out (\S+)", line)
        if made and "--resume" not in line:
            shutil.rmtree(folder / made[1], ignore_errors=True)


def here(block: Block) -> Block:
    """A shell block without the lines that are run elsewhere."""
    lines = [line for line in commands_of(block.text) if not runs_elsewhere(line)]
    return Block(block.language, "\n".join(lines), block.line)


def runs_elsewhere(line: str) -> bool:
    """Whether another part of CI runs a line: each of its commands is named there."""
    found = [(start, place) for start, place in ELSEWHERE.items() if line.startswith(start)]
    for start, place in found:
        assert (ROOT / place).exists(), place
        if start.startswith("make ") and place.startswith(".ci"):
            assert start in (ROOT / place).read_text(), f"{place} does not run {start}"
    found += [(part, place) for part, place in NEEDS_DOWNLOADS.items() if part in line]
    return bool(found)
