"""What the documents tell a reader to type exists and runs."""

import re
import runpy
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import boto3
import click
import numpy as np
import pytest
from botocore.validate import ParamValidator
from documents.blocks import ROOT, SHELL, blocks_of, commands_of, documents, help_examples

from facegan.cli.__main__ import COMMANDS as SUBCOMMANDS
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.train import command as train
from facegan.gans import FAMILIES
from facegan.hyperparameters.run_spec import RunSpec
from facegan.training import TrainingConfig
from facegan.training.run import complete_spec

DOCUMENTS = documents()
REPOSITORY_FOLDERS = ("src/", "tests/", "docs/", "docker/", "benchmarks/", "infra/", "notebooks/")
REPOSITORY_FILES = {
    file.name
    for folder in (*REPOSITORY_FOLDERS, "container/", "local_test/", ".ci/")
    for file in (ROOT / folder).rglob("*")
}
USERS_FILES = {"facegan.toml", "code/inference.py", "/opt/ml/model/code/inference.py", "helpers.py"}


def blocks(document: Path, language: str) -> list[str]:
    return [block.text for block in blocks_of(document) if block.language == language]


def typed_in(document: Path) -> Iterator[str]:
    """Every command that a document shows: in shell blocks, and between backticks in its text."""
    text = document.read_text()
    for block in blocks_of(document):
        if block.language in SHELL:
            yield from commands_of(block.text)
    yield from re.findall(r"(?<!`)`((?:facegan|make) [a-z-][^`\n]*)`(?!`)", text)


def words_of(command: str) -> Iterator[list[str]]:
    """The words of each program in a command line: pipes taken apart, settings left out."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();|&"):
            if words:
                yield words
            words = []
        elif words or not re.fullmatch(r"\w+=.*", word, re.S):
            words.append(word)


COMMANDS = [
    pytest.param(words, id=f"{document.relative_to(ROOT)}: {' '.join(words)}")
    for document in DOCUMENTS
    for command in dict.fromkeys(typed_in(document))
    for words in words_of(command)
] + [
    pytest.param(words, id=f"{example.source}: {' '.join(words)}")
    for example in help_examples()
    for command in example.commands
    for words in words_of(command)
]


def programs(name: str) -> list[Any]:
    return [given for given in COMMANDS if given.values[0][0] == name]


@pytest.mark.parametrize("words", programs("facegan"))
def test_every_facegan_command_shown_has_its_verb_and_options(words: list[str]) -> None:
    """By click's own parser; nothing is run. `…` stands for what a reader fills in."""
    command: click.Command = facegan
    context = click.Context(facegan, info_name="facegan")
    rest = [word for word in words[1:] if word != "…"]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, words
        command, context = found, click.Context(found, context, found.name)
    if command.context_settings.get("ignore_unknown_options"):
        rest = without_hyperparameters(rest)
    context.allow_extra_args = True
    try:
        given, _, _ = command.make_parser(context).parse_args([*rest])
    except click.BadOptionUsage:  # in a text an option may be named without a value
        given, _, _ = command.make_parser(context).parse_args([*rest, "VALUE"])
    for option in command.get_params(context):
        if isinstance(option.type, (click.Choice, click.IntRange, click.FloatRange)):
            value = given.get(option.name or "")
            if isinstance(value, str) and not value.isupper():
                option.type.convert(value, option, context)


def without_hyperparameters(words: list[str]) -> list[str]:
    """The words of `facegan train` less the hyperparameters of any family and the trainer."""
    known = set(TrainingConfig.model_fields)
    for family in FAMILIES.values():
        for preset in family.presets.values():
            known |= {spec.name for spec in preset.hyperparameters()}
    rest, kept = list(words), []
    own = {flag for option in train.params for flag in option.opts}
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if name.startswith("--") and name not in own | {"--help"}:
            assert name[2:].replace("-", "_") in known, f"{name} is no option"
            if not equals and rest:
                rest.pop(0)
        else:
            kept.append(word)
    return kept


