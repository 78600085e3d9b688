"""Resolves a RunSpec to a preset and a training configuration; checks names, types and ranges.

It needs neither torch nor the data.
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

# Names that errors suggest besides the hyperparameters.
OFFERED = (*RunSpec.own_settings(), "processes")


@dataclass(frozen=True)
class ResolvedRun:
    """A RunSpec with its family, preset and training configuration."""

    spec: RunSpec  # with the family's preset for the resolution, if the run named none
    family: Family
    preset: Preset  # with the run's changes
    changes: Mapping[str, Any]  # the run's changes to the preset, as given
    config: TrainingConfig  # only what the run sets, without the preset's recipe

    @property
    def complete_config(self) -> TrainingConfig:
        """Return the training configuration completed by the preset's recipe."""
        return self.config.completed_by(self.preset)

    def check_batch(self, processes: int) -> None:
        """Raise ConfigError if the batch cannot be divided among processes or micro-batches."""
        batch = self.complete_config.batch_size or 0
        check_batch(self.family, self.preset, batch, processes)
        check_micro_batch(self.family, self.preset, batch, processes, self.config.micro_batch)

    def check_shape(self) -> None:
        """Raise ConfigError if the family cannot generate images of the run's resolution."""
        if side := self.spec.resolution:
            self.family.check_shape(self.preset, (3, side, side))

    def settings(self) -> dict[str, Any]:
        """Return every setting of the run by name: its own and the preset's values."""
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
    """Check a run's names, types and ranges, and return its preset and configuration.

    If neither the preset nor the resolution is known yet, the family's first preset is used: all
    presets of a family have the same names, types and ranges.

    Args:
        spec: The run.
        offered: Further names to suggest for a mistyped one.
        images: Number of images in the data set, if known, to convert epochs in hints.

    Raises:
        ConfigError: an unknown name (the nearest are offered), or a value of the wrong type or out
            of range.
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
    """Return the types that a hyperparameter of a family accepts, without None."""
    preset = next(iter(find_family(family).presets.values()))
    split_hyperparameters(preset, {name: ""}, OFFERED)
    hints = get_type_hints(type(preset)) | get_type_hints(TrainingConfig)
    if get_origin(hints[name]) is Literal:
        return {str}
    return {it for it in get_args(hints[name]) if it is not type(None)} or {hints[name]}


def settings_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting, by name, of the run that a recorded plan describes."""
    return resolve(RunSpec.from_mapping(plan)).settings()
