"""Prints errors as the person at the command line knows things: by the flags, and in plain text."""

import os
import re
from collections.abc import Mapping, Sequence

import click

# A name of the shared rooms, but not within a path, a longer word or something quoted as JSON.
WORD = r"(?<![\w/.$\"{{-])(['\"]?)({names})\1(?![\w/\"-]|\.\w)"


def print_error(message: str, hint: str = "") -> None:
    """Print an error and what to do about it; red where the terminal takes colours."""
    click.secho(f"Error: {message}", fg="red", err=True, color=is_coloured())
    if hint:
        click.echo(hint, err=True)


def is_coloured() -> bool | None:
    """False where colours are not wanted (no-color.org) or not understood; None: click decides."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None


def named_command(group: click.Command, arguments: Sequence[str]) -> click.Command:
    """The command that a command line names, as far as its words are commands."""
    found = group
    for word in arguments:
        if not isinstance(found, click.Group):
            break
        if not word.startswith("-"):
            if word not in found.list_commands(click.Context(found)):
                break
            inner = found.get_command(click.Context(found), word)
            if inner is None:
                break
            found = inner
    return found


def flags_of(command: click.Command, arguments: Sequence[str]) -> dict[str, str]:
    """How a command's options are written, by their names in the shared rooms.

    Hyperparameters, which `train` takes as flags without declaring them, are among them, and so are
    the flags that were typed, known or not.
    """
    flags = {name: flag for name in getattr(command, "hyperparameter_names", list)()
             for flag in [to_flag(name)]}  # fmt: skip
    for word in arguments:
        if word.startswith("--") and len(word) > 2:
            typed = word.partition("=")[0]
            flags[typed.removeprefix("--").replace("-", "_")] = typed
    for option in command.params:
        if isinstance(option, click.Option) and option.name:
            flags[option.name] = max(option.opts, key=len)
    return flags


def to_flag(name: str) -> str:
    """A hyperparameter's name as a flag."""
    return "--" + name.replace("_", "-")


def with_flags(text: str, flags: Mapping[str, str], offers_flags: bool = False) -> str:
    """A sentence of the shared rooms, with options named as they are typed.

    Names of several words are translated anywhere. One of a single word may be an everyday word,
    and is translated only where it stands as a name.

    Args:
        text: The sentence.
        flags: What :func:`flags_of` returned.
        offers_flags: Whether "Did you mean …?" in it offers options.
    """
    long = [name for name in flags if "_" in name]
    if long:
        pattern = WORD.format(names="|".join(map(re.escape, sorted(long, key=len, reverse=True))))
        text = re.sub(pattern, lambda match: flags[match[2]], text)

    def flag(match: "re.Match[str]") -> str:
        return flags.get(match["name"], match[0])

    text = re.sub(r"^(?P<name>\w+)(?=(\[\d+\])*(:| is | was | names | gives ))", flag, text)
    text = re.sub(r"(?<![\w-])(?P<name>[a-z]\w*)(?==\S+ \(now )", flag, text)
    text = re.sub(r"(?<=Name one by )(?P<name>\w+)(?=: )", flag, text)
    text = re.sub(r"(?<=Leave )(?P<name>\w+)(?= out)", flag, text)
    lists = re.compile(r"(?:[\w-]+, )+[\w-]+")  # if one of a list is a flag, the others are
    text = lists.sub(
        lambda found: (
            re.sub(r"(?<![\w-])(?P<name>[a-z]\w*)", flag, found[0])
            if "--" in found[0]
            else found[0]
        ),
        text,
    )
    text = re.sub(r"(?<=hyperparameter )['\"]?(?P<name>[\w-]+)['\"]?", flag, text)
    if offers_flags:
        offer = re.search(r"Did you mean [^?]*\?", text)
        if offer:
            named = re.sub(r"(?<![-\w])(?P<name>[a-z]\w*)", flag, offer[0])
            text = text.replace(offer[0], named)
    return text


def without_json(hint: str) -> str:
    """A hint for the command line: examples of JSON requests are none."""
    return "" if hint.startswith("Example: {") or '{"seeds"' in hint else hint
