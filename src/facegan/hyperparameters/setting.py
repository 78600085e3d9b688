"""Hyperparameters that know their meaning, type and range, and presets of them. No torch here."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, get_type_hints

from facegan.errors import ConfigError, did_you_mean


def setting(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
) -> Any:
    """A hyperparameter: a dataclass field that knows its meaning and its allowed range."""
    facts = {"help": help, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A family's numbers, named and validated at birth. Families add their own fields.

    Raises:
        ConfigError: a value is outside the range its field declares.
    """

    about: str = ""
    # What the trainer does unless it is told otherwise: names and values of TrainingConfig.
    recipe: Mapping[str, Any] = field(default_factory=dict)
    latent_dim: int = setting("width of a latent vector", default=100, low=1, high=4096)
    conditional: bool = setting(
        "learn the classes of a labelled data set apart; some families cannot", default=False
    )
    # How many there are: no wish but a fact of the data, filled in when networks are built.
    classes: int = 0

    def __post_init__(self) -> None:
        for spec in self.hyperparameters():
            check_range(spec, getattr(self, spec.name))

    @classmethod
    def hyperparameters(cls) -> list[dataclasses.Field[Any]]:
        """The fields a user may change, in order: those declared by :func:`setting`."""
        return [spec for spec in dataclasses.fields(cls) if "help" in spec.metadata]

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some hyperparameters changed; values may be strings, as SageMaker sends them.

        Raises:
            ConfigError: an unknown name (the nearest are offered), a value that does not convert.
        """
        types = get_type_hints(type(self))
        known = tuple(spec.name for spec in self.hyperparameters())
        for name in changes:
            if name not in known:
                raise ConfigError(f"Unknown hyperparameter {name!r}.", did_you_mean(name, known))
        converted = {name: convert(name, types[name], raw) for name, raw in changes.items()}
        return dataclasses.replace(self, **converted)

    def as_dict(self) -> dict[str, Any]:
        """The hyperparameters as plain JSON values: what a model card needs to rebuild networks."""
        return {spec.name: getattr(self, spec.name) for spec in self.hyperparameters()}


def check_range(spec: "dataclasses.Field[Any]", value: Any) -> None:
    """Refuse a value outside what the field declares."""
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if choices and value not in choices:
        raise ConfigError(
            f"{spec.name} is {value!r}.", did_you_mean(str(value), choices, "choices")
        )
    if isinstance(value, int | float) and not low <= value <= high:
        raise ConfigError(f"{spec.name} is {value}.", f"It must lie between {low:g} and {high:g}.")


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
BOOLS = {"true": True, "1": True, "yes": True, "on": True,
         "false": False, "0": False, "no": False, "off": False}  # fmt: skip


def convert(name: str, kind: type, raw: Any) -> Any:
    """A value of the wanted type from a string, a number or a JSON value.

    Raises:
        ConfigError: the value cannot be read as that type.
    """
    try:
        if kind is bool:
            return BOOLS[str(raw).strip().lower()]
        if kind is int and (isinstance(raw, bool) or not isinstance(raw, int)):
            number = float(str(raw))  # "1e3" and "10.0" are whole numbers too
            if not number.is_integer():
                raise ValueError(raw)
            return int(number)
        if kind is float and isinstance(raw, bool):
            raise ValueError(raw)
        value = kind(raw)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ConfigError(f"{name} is {raw!r}.", must_be(KINDS.get(kind, "a value"), raw)) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} is {raw!r}.", "It must be a finite number.")
    return value


def must_be(what: str, raw: Any) -> str:
    """The hint for a value of the wrong type: what it must be, in the writing that works."""
    if str(raw).strip().lower() in ("", "none", "null"):
        return f"It must be {what}; leave it out to keep the preset's own value."
    grouped = str(raw).replace(",", "").replace(" ", "")
    if what in (KINDS[int], KINDS[float]) and grouped != str(raw) and grouped.isdecimal():
        return f"It must be {what}: {grouped}."
    return f"It must be {what}."
