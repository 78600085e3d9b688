"""Each command given each wrong shape of path: a sentence of what was found, and the next step."""

import json
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from facegan.cli.__main__ import EXIT_CODES, facegan, run_safely
from facegan.cli.inputs import InputPath
from facegan.path_kinds import describe_path

CODES = set(EXIT_CODES.values()) | {14}
# Shape → what it is called in the sentence.
SHAPES = {
    "missing": "does not exist",
    "empty-file": "an empty file",
    "empty-folder": "an empty folder",
    "photos.zip": "a zip archive",
    "photos.tar.gz": "a tar archive",
    "model.tar.gz": "a trained model",
    "images": "a folder of images",
    "image.png": "an image",
    "notes.txt": "a text file",
    "other.json": "a JSON file",
    "array.npy": "a NumPy array",
    "weights.pt": "a PyTorch checkpoint",
    "run": "a training run",
    "unfinished": "a training run without a model",
    "runs": "a folder of 1 run",
    "channel": "a folder with an archive, photos.zip",
    "texts": "a folder without images",
    "pipe": "a named pipe",
}
DATA = {"images"}
SOURCE = {"images", "photos.zip", "photos.tar.gz"}
MODEL = {"model.tar.gz", "run", "photos.tar.gz"}  # an archive's reader says what it lacks
RUN = {"run", "unfinished"}
OUT = ["--out", "{out}"]
# Command line with "{}" for the path, and the shapes that the command takes there.
SLOTS: list[tuple[list[str], set[str]]] = [
    (["train", "--data", "{}", *OUT], DATA),
    (["train", "--data", "{images}", "--evaluate-kimg", "1", "--evaluate-data", "{}", *OUT], DATA),
    (["train", "--out", "{}", "--resume"], RUN),
    (["evaluate", "{}", "--data", "{images}"], MODEL),
    (["evaluate", "{model}", "--data", "{}"], DATA),
    (["report", "{}"], RUN),
    (["report", "{run}", "--data", "{}"], DATA),
    (["export", "{}"], MODEL),
    (["generate", "{}", "--seeds", "1", "--out", "{out}.png"], MODEL),
    (["train", "--config", "{}", *OUT], {"empty-file", "notes.txt"}),  # its reader says the rest
    (["generate", "{model}", "--latents", "{}", "--out", "{out}.png"], {"array.npy"}),
    (["invoke", "--latents", "{}", "--out", "{out}.png"], {"array.npy"}),
    *(
        ([*words, "{}", "--out", "{out}.png"], {"images", "image.png"})
        for command in (["generate", "{model}"], ["invoke", "--endpoint-url", "http://[::1]:1"])
        for words in (
            [*command, "--image"],
            [*command, "--label-map"],
            [*command, "--label-map", "{images}/1.png", "--style"],
        )
    ),
    (["serve", "{}"], MODEL),
    (["studio", "--model", "{}"], MODEL),
    (["studio", "--model", "{model}", "--data", "{}"], DATA),
    (["data", "prepare", "{}", "--resolution", "16", *OUT], SOURCE),
    (["data", "prepare", "{images}", "--resolution", "16", "--paired", "{}", *OUT], SOURCE),
    (["data", "prepare", "{images}", "--resolution", "16", "--label-maps", "{}", *OUT], SOURCE),
    (["data", "prepare", "{images}", "--resolution", "16", "--unpaired", "{}", *OUT], SOURCE),
    (["data", "stream", "{}", *OUT], set()),
    (["data", "merge", "{}", *OUT], set()),
    (["data", "check", "{}"], set()),
    (["data", "show", "{}", "--out", "{out}.png"], set()),
]  # fmt: skip
# Paths that are read late, by their own readers, or written.
OTHERS = {"out", "cache", "inception_weights"}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Path:
    """A folder with one path of each shape."""
    root = tmp_path_factory.mktemp("shapes")
    for folder in ("empty-folder", "images", "run", "unfinished", "runs/a", "channel", "texts"):
        (root / folder).mkdir(parents=True)
    for number in range(8):
        Image.new("RGB", (16, 16), (30 * number, 0, 90)).save(root / f"images/{number}.png")
    shutil.copy(root / "images/1.png", root / "image.png")
    (root / "empty-file").touch()
    (root / "notes.txt").write_text("a list of what is to be done")
    (root / "texts/notes.txt").write_text("the same")
    (root / "other.json").write_text('{"some": ["thing", "else"]}')
    np.save(root / "array.npy", np.zeros((2, 3)))
    with zipfile.ZipFile(root / "weights.pt", "w") as archive:
        archive.writestr("weights/data.pkl", b"\x80\x02}.")
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        archive.write(root / "image.png", "1.png")
    with tarfile.open(root / "photos.tar.gz", "w:gz") as tar:
        tar.add(root / "image.png", "1.png")
    shutil.copy(root / "photos.zip", root / "channel")
    shutil.copy(model_dir / "model.tar.gz", root)
    plan = {"data": str(root / "images"), "family": "dcgan", "preset": "tiny", "resolution": 16}
    for name in ("run", "unfinished", "runs/a"):
        (root / name / "run.json").write_text(json.dumps({"plan": plan, "dataset": {}}))
    shutil.copy(model_dir / "model.tar.gz", root / "run")
    os.mkfifo(root / "pipe")
    return root


