"""Collects what readers are told to type: blocks of documents, examples of helps, next steps."""

import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from facegan.cli.__main__ import facegan

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", "runs", "build", "node_modules"}
PROGRAMS = ("facegan", "torchrun", "tensorboard", "curl", "pip", "aws", "make", "docker", "python")
# These call AWS: tests/documents/test_cloud_documents.py runs them.
CLOUD = re.compile(
    r"^(facegan cloud|make push|aws) |\| aws |^make push$"
    r"|^facegan (invoke|studio) .*--endpoint (?!http)"
)
# `facegan report RUN` in backticks, or from a line's start or a label to the line's end.
NAMED = rf"(?:{'|'.join(PROGRAMS)}) [^`\n]*"
NEXT_STEP = re.compile(rf"`({NAMED})`|(?:^|[:,;] )[ \t]*({NAMED})$", re.M)
PLACEHOLDER = re.compile(r"…|\b[A-Z]{3,}\d?\b(?!=)|\bN\b")
FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```", re.M | re.S)
SHELL = ("sh", "bash")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence; "" where nothing does.
        text: Its lines, without the indentation of a list it stands in.
        line: Where it begins, from 1.
    """

    language: str
    text: str
    line: int


def blocks_of(document: Path) -> list[Block]:
    """All blocks of a document."""
    text = document.read_text()
    return [
        Block(found[2], re.sub(f"^{found[1]}", "", found[3], flags=re.M),
              text[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]  # fmt: skip


def answers_of(blocks: list[Block]) -> list[tuple[Block, Block | None]]:
    """Each block with the JSON block that shows its answer, where that is the next one of all."""
    nexts = [*blocks[1:], None]
    return [
        (block, after if after is not None and after.language == "json" else None)
        for block, after in zip(blocks, nexts, strict=True)
    ]


def commands_of(text: str) -> list[str]:
    """The lines of a shell block: continued ones joined, comments and empty ones left out."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


@dataclass(frozen=True)
class Example:
    """Commands that stand together in a document or in a help.

    Attributes:
        source: Where: "docs/tour.md:125" or "facegan cloud train --help".
        commands: Each on one line.
    """

    source: str
    commands: tuple[str, ...]


def documents() -> list[Path]:
    """Return every Markdown file of the repository."""
    found = []
    for folder, below, files in os.walk(ROOT):
        below[:] = sorted(
            name for name in below if name not in NOT_OURS and not name.startswith(".venv")
        )
        found += [Path(folder) / name for name in sorted(files) if name.endswith(".md")]
    return found


def document_examples(document: Path) -> list[Example]:
    """Return the shell blocks of a document."""
    name = document.relative_to(ROOT)
    return [
        Example(f"{name}:{block.line}", tuple(commands_of(block.text)))
        for block in blocks_of(document)
        if block.language in SHELL
    ]


def help_examples() -> list[Example]:
    """Return the examples that every command's `--help` shows, groups before their commands."""
    return [
        Example(f"{name} --help", commands)
        for name, command in every_command()
        if (commands := tuple(examples_in(command.help or "")))
    ]


def every_command(
    command: click.Command = facegan, name: str = "facegan", parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its words, as ("facegan cloud train", …)."""
    context = click.Context(command, parent, info_name=name.rpartition(" ")[2])
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from every_command(found, f"{name} {below}", context)


def examples_in(text: str) -> Iterator[str]:
    """Yield the commands in a help's preformatted paragraphs, each whole on one line."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            for line in commands_of(paragraph[2:]):
                if line.startswith(tuple(f"{program} " for program in PROGRAMS)):
                    yield line


def next_steps(printed: str) -> Iterator[str]:
    """Yield the commands that an output tells the reader to type, without placeholders."""
    for found in NEXT_STEP.finditer(printed):
        line = (found[1] or found[2]).strip().rstrip(".")
        if not PLACEHOLDER.search(line):
            yield re.sub(r"\s+\(.*\)$|\s+#.*", "", line)


def is_cloud(command: str) -> bool:
    """Whether a command calls AWS, so that test_cloud_documents.py runs it."""
    return bool(CLOUD.search(command))
