"""`facegan` for tests of documents: says yes where a reader would, and waits for nothing.

python sure_facegan.py SOCKET               like quick_facegan.py, which also is what calls it
"""

import sys
import time

import click
import quick_facegan

from facegan.cli import __main__ as cli
from facegan.cli.cloud import COMMANDS as CLOUD_COMMANDS


def is_asking(words: list[str]) -> bool:
    """Whether the command that words name asks before it acts."""
    command: click.Command = cli.facegan
    context = click.Context(command)
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        if found is None:
            return False
        command = found
    return any("--yes" in option.opts for option in command.params)


def wait_for_commands(place: str) -> None:
    """Fork for each command that arrives; each says yes, and sleeps for a moment only."""
    sleep, run_safely = time.sleep, cli.run_safely

    def run_surely(command: click.Command) -> int:
        words = sys.argv[1:]
        is_sure = words[:1] == ["cloud"] and "--help" not in words and is_asking(words)
        return run_safely(command, [*words, *["--yes"] * is_sure])

    time.sleep = lambda seconds: sleep(min(seconds, 0.02))
    cli.run_safely = run_surely  # type: ignore[assignment]
    for verb in (*cli.COMMANDS, *(f"cloud {it}" for it in CLOUD_COMMANDS)):
        is_asking(verb.split())  # imports it
    quick_facegan.wait_for_commands(place)


if __name__ == "__main__":
    wait_for_commands(sys.argv[1])
