"""Command groups that import a command when it is named: `invoke` must not load torch.

Importing every command takes seconds, `facegan --help` a tenth of one.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from facegan.errors import did_you_mean


@dataclass(frozen=True)
class LazyCommand:
    """A command before it is imported: its module, its line of help, its name in the module."""

    module: str
    summary: str
    attribute: str = "command"


class LazyGroup(click.Group):
    """A command group that imports the file of a command when it is named, not before.

    Args:
        lazy_commands: name → where it is; in the order of the help.
        title: The heading of the commands in the help.
    """

    def __init__(
        self,
        *args: Any,
        lazy_commands: Mapping[str, LazyCommand],
        title: str = "Commands",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy_commands, self.title = lazy_commands, title

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.lazy_commands:
            hint = did_you_mean(name, tuple(self.lazy_commands), "commands")
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        lazy = self.lazy_commands[name]
        command: click.Command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(self.title):
            formatter.write_dl([(name, it.summary) for name, it in self.lazy_commands.items()])
