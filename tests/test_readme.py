"""What the documents tell a reader to type exists and runs."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import click
import numpy as np
import pytest
from botocore.validate import ParamValidator

from facegan.cli.__main__ import VERBS, facegan, run_safely
from facegan.cli.train import plan_run

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


def shell_lines() -> list[str]:
    texts = [
        line for doc in DOCUMENTS for block in blocks(doc, "sh") for line in block.splitlines()
    ]
    return sorted({line.split("#")[0].strip() for line in texts} - {""})


def split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """The verbs that lead to a command, and what it is given."""
    command: click.Command | None = facegan
    verbs: list[str] = []
    while isinstance(command, click.Group):
        verbs.append(words[len(verbs)])
        command = command.get_command(click.Context(command), verbs[-1])
    assert command, " ".join(verbs)
    return verbs, words[len(verbs) :]


@pytest.mark.parametrize("line", [x for x in shell_lines() if x.startswith("facegan ")])
def test_every_facegan_command_shown_has_its_options(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verbs, words = split_command(line.split()[1:])
    run_safely(facegan, [*verbs, "--help"])
    told = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in told, f"{line}: {word} is no option"


def test_every_make_target_mentioned_exists() -> None:
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", document.read_text(), re.M)
    }
    makefile = (ROOT / "Makefile").read_text()
    planned = {"build", "push"}  # the README says that they are not written yet
    for target in named - planned:
        assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"


def test_make_help_lists_every_target() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^  make {target} ", told, re.M), target


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_safely(facegan, ["--help"]) == 0
    told = capsys.readouterr().out
    assert all(verb in told for verb in VERBS)


def test_the_line_in_the_architecture_runs(images_dir: Path, tmp_path: Path) -> None:
    (line,) = blocks(ROOT / "docs" / "architecture.md", "python")[:1]
    names = {"images_dir": images_dir, "model_dir": tmp_path}
    exec(compile(line, "docs/architecture.md", "exec"), names)
    faces = names["faces"]
    assert isinstance(faces, np.ndarray) and faces.shape == (3, 32, 32, 3)


def test_the_training_job_in_the_documents_is_one_that_aws_accepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By botocore's own model of CreateTrainingJob, and by our reading of its hyperparameters."""
    asked: dict[str, Any] = {}
    service = boto3.client("sagemaker", region_name="us-east-1")
    fake = SimpleNamespace(create_training_job=lambda **arguments: asked.update(arguments))
    monkeypatch.setattr(boto3, "client", lambda name: fake)
    (job,) = blocks(ROOT / "docs" / "sagemaker.md", "python")
    places = {
        "image": "i",
        "bucket": "s3://b",
        "pictures": "s3://b/p",
        "role": "arn:aws:iam::123456789012:role/r",
    }
    exec(compile(job, "docs/sagemaker.md", "exec"), places)
    shape = service.meta.service_model.operation_model("CreateTrainingJob").input_shape
    assert ParamValidator().validate(asked, shape).generate_report() == ""
    numbers = asked["HyperParameters"]
    named = {name: numbers.pop(name) for name in ("family", "resolution")}
    assert plan_run({"data": "faces", **named}, numbers)["preset"] == "paper64"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_no_link_inside_the_repository_is_dead(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_no_placeholder_is_left() -> None:
    for document in DOCUMENTS:
        assert "@@" not in document.read_text(), document
