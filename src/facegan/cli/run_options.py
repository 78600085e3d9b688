"""The options that describe a training run: for `facegan train`, and `facegan init`."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import click

from facegan.cli.error_printer import to_flag
from facegan.environment import plain_hyperparameters
from facegan.errors import normalize_name
from facegan.gans.families import (
    FAMILIES,
    find_family,
    find_preset,
    installed_families,
    packages_of,
)
from facegan.hyperparameters.aliases import ALIASES
from facegan.hyperparameters.run_spec import DEFAULT_FAMILY, DEFAULT_RESOLUTION, RunSpec
from facegan.hyperparameters.training import TrainingConfig
from facegan.path_kinds import describe_path

OWN = RunSpec.own_settings()
FLAGS = (*OWN, "config", "out", "processes", "resume")


class RunCommand(click.Command):
    """A command that takes a run's hyperparameters as flags, and lists them in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        for title, rows in hyperparameter_rows(*named_preset(ctx.args)):
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = [with_dashes(word) for word in args]
        ctx.args = list(args)  # --help is handled while parsing, and needs the family
        return super().parse_args(ctx, args)

    def hyperparameter_names(self) -> list[str]:
        """Return every name that may be given as a flag, of any built-in family."""
        presets = [next(iter(family.presets.values())) for family in FAMILIES.values()]
        numbers = [field.name for preset in presets for field in preset.hyperparameters()]
        return [*numbers, *TrainingConfig.model_fields, *FLAGS]


UNDECLARED_FLAGS = {"ignore_unknown_options": True, "allow_extra_args": True}


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a flag for each of RunSpec's own settings, and the hyperparameters as arguments."""
    command = click.argument("hyperparameters", nargs=-1, type=click.UNPROCESSED)(command)
    for name, field in reversed(OWN.items()):
        facts = field.metadata
        text, _, default = as_flags(facts["help"]).partition(" (default: ")
        text = f"{text[0].upper()}{text[1:]}." + (f"  [default: {default[:-1]}]" if default else "")
        kind: Any = click.Choice(facts["choices"]) if facts["choices"] else str
        if name == "resolution":
            kind = click.IntRange(facts["low"], facts["high"])
        metavar = "DIR" if name.endswith("data") else "NAME" if name.endswith("split") else None
        command = click.option(to_flag(name), name, type=kind, metavar=metavar, help=text)(command)
    return command


def as_flags(text: str) -> str:
    """Return a help text with settings' names as flags."""
    return re.sub(rf"\b({'|'.join(name for name in [*OWN, 'evaluate_kimg'] if '_' in name)})\b",
                  lambda found: to_flag(found[0]), text)  # fmt: skip


def with_dashes(word: str) -> str:
    """Return a flag as it is written here: --batch_size is --batch-size."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def named_preset(args: list[str]) -> tuple[str, str]:
    """Return the family and preset named on a command line that is still being parsed."""
    named = dict(pairwise(part for word in args for part in word.split("=", 1)))
    family = find_family(named.get("--family", DEFAULT_FAMILY))
    resolution = named.get("--resolution", "")
    side = int(resolution) if resolution.isdecimal() else DEFAULT_RESOLUTION
    return family.name, named.get("--preset") or family.default_preset(side)


def hyperparameter_rows(family: str, preset: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield titled tables for the help: the presets, the preset's numbers and the trainer's."""
    found = find_family(family)
    numbers = find_preset(found, preset)
    listed = {**FAMILIES, family: found}.values()
    yield (
        "Families and presets",
        [
            *((f"{it.name} {name}", p.about) for it in listed for name, p in it.presets.items()),
            *((f"{name} …", f"of {packages_of(entries)}: --family {name} --help")
              for name, entries in installed_families().items() if name != family),
        ],
    )  # fmt: skip
    yield (
        f"Hyperparameters of {family}, with the values of {preset}",
        [
            (to_flag(field.name), f"{field.metadata['help']}  [{getattr(numbers, field.name)}]")
            for field in numbers.hyperparameters()
        ],
    )
    defaults = TrainingConfig().completed_by(numbers)
    yield (
        "Hyperparameters of the trainer",
        [
            (to_flag(name), f"{field.description}  [{getattr(defaults, name)}]")
            for name, field in TrainingConfig.model_fields.items()
        ],
    )


def parse_flags(args: list[str]) -> dict[str, str]:
    """Return `--some-name value` and `--some-name=value` as a mapping of hyperparameters.

    Raises:
        UsageError: a value without a flag, or a flag without a value.
        ConfigError: a flag is given in two spellings.
    """
    values: dict[str, str] = {}
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise click.UsageError(stray(word))
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if rest and not rest[0].startswith("--"):
                value = rest.pop(0)
            elif normalize_name(name) not in ALIASES:  # a switch elsewhere
                raise click.UsageError(f"--{name} needs a value, as --{name} VALUE.")
        values[name.replace("-", "_")] = value
    return plain_hyperparameters(values)


def stray(word: str) -> str:
    """Return what to say of a word that belongs to no flag; a path is recognised."""
    message = f"What is {word!r}? Hyperparameters are written --name value."
    match describe_path(word).kind:
        case "images" | "data set" | "zip" | "archives":
            return f"{message} The folder of images is given as --data {word}."
        case "run" | "unfinished run":
            return f"{message} A run is continued by --out {word} --resume."
    return message
