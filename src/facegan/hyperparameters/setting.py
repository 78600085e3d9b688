"""Declares hyperparameters with their meaning, type and range, and presets of them."""

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
    """Declare a hyperparameter: a dataclass field with its meaning and its allowed range."""
    facts = {"help": help, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of hyperparameters, whose ranges are checked; families add their own fields."""

    about: str = ""
    # The trainer's defaults with this preset: names and values of TrainingConfig.
    recipe: Mapping[str, Any] = field(default_factory=dict)
    latent_dim: int = setting("width of a latent vector", default=100, low=1, high=4096)
    conditional: bool = setting(
        "learn the classes of a labelled data set (not in every family)", default=False
    )
    # How many classes the data has; set when networks are built, not by the user.
    classes: int = 0
    # How many classes its label maps have; 0 of a family without label maps.
    map_classes: int = 0

    def __post_init__(self) -> None:
        for spec in self.hyperparameters():
            check_range(spec, getattr(self, spec.name))

    @classmethod
    def hyperparameters(cls) -> list[dataclasses.Field[Any]]:
        """Return the fields that a user may change: those declared by :func:`setting`."""
        return [spec for spec in dataclasses.fields(cls) if "help" in spec.metadata]

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some hyperparameters changed; values may be strings, as in SageMaker.

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
        """Return the hyperparameters as JSON values, from which a model card rebuilds networks."""
        return {spec.name: getattr(self, spec.name) for spec in self.hyperparameters()}


def check_range(spec: "dataclasses.Field[Any]", value: Any) -> None:
    """Raise ConfigError for a value outside the field's range."""
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
    """Convert a string, a number or a JSON value to a type, or raise ConfigError."""
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
    """Return the hint for a value of the wrong type: what it must be, written so that it works."""
    if str(raw).strip().lower() in ("", "none", "null"):
        return f"It must be {what}; leave it out to keep the preset's own value."
    grouped = str(raw).replace(",", "").replace(" ", "")
    if what in (KINDS[int], KINDS[float]) and grouped != str(raw) and grouped.isdecimal():
        return f"It must be {what}: {grouped}."
    return f"It must be {what}."
