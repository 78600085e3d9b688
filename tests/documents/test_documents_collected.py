"""Every command that a document or a help shows is run by one test or another."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from documents.blocks import (
    PROGRAMS,
    ROOT,
    SHELL,
    Example,
    blocks_of,
    document_examples,
    documents,
    every_command,
    examples_in,
    help_examples,
    next_steps,
)
from documents.substitutions import CLOUD_TEST, ELSEWHERE, SHORTER, place_of, shortened

EXAMPLES = [example for document in documents() for example in document_examples(document)]
COMMANDS = [command for example in (*EXAMPLES, *help_examples()) for command in example.commands]
NO_SHELL = ("json", "python", "py", "js", "ts", "toml", "yaml", "ini", "html", "cff", "java", "go")


def test_examples_are_found() -> None:
    sources = {example.source.partition(":")[0] for example in (*EXAMPLES, *help_examples())}
    assert {"README.md", "container/README.md", "docs/tour.md", "facegan train --help"} <= sources
    assert len(COMMANDS) > 250


@pytest.mark.parametrize("document", documents(), ids=lambda it: str(it.relative_to(ROOT)))
def test_what_a_reader_types_stands_in_blocks_marked_as_shell(document: Path) -> None:
    """Another fence would not be run."""
    for block in blocks_of(document):
        if block.language not in SHELL:
            for line in block.text.splitlines():
                words = line.removeprefix("$ ").split()
                is_typed = words[:1] and words[0] in PROGRAMS and len(words) > 1
                assert not is_typed or block.language in NO_SHELL, (
                    f"{document}:{block.line}: {line}"
                )


def test_what_runs_elsewhere_has_a_test_there() -> None:
    for place, reason in ELSEWHERE.values():
        assert (ROOT / place).exists() and reason, place
    for command in COMMANDS:
        place = place_of(command)
        if command.startswith("make ") and place.startswith(".ci"):
            words = shlex.split(command.partition("#")[0])
            assert " ".join(words[:2]) in (ROOT / place).read_text(), f"{place} runs no {command}"


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_no_row_of_what_runs_elsewhere_is_left_over(pattern: str) -> None:
    assert any(re.match(pattern, command) for command in COMMANDS)


@pytest.mark.parametrize("pattern", [it for it in SHORTER if not it.startswith("^(tensorboard")])
def test_no_substitution_is_left_over(pattern: str) -> None:
    assert any(re.search(pattern, command) for command in COMMANDS)


def test_extras_that_are_to_be_installed_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [document.read_text() for document in documents()]
    texts += [file.read_text() for file in (ROOT / "src").rglob("*.py")]
    for named in re.findall(r"\bfacegan\[([a-z, -]+)\]", "\n".join(texts)):
        assert set(re.split(r", *", named)) <= project["optional-dependencies"].keys(), named


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (name, command)
        for name, command in every_command()
        if not isinstance(command, click.Group) and not name.startswith("facegan cloud")
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_every_command_has_an_example(name: str, command: click.Command) -> None:
    """In its own help, or in that of its group."""
    group = name.rpartition(" ")[0]
    shown = [
        line
        for example in help_examples()
        if example.source in (f"{name} --help", f"{group} --help")
        for line in example.commands
    ]
    assert any(line.startswith(name) for line in shown), f"no example of {name}"


def test_examples_of_a_help_are_read_whole() -> None:
    text = (
        "Do.\n\n    \b\n    One:\n      facegan a \\\n          --b  # why\n    facegan says no.\n"
    )
    assert list(examples_in(text)) == ["facegan a --b", "facegan says no."]


@pytest.mark.parametrize(
    ("printed", "steps"),
    [
        ("draw: facegan generate r/m --seeds 0-15", ["facegan generate r/m --seeds 0-15"]),
        ("Continue it by `facegan train --out r --resume`, or", ["facegan train --out r --resume"]),
        ("  facegan invoke --seeds 1\n  curl localhost:1/ping", 2),
        ("Curves: tensorboard --logdir r", ["tensorboard --logdir r"]),
        ("Train one: facegan train --data DIR --out RUN.", []),
        ("facegan toy faces are drawn", ["facegan toy faces are drawn"]),
        ("The model is of facegan 1.2.", []),
    ],
)
def test_next_steps_are_found(printed: str, steps: list[str] | int) -> None:
    found = list(next_steps(printed))
    assert found == steps or len(found) == steps


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("facegan cloud push", CLOUD_TEST),
        ("aws sts get-caller-identity", CLOUD_TEST),
        ("printf x | aws s3 cp - s3://b/x", CLOUD_TEST),
        ("facegan invoke --endpoint faces --seeds 1", CLOUD_TEST),
        ("facegan invoke --endpoint-url http://localhost:8080 --seeds 1", ""),
        ("facegan train --data runs/toy32 --out runs/a", ""),
        ("make build VARIANT=cpu", ".ci/containers"),
    ],
)
def test_each_command_has_its_place(command: str, place: str) -> None:
    assert place_of(command) == place


def test_minutes_become_seconds() -> None:
    example = Example("x", ("facegan train --data a --out b", "facegan train --out b --resume"))
    first, second = map(shortened, example.commands)
    assert first.endswith("--total-kimg 0.064") and second.endswith("--total-kimg 0.1")
