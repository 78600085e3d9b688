"""Families of GANs: networks, losses and presets; :func:`build_gan` builds one of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from facegan.errors import ConfigError
from facegan.gans.families import FAMILIES, check_conditional, find_family, find_preset
from facegan.gans.family import Adam, Batch, Family, Gan, Phase, Terms
from facegan.hyperparameters.setting import Preset, convert

if TYPE_CHECKING:
    from facegan.gans.labels import draw_labels, uniform_labels

# Imports inside functions: families, presets and ranges are checked without torch (1.6 s).

__all__ = [
    "FAMILIES",
    "Adam",
    "Batch",
    "Family",
    "Gan",
    "Phase",
    "Preset",
    "Terms",
    "build_gan",
    "check_conditional",
    "convert",
    "draw_labels",
    "find_family",
    "find_preset",
    "uniform_labels",
    "with_class_count",
]


def __getattr__(name: str) -> Any:
    """Import the functions that need torch on first use; the table of families works without."""
    if name not in ("draw_labels", "uniform_labels"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facegan.gans import labels

    return getattr(labels, name)


def with_class_count(family: Family, preset: Preset, classes: Mapping[str, int]) -> Preset:
    """Return the preset with the number of classes, which is 0 if it is not conditional.

    Raises:
        ConfigError: the preset is conditional, but the family is not, or there is no second class.
    """
    check_conditional(family, preset)
    if not preset.conditional:
        return preset
    if len(classes) < 2:
        raise ConfigError(
            f"A conditional {family.name} needs labels of two classes or more; "
            f"the data has {len(classes)}.",
            "Label the images, or choose a preset that is not conditional.",
        )
    return replace(preset, classes=len(classes))


def build_gan(
    family: str,
    preset: str,
    image_shape: tuple[int, ...],
    *,
    seed: int | None = None,
    classes: Mapping[str, int] | None = None,
    **hyperparameters: Any,
) -> Gan:
    """Build the networks of a family from a preset, with some of its hyperparameters changed.

    Args:
        family: Name of a built-in family, or of one that an installed package adds.
        preset: Name of one of the family's presets.
        image_shape: (3, H, W) of the data set.
        seed: Seed of the initial weights; None uses torch's global random state.
        classes: Number of images per class, in the order of the labels; ignored by presets that
            are not conditional.
        hyperparameters: Preset fields to change, as values or strings.

    Raises:
        ConfigError: an unknown name, a value out of range, an image shape that the family cannot
            generate, or a conditional preset without classes.
    """
    import torch

    found = find_family(family)
    changed = find_preset(found, preset).replaced(hyperparameters)
    complete = with_class_count(found, changed, classes or {})
    with torch.random.fork_rng(devices=[], enabled=seed is not None):  # weights are made on the CPU
        if seed is not None:
            torch.manual_seed(seed)
        players = found.build_players(complete, image_shape)
    known = dict(classes or {}) if complete.conditional else {}
    return Gan(found, preset, complete, tuple(image_shape), players, classes=known)
