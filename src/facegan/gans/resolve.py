"""Checks a RunSpec against its family: names, types and ranges, without torch and without the data.

What comes out is the preset and the training configuration that the run will use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from facegan.gans.batch_split import check_batch, check_micro_batch
from facegan.gans.families import check_conditional, find_family, find_preset
from facegan.gans.family import Family
from facegan.hyperparameters.run_spec import DEFAULT_LABELS, RunSpec
from facegan.hyperparameters.setting import Preset
from facegan.hyperparameters.training import TrainingConfig, split_hyperparameters

# Offered for mistyped names beside the hyperparameters.
OFFERED = (*RunSpec.own_settings(), "processes")


@dataclass(frozen=True)
class ResolvedRun:
    """A RunSpec and what it comes to.

    Args:
        spec: The run; where it names no preset, the family's for the resolution.
        family: Of that name.
        preset: With the run's changes.
        changes: The preset's hyperparameters that the run names, as they were given.
        config: The trainer's that the run names, without the preset's recipe.
    """

    spec: RunSpec
    family: Family
    preset: Preset
    changes: Mapping[str, Any]
    config: TrainingConfig

    @property
    def complete_config(self) -> TrainingConfig:
        """The training configuration with the preset's recipe filled in."""
        return self.config.completed_by(self.preset)

    def check_batch(self, processes: int) -> None:
        """Raise ConfigError if the batch cannot be shared, or cut into the micro-batches named."""
        batch = self.complete_config.batch_size or 0
        check_batch(self.family, self.preset, batch, processes)
        check_micro_batch(self.family, self.preset, batch, processes, self.config.micro_batch)

    def check_shape(self) -> None:
        """Raise ConfigError if the family cannot make images of the run's resolution."""
        if side := self.spec.resolution:
            self.family.check_shape(self.preset, (3, side, side))

    def settings(self) -> dict[str, Any]:
        """Return every setting of the run by name: what it names, and the preset's values."""
        return {
            "family": self.family.name,
            "preset": self.spec.preset,
            "resolution": self.spec.resolution,
            "labels": self.spec.labels or DEFAULT_LABELS,
            "split": self.spec.split or "train, if there is one",
            **self.preset.as_dict(),
            **self.complete_config.model_dump(),
        }


def resolve(
    spec: RunSpec, offered: tuple[str, ...] = OFFERED, images: int | None = None
) -> ResolvedRun:
    """Check a run's names, types and ranges, and return what it comes to.

    Where neither the preset nor the resolution is known yet, the family's first preset stands in:
    all of a family's have the same names, types and ranges.

    Args:
        spec: The run.
        offered: Further names worth offering for a mistyped one.
        images: How many the data set has, where that is known: hints convert epochs by it.

    Raises:
        ConfigError: an unknown family, preset or name (the nearest are offered), or a value of
            another type or out of range.
    """
    family = find_family(spec.family)
    name = spec.preset
    if name is None and spec.resolution is not None:
        name = family.default_preset(spec.resolution)
    preset = find_preset(family, next(iter(family.presets)) if name is None else name)
    changes, loop = split_hyperparameters(preset, spec.hyperparameters, offered, images)
    changed = preset.replaced(changes)
    config = TrainingConfig.from_hyperparameters(loop)
    check_conditional(family, changed)
    return ResolvedRun(spec.replaced(preset=name), family, changed, changes, config)


def types_of(family: str, name: str) -> set[type]:
    """Return the types that a hyperparameter of a family's runs takes, without None.

    Raises:
        ConfigError: there is no such family, or no hyperparameter of that name.
    """
    preset = next(iter(find_family(family).presets.values()))
    split_hyperparameters(preset, {name: ""}, OFFERED)
    hints = get_type_hints(type(preset)) | get_type_hints(TrainingConfig)
    if get_origin(hints[name]) is Literal:
        return {str}
    return {it for it in get_args(hints[name]) if it is not type(None)} or {hints[name]}


def settings_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting that a run's recorded plan comes to, by name."""
    return resolve(RunSpec.from_mapping(plan)).settings()