def path_options(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every (command, parameter) below a group that takes a path, but for those of `cloud`."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if (inner := command.get_command(context, name)) and name != "cloud":
                yield from path_options(inner, (*words, name))
        return
    for option in command.params:
        if isinstance(option.type, click.Path | InputPath) or option.metavar in ("DIR", "SOURCE"):
            flag = max(option.opts, key=len)
            yield " ".join(words), flag.removeprefix("--").replace("-", "_")


def test_every_path_on_the_command_line_is_tried_here() -> None:
    """A new command's paths need a row above."""
    tried = set()
    for words, _ in SLOTS:
        command = " ".join(word for word in words[:2] if re.fullmatch("[a-z]+", word))
        before = words[words.index("{}") - 1]
        tried.add((command, before.removeprefix("--").replace("-", "_")))
    for command, option in path_options(facegan):
        known = {(command, option), (command, command.split()[-1])}  # an option, or the argument
        written = command == "init"  # it writes paths into a file, and train reads them
        assert option in OTHERS or written or known & tried, f"{command}: {option}"


@pytest.mark.parametrize(("words", "taken"), SLOTS, ids=[" ".join(w) for w, _ in SLOTS])
def test_a_wrong_shape_is_named_with_what_to_do(
    words: list[str], taken: set[str], shapes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"images": shapes / "images", "model": shapes / "model.tar.gz", "run": shapes / "run",
              "out": tmp_path / "out"}  # fmt: skip
    for shape, called in SHAPES.items():
        if shape in taken:
            continue
        path = shapes / shape
        line = [word.replace("{}", str(path)).format(**places) for word in words]
        code = run_safely(facegan, line)
        message = capsys.readouterr().err
        about = f"{line}: {code}\n{message}"
        assert code in CODES and "Traceback" not in message, about
        assert message.count("Error:") == 1 and str(path) in message, about
        sentence, _, hint = message.partition("Error: ")[2].partition("\n")
        assert hint.strip() or "--latents" in line, about
        if "--latents" not in line:
            assert called in sentence, about
        assert not list(tmp_path.iterdir()), about


def test_what_is_taken_is_recognised(shapes: Path) -> None:
    kinds = {shape: describe_path(shapes / shape).text for shape in SHAPES}
    assert kinds.pop("missing") == "nothing"
    for shape, text in kinds.items():
        assert SHAPES[shape] in text, shape


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "{images}"],
        ["generate", "{model}", "--seeds", "1"],
        ["report", "{run}"],
        ["data", "prepare", "{images}", "--resolution", "16"],
        ["data", "toy", "--images", "8", "--resolution", "16"],
    ],
)
def test_an_output_that_cannot_be_written_has_one_code_in_every_command(
    words: list[str], shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Below a file, and in a folder where nobody may write; before any work is done."""
    monkeypatch.setattr("facegan.cli.generate.open_model", lambda model: pytest.fail("opened"))
    places = {"images": shapes / "images", "model": shapes / "model.tar.gz", "run": shapes / "run"}
    for out in (shapes / "notes.txt/below/out.png", Path("/proc/out.png")):
        line = [word.format(**places) for word in words]
        assert run_safely(facegan, [*line, "--out", str(out)]) == 4
        message = capsys.readouterr().err
        assert f"{out} cannot be written" in message and message.count("Error:") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("words", [["train", "--data", "{}", "--out", "o"], ["serve", "{}"]])
def test_what_may_not_be_read_is_said_to_be_so(
    words: list[str], shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As another user, whom the mode bits bind."""
    shut = Path(tempfile.mkdtemp(dir="/tmp"))
    os.seteuid(65534)
    try:
        code = run_safely(facegan, [word.replace("{}", str(shut / "x")) for word in words])
        folder_code = run_safely(facegan, [word.replace("{}", str(shut)) for word in words])
    finally:
        os.seteuid(0)
        shut.rmdir()
    message = capsys.readouterr().err
    assert code == folder_code in (3, 6) and "Traceback" not in message
    assert message.count("cannot be read: permission denied") == 2
