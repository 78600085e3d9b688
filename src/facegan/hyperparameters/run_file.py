"""Reads and writes run.toml: a run's settings in a file, each explained by a comment."""

import json
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from facegan.errors import RunFileError, reason_of
from facegan.hyperparameters.run_spec import RunSpec
from facegan.hyperparameters.setting import Preset
from facegan.hyperparameters.training import TrainingConfig, unused_reason

RUN_FILE_NAME = "run.toml"
LARGEST_FILE = 2**20  # bytes; ours have 10,000
FLAGS_ALONE = ("out", "resume", "processes", "config")
HEADER = """\
# Settings of a training run. Run it with: facegan train --config {name}{data} --out RUN
# Flags go before this file. A setting that is deleted or commented out takes its default. The
# values are those of the preset below: `facegan init --preset …` writes another's."""


def read_run_file(path: Path) -> dict[str, Any]:
    """Read the settings in a run.toml; their names and ranges are not checked yet.

    Raises:
        RunFileError: the file cannot be read, is not TOML, or holds something that is not a
            setting; it names the file and the key.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE:,} bytes")
        values = tomllib.loads(content.decode())
    except FileNotFoundError:
        raise RunFileError(
            f"{path} does not exist.", f"Write one: facegan init --out {path}"
        ) from None
    except UnicodeDecodeError as cause:
        raise RunFileError(f"{path} is not a text in UTF-8 (byte {cause.start}).") from None
    except tomllib.TOMLDecodeError as cause:
        hint = 'Each setting is a line such as: preset = "toy32"'
        raise RunFileError(f"{path} is not TOML: {cause}.", hint) from None
    except (OSError, ValueError) as cause:
        raise RunFileError(f"{path} cannot be read: {reason_of(cause)}.") from None
    settings: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in FLAGS_ALONE:
            hint = f"Leave it out of the file, and give it to facegan train as --{name}."
            raise RunFileError(f"{path}: {key} is not a setting of a run.", hint)
        if name in settings:
            raise RunFileError(f"{path}: {name} is set twice.", "Set it once.")
        if not isinstance(value, str | int | float):
            kind = type(value).__name__  # a date, or a time
            what = {"dict": "a table", "list": "a list"}.get(kind, f"a {kind}")
            hint = "Every setting is one number, text, true or false, outside of tables."
            raise RunFileError(f"{path}: {key} is {what}.", hint)
        settings[name] = value
    return settings


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A setting in run.toml: meaning, range and value; a comment if it is not active."""

    name: str
    value: Any
    help: str
    range: str = ""
    is_active: bool = True

    def lines(self) -> Iterator[str]:
        """Yield its comment and its line."""
        comment = self.help
        if comment.split()[0].isalpha():  # others are names, such as torch.compile
            comment = comment[0].upper() + comment[1:]
        yield from textwrap.wrap(
            f"{comment}.{self.range}", 99, initial_indent="# ", subsequent_indent="# "
        )
        value = "" if self.value is None else toml_value(self.value)
        line = f"{self.name} = {value}".rstrip()
        yield line if self.is_active and self.value is not None else f"# {line}"


def run_file_text(
    spec: RunSpec, preset: Preset, config: TrainingConfig, name: str = RUN_FILE_NAME
) -> str:
    """Return a run.toml with every setting of a run and its meaning.

    Args:
        spec: The run; settings that it does not name are comments.
        preset: Its preset, with the run's changes.
        config: Its complete training configuration; settings without effect are comments.
        name: The file's name, for the command that runs it.
    """
    parts = [HEADER.format(name=name, data="" if spec.data else " --data DIR")]
    sections = (
        ("The run", run_entries(spec)),
        (f"The preset: {spec.family} {spec.preset}", preset_entries(preset)),
        ("The trainer", training_entries(config, spec)),
    )
    for title, entries in sections:
        parts.append(f"# --- {title} ".ljust(100, "-"))
        parts += ["\n".join(entry.lines()) for entry in entries]
    return "\n\n".join(parts) + "\n"


def run_entries(spec: RunSpec) -> Iterator[Entry]:
    """Yield the run's own settings."""
    for name, field in spec.own_settings().items():
        yield Entry(name, getattr(spec, name), field.metadata["help"], range_of(**field.metadata))


def preset_entries(preset: Preset) -> Iterator[Entry]:
    """Yield the preset's hyperparameters."""
    for field in preset.hyperparameters():
        facts = field.metadata
        yield Entry(field.name, getattr(preset, field.name), facts["help"], range_of(**facts))


def training_entries(config: TrainingConfig, spec: RunSpec) -> Iterator[Entry]:
    """Yield the trainer's hyperparameters."""
    for name, field in TrainingConfig.model_fields.items():
        bounds = {
            key: getattr(rule, key)
            for rule in field.metadata
            for key in LIMITS
            if hasattr(rule, key)
        }
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        is_derived = name == "tick_kimg" and name not in spec.hyperparameters
        is_active = not is_derived and unused_reason(name, config) is None
        text = range_of(choices=choices, **{LIMITS[key]: value for key, value in bounds.items()})
        yield Entry(name, getattr(config, name), field.description or name, text, is_active)


LIMITS = {"ge": "low", "le": "high", "gt": "above", "lt": "below"}  # pydantic's names, ours


def range_of(choices: tuple[str, ...] = (), help: str = "", **limits: float) -> str:
    """Return a setting's range as the end of its comment."""
    if choices:
        return f" One of: {', '.join(choices)}."
    finite = {key: value for key, value in limits.items() if abs(value) != float("inf")}
    words = {"low": "at least", "above": "more than", "high": "at most", "below": "less than"}
    parts = [f"{words[key]} {finite[key]:,.10g}" for key in words if key in finite]
    return f" {' and '.join(parts).capitalize()}." if parts else ""


def toml_value(value: str | int | float | bool) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, str):  # TOML has all of JSON's escapes, and requires one more
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
