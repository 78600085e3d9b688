"""Prints errors in the words of the command line: with flags instead of Python names."""

import os
import re
from collections.abc import Mapping, Sequence

import click

# An option's Python name, but not within a path, a longer word or quoted JSON.
NAME = r"(?<![\w/.$\"{{-])(['\"]?)({names})\1(?![\w/\"-]|\.\w)"
# One of a single word may be an everyday word: only where it stands as a name.
SINGLE_NAMES = (
    r"^(?P<name>\w+)(?=(\[\d+\])*(:| is | was | names | gives ))",
    r"(?<![\w-])(?P<name>[a-z]\w*)(?==\S+ \(now )",
    r"(?<=Name one by )(?P<name>\w+)(?=: )",
    r"(?<=Leave )(?P<name>\w+)(?= out)",
)
LIST = r"(?:[\w-]+, )+[\w-]+"
HYPERPARAMETER = r"(?<=hyperparameter )['\"]?(?P<name>[\w-]+)['\"]?"


def print_error(message: str, hint: str = "") -> None:
    """Print an error and what to do about it; red where the terminal takes colours."""
    click.secho(f"Error: {message}", fg="red", err=True, color=is_coloured())
    if hint:
        click.echo(hint, err=True)


def is_coloured() -> bool | None:
    """Return False where NO_COLOR (no-color.org) or the terminal forbids colours; else None."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None


def find_command(group: click.Command, arguments: Sequence[str]) -> click.Command:
    """Return the innermost command that a command line names."""
    found = group
    for word in arguments:
        if not isinstance(found, click.Group):
            break
        if not word.startswith("-"):
            context = click.Context(found)
            if word not in found.list_commands(context):
                break
            inner = found.get_command(context, word)
            if inner is None:
                break
            found = inner
    return found


def flags_by_name(command: click.Command, arguments: Sequence[str]) -> dict[str, str]:
    """Return the flags of a command by their Python names.

    These include hyperparameters, which `train` takes as flags without declaring them, and the
    flags that were typed, known or not.
    """
    names: list[str] = getattr(command, "hyperparameter_names", list)()
    flags = {name: to_flag(name) for name in names}
    for word in arguments:
        if word.startswith("--") and len(word) > 2:
            typed = word.partition("=")[0]
            flags[typed.removeprefix("--").replace("-", "_")] = typed
    for option in command.params:
        if isinstance(option, click.Option) and option.name:
            flags[option.name] = max(option.opts, key=len)
    return flags


def to_flag(name: str) -> str:
    """Return a hyperparameter's name as a flag."""
    return "--" + name.replace("_", "-")


def with_flags(text: str, flags: Mapping[str, str], offers_flags: bool = False) -> str:
    """Replace options' Python names in a sentence by their flags.

    Args:
        text: The sentence.
        flags: From :func:`flags_by_name`.
        offers_flags: Whether "Did you mean …?" in it offers options.
    """
    long = sorted((name for name in flags if "_" in name), key=len, reverse=True)
    if long:
        pattern = NAME.format(names="|".join(map(re.escape, long)))
        text = re.sub(pattern, lambda match: flags[match[2]], text)

    def flag(match: "re.Match[str]") -> str:
        return flags.get(match["name"], match[0])

    def all_flags(match: "re.Match[str]") -> str:
        return re.sub(r"(?<![-\w])(?P<name>[a-z]\w*)", flag, match[0])

    for pattern in SINGLE_NAMES:
        text = re.sub(pattern, flag, text)
    # if one item of a list is a flag, the others are
    text = re.sub(LIST, lambda match: all_flags(match) if "--" in match[0] else match[0], text)
    text = re.sub(HYPERPARAMETER, flag, text)
    return re.sub(r"Did you mean [^?]*\?", all_flags, text, count=1) if offers_flags else text


def without_json(hint: str) -> str:
    """Return a hint; nothing if it is an example of a JSON request."""
    return "" if hint.startswith("Example: {") or '{"seeds"' in hint else hint
