"""Finds the examples that commands show: in `--help`, and as the next step in what they print."""

import re
from collections.abc import Iterator

import click

from facegan.cli.__main__ import facegan

PROGRAMS = ("facegan", "torchrun", "curl", "pip", "aws")
# `facegan report RUN` in backticks, or behind a label to the end of the line: draw: facegan …
NEXT_STEP = re.compile(r"`(facegan [^`]+)`|^(?:.*?[:,;] )?(facegan [a-z][^`\n]*)$", re.M)
PLACEHOLDER = re.compile(r"…|\b[A-Z]{3,}\b(?!=)|\bN\b")


def every_command(
    command: click.Command = facegan, name: str = "facegan", parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Each command with its words, as ("facegan cloud train", …), groups before what is in them."""
    context = click.Context(command, parent, info_name=name.rpartition(" ")[2])
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from every_command(found, f"{name} {below}", context)


def help_examples(command: click.Command) -> Iterator[str]:
    """The commands that a command's help shows, each whole on one line."""
    joined = re.sub(r"\\\n\s*", " ", command.help or "")
    for line in joined.splitlines():
        if re.match(rf" +({'|'.join(PROGRAMS)}) ", line):
            yield re.sub(r"\s+#.*", "", line.strip())


def next_steps(printed: str) -> Iterator[str]:
    """The commands that a command's output tells the reader to type, without placeholders."""
    for found in NEXT_STEP.finditer(printed):
        line = (found[1] or found[2]).strip().rstrip(".")
        if not PLACEHOLDER.search(line) and " --help" not in line:
            yield re.sub(r"\s+\(.*\)$|\s+#.*", "", line)