@pytest.mark.parametrize("words", programs("make"))
def test_every_make_command_shown_has_its_target_and_variables(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        if equals:
            assert re.search(rf"^{name} *\??=|\$\({name}\)", makefile, re.M), word
        elif re.fullmatch(r"[a-z][a-z-]*", word):
            assert re.search(rf"^{word}:", makefile, re.M), f"make {word}"


def test_every_script_shown_exists() -> None:
    for given in COMMANDS:
        program = given.values[0][0]
        if "/" in program and not program.startswith((".venv", "/", "~", "$")):
            assert (ROOT / program).exists(), given.id


def test_make_help_lists_every_target() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^  make {target} ", told, re.M), target


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_safely(facegan, ["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in SUBCOMMANDS)


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
    spec = complete_spec(RunSpec.from_mapping({"data": "faces", **numbers}))
    assert spec.preset == "paper64"


def test_python_in_the_documents_is_python() -> None:
    for document in DOCUMENTS:
        for text in [*blocks(document, "python"), *blocks(document, "py")]:
            compile(text, str(document), "exec")


def test_the_example_of_a_cloud_action_runs() -> None:
    (example,) = blocks(ROOT / "docs" / "adding-a-cloud-action.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "docs/adding-a-cloud-action.md", "exec"), names)
    assert names["asked"] == names["calls"] and names["calls"][0].undo


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_no_link_inside_the_repository_is_dead(document: Path) -> None:
    """Files and folders are there, and headings that are linked to by GitHub's name for them."""
    for target, _, anchor in links_of(document):
        place = (document.parent / unquote(target)).resolve() if target else document
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            assert anchor in headings_of(place), f"{target}#{anchor}"


def links_of(document: Path) -> list[tuple[str, str, str]]:
    """Links to places in the repository, as path, "#" and heading."""
    text = re.sub(r"^( *)```.*?^\1```", "", document.read_text(), flags=re.M | re.S)
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    return [target.partition("#") for target in found if not re.match(r"\w+:", target)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_code_that_a_document_names_exists(document: Path) -> None:
    """Scripts, files of the repository, dotted names. The changelog names old ones, too."""
    if document.name == "CHANGELOG.md":
        return
    for name in code_named_in(document) - USERS_FILES:
        if name.startswith("facegan."):
            assert dotted_name_exists(name), name
        elif re.fullmatch(r"[\w.-]+\.(py|sh)", name):
            assert name in REPOSITORY_FILES, name
        elif name.endswith((".py", ".sh")) or name.startswith(REPOSITORY_FOLDERS):
            places = (ROOT, ROOT / "src", ROOT / "src" / "facegan", document.parent)
            assert any((place / name).exists() for place in places), name


@pytest.mark.parametrize("page", ["architecture", "adding-a-gan", "adding-a-content-type"])
def test_identifiers_in_the_pages_for_developers_exist(page: str) -> None:
    code = [file for folder in ("src", "tests") for file in (ROOT / folder).rglob("*.py")]
    words = set(re.findall(r"\w+", "\n".join(file.read_text() for file in code)))
    for name in code_named_in(ROOT / "docs" / f"{page}.md"):
        if re.fullmatch(r"\w+", name) and re.search(r"_|[a-z][A-Z]", name):
            assert name in words, name


def code_named_in(document: Path) -> set[str]:
    """Names and paths between backticks in a document's text, without calls' arguments."""
    text = re.sub(r"^( *)```.*?^\1```", "", document.read_text(), flags=re.M | re.S)
    return {name for name in re.findall(r"`([\w./-]+)(?:\([^`\n]*\))?`", text) if "//" not in name}


def dotted_name_exists(name: str) -> bool:
    """Whether a module exists, or the one before the last dot holds that word."""
    path = ROOT / "src" / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    owner = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
    return owner.exists() and re.search(rf"\b{path.name}\b", owner.read_text()) is not None


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def headings_of(document: Path) -> set[str]:
    """The names that GitHub gives to a document's headings."""
    text = re.sub(r"^( *)```.*?^\1```", "", document.read_text(), flags=re.M | re.S)
    names: list[str] = []
    for heading in re.findall(r"^#+ (.*?)\s*$", text, re.M):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return set(names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_lists_are_read_alike_by_github_and_mkdocs(document: Path) -> None:
    """What stands inside a list is indented by four; a list after a text has a line before."""
    text = re.sub(r"^( *)```.*?^\1```", r"\1|", document.read_text(), flags=re.M | re.S)
    before = ""
    for line in text.splitlines():
        is_item = re.match(r" *([-*]|\d+\.) ", line)
        if is_item or line.lstrip().startswith("|"):
            assert (len(line) - len(line.lstrip())) % 4 == 0, line
        if is_item:
            assert re.match(r"$| |#|([-*]|\d+\.) ", before), f"no empty line before: {line}"
        before = line


def test_the_arrows_in_the_architecture_are_those_of_the_rooms() -> None:
    """The table in words, less what lies on the ground floor."""
    drawing = runpy.run_path(str(ROOT / "docs" / "site" / "draw_rooms.py"))
    ours, floors = drawing["table"]()
    words = re.sub(r",\n +", ", ", (ROOT / "docs" / "architecture.md").read_text())
    told = dict(re.findall(r"^(?:floor \d)?\s+(\w+)\s+→\s+([a-z0-9_, ]+)$", words, re.M))
    for room, others in ours.items():
        arrows = set(others) - set(floors[0])
        assert set(re.findall(r"\w+", told.get(room, ""))) == arrows, room
        assert f"| `{room}` |" in words


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    index = (decisions / "README.md").read_text()
    for file in sorted(decisions.glob("0*.md")):
        number, title = file.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
        assert f"- [{number}. {title}]({file.name})" in index, file.name


def test_the_picture_of_rooms_is_current() -> None:
    """`python docs/site/draw_rooms.py` draws it from the table in tests/test_rooms.py."""
    drawing = runpy.run_path(str(ROOT / "docs" / "site" / "draw_rooms.py"))
    assert drawing["PICTURE"].read_text() == drawing["picture"](), "make rooms"


def test_the_table_of_presets_says_what_presets_say() -> None:
    """`python docs/site/preset_costs.py` prints it: lengths, batches and memory are the code's."""
    costs = runpy.run_path(str(ROOT / "docs" / "site" / "preset_costs.py"))
    page = (ROOT / "docs" / "training.md").read_text().splitlines()
    for line in costs["table"]():
        assert line in page, "python docs/site/preset_costs.py"


def test_no_placeholder_is_left() -> None:
    for document in DOCUMENTS:
        assert "@@" not in document.read_text(), document
