"""RunSpec: all settings of a training run, declared once and without torch.

``facegan train``, ``facegan init``, ``facegan cloud train`` and the training container read this
list. Its mapping is what run.json keeps as ``plan`` and what SageMaker sends as hyperparameters.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from facegan.hyperparameters.setting import check_range, convert, setting

DEFAULT_FAMILY, DEFAULT_RESOLUTION = "dcgan", 32  # where neither the user nor the data says
DEFAULT_LABELS = "manifest"
# What decides which networks a run trains: a change of one explains all other changes.
IDENTITY = ("family", "preset", "resolution")
# What may differ when a run is resumed: how far it goes and what it reports, not what it computes.
# The data may have moved; that it is the same is checked by its digest.
MAY_CHANGE = {
    *("data", "data_on_gpu", "device", "evaluate_data", "keep_checkpoints", "max_minutes"),
    *("micro_batch", "tick_kimg", "total_kimg"),
}


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The settings of a run; None takes the default of the data, the family or the preset."""

    data: str | None = setting(
        "folder of images, or s3://bucket/prefix of a streamed data set", default=None
    )
    split: str | None = setting(
        "which split of the data to train on; all: every image (default: train, if there is one)",
        default=None,
    )
    evaluate_data: str | None = setting(
        "images to evaluate against, with evaluate_kimg (default: those of data)", default=None
    )
    evaluate_split: str | None = setting(
        "which split of them to evaluate against (default: that of split; of evaluate_data train, "
        "if there is one)",
        default=None,
    )
    labels: str | None = setting(
        "where a conditional preset reads the classes of the images: dataset.json, or the names of "
        "the folders in data (default: manifest)",
        default=None,
        choices=("manifest", "folders"),
    )
    family: str = setting(
        f"which family of GANs (default: {DEFAULT_FAMILY})", default=DEFAULT_FAMILY
    )
    preset: str | None = setting(
        "which of the family's presets (default: the family's for the resolution)", default=None
    )
    resolution: int | None = setting(
        "side of the images in pixels (default: as the data was prepared, else 32)",
        default=None,
        low=4,
        high=1024,
    )
    # The preset's and the trainer's, by name, as they were given.
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    @cache
    def own_settings(cls) -> dict[str, dataclasses.Field[Any]]:
        """Return the settings that are neither the preset's nor the trainer's, by name."""
        return {it.name: it for it in dataclasses.fields(cls) if "help" in it.metadata}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values, which may be strings; hyperparameters are checked later.

        Raises:
            ConfigError: one of the run's own settings has a wrong type or is out of range.
        """
        own: dict[str, Any] = {}
        for name, setting_field in cls.own_settings().items():
            if values.get(name) is not None:
                kind = int if name == "resolution" else str
                own[name] = convert(name, kind, values[name])
                check_range(setting_field, own[name])
        rest = {name: value for name, value in values.items() if name not in cls.own_settings()}
        return cls(**own, hyperparameters=rest)

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings by name, as JSON values; :meth:`from_mapping` reads them."""
        own = {name: getattr(self, name) for name in self.own_settings()}
        return {**{k: v for k, v in own.items() if v is not None}, **self.hyperparameters}

    def replaced(self, **changes: Any) -> Self:
        """Return a copy with some of the run's own settings changed."""
        return dataclasses.replace(self, **changes)
