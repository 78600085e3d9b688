"""The committed notebook: whole, small, ours; what it types exists. `make notebook` runs it."""

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from facegan.cli.__main__ import facegan

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "face_generation.ipynb"
MAX_BYTES = 1_000_000
SWITCH = "if ON_SAGEMAKER:"
RUNNERS = ("facegan", "try_to")
MARK = "# never run on AWS yet"


@cache
def cells(kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def outputs() -> list[dict[str, Any]]:
    return [output for cell in cells("code") for output in cell["outputs"]]


def test_it_was_run_from_top_to_bottom_without_a_failure() -> None:
    numbers = [cell["execution_count"] for cell in cells("code")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {output["output_type"] for output in outputs()} <= {"stream", "display_data"}


def test_it_is_small() -> None:
    assert NOTEBOOK.stat().st_size < MAX_BYTES


def test_it_shows_pictures() -> None:
    shown = [o for o in outputs() if "image/png" in o.get("data", {})]
    assert len(shown) >= 6  # data, training, time, curves, faces, the way between


def test_no_output_names_a_place_of_the_machine_that_ran_it() -> None:
    texts = ["".join(output.get("text", [])) for output in outputs()]
    assert not re.search(r"(?m)(?:^|[\s'\"(])(?:/[a-z]|[A-Z]:\\)", "\n".join(texts))


def test_the_switch_is_off_and_every_cell_that_costs_stands_behind_it_and_is_marked() -> None:
    code = "\n".join(map(source, cells("code")))
    assert re.search(r"^ON_SAGEMAKER = False\b", code, re.M)
    for line in code.splitlines():
        if line.startswith(SWITCH):
            assert MARK in line, line
    for cell in cells("code"):
        for node in ast.parse(source(cell)).body:
            is_paid = any(words[:1] == ["cloud"] for words in commands(node))
            assert not is_paid or ast.unparse(node).startswith(SWITCH)


def test_what_begins_to_cost_is_asked_first() -> None:
    for cell in cells("code"):
        for node in ast.parse(source(cell)).body:
            verbs = [words[1] for words in commands(node) if words[:1] == ["cloud"]]
            if {"upload", "train", "deploy"} & set(verbs):
                assert "agree(" in ast.unparse(node)
            if {"train", "deploy"} & set(verbs):
                assert verbs[0] == "costs"  # the estimate


def test_all_that_is_made_on_aws_is_deleted_by_the_last_cell() -> None:
    last = [words[1] for words in commands(ast.parse(source(cells("code")[-1])))]
    assert last == ["delete", "remove", "remove", "costs"]


def commands(tree: ast.AST) -> list[list[str]]:
    """The words of every command in a piece of code; "…" for those that are not written out."""
    lists = [words for node in ast.walk(tree) if (words := words_of(node))]
    return [
        [word.value if isinstance(word, ast.Constant) and isinstance(word.value, str) else "…"
         for word in words]
        for words in lists
    ]  # fmt: skip


def words_of(node: ast.AST) -> list[ast.expr]:
    """A command's words: what a runner is called with, or a list that a process is given."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RUNNERS:
        return [] if isinstance(node.args[0], ast.Starred) else node.args
    if isinstance(node, ast.List) and node.elts:
        is_verb = getattr(node.elts[0], "value", None) in ("train", "serve")
        return node.elts if is_verb else []
    return []


def all_commands() -> list[list[str]]:
    return [words for cell in cells("code") for words in commands(ast.parse(source(cell)))]


@pytest.mark.parametrize("words", all_commands(), ids=lambda words: " ".join(words[:2]))
def test_every_command_it_types_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = facegan
    while isinstance(command, click.Group):
        command, words = named(command, words[0]), words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {f"--{name}" for name in ("max-minutes", "tick-kimg")}  # hyperparameters of train
    given = {word for word in words if word.startswith("--")}
    assert given <= known, given - known


def named(group: click.Group, name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found, f"no command {name}"
    return found


def test_no_link_of_it_is_dead() -> None:
    text = "\n".join(map(source, cells("markdown")))
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert "://" in target or (NOTEBOOK.parent / target).exists(), target
