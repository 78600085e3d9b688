"""Groups of commands that import a command when it is named: `invoke` must not load torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from facegan.errors import did_you_mean


@dataclass(frozen=True)
class LazyCommand:
    """A command before it is imported.

    Args:
        module: The file that has it, as ``command`` or as ``attribute``.
        summary: Its line in the group's help.
        attribute: Its name in the file.
    """

    module: str
    summary: str
    attribute: str = "command"


class LazyGroup(click.Group):
    """A command group that imports a verb's file when the verb is named, not before.

    Args:
        verbs: name → where it is; in the order of the help.
        title: What stands above them in the help.
    """

    def __init__(
        self, *given: Any, verbs: Mapping[str, LazyCommand], title: str = "Commands", **others: Any
    ) -> None:
        super().__init__(*given, **others)
        self.verbs, self.title = verbs, title

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.verbs:
            hint = did_you_mean(name, tuple(self.verbs), "commands")
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        verb = self.verbs[name]
        command: click.Command = getattr(importlib.import_module(verb.module), verb.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(self.title):
            formatter.write_dl([(name, verb.summary) for name, verb in self.verbs.items()])
