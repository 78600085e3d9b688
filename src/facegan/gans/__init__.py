"""Families of GANs: networks, losses and presets; :func:`build_gan` builds the players of one."""

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
    """Import what needs torch when it is asked for: the table of families does without."""
    if name not in ("draw_labels", "uniform_labels"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facegan.gans import labels

    return getattr(labels, name)


def with_class_count(family: Family, preset: Preset, classes: Mapping[str, int]) -> Preset:
    """The preset with the number of classes its networks are built for; 0 where it wants none.

    Raises:
        ConfigError: the preset is conditional, but the family is not, or there are no two classes.
    """
    check_conditional(family, preset)
    if not preset.conditional:
        return preset
    if len(classes) < 2:
        raise ConfigError(
            f"A conditional {family.name} needs labels of two classes or more; "
            f"the data has {len(classes)}.",
            "Label the pictures, or choose a preset that is not conditional.",
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
    """Build a family's players from a preset, with some of its numbers changed.

    Args:
        family: Its name: a built-in family, or one that an installed package adds.
        preset: A name in the family's presets.
        image_shape: (3, H, W) of the data set; the family says which it can make.
        seed: Of the initial weights; None takes them from torch's global random numbers.
        classes: How many pictures of the data are of each class, in the order of the labels; a
            preset that is not conditional does not look at them.
        hyperparameters: Preset fields to change, as values or strings.

    Raises:
        ConfigError: an unknown family, preset or hyperparameter, a value out of range, or an image
            shape the family cannot make; a conditional preset of a family that cannot, or without
            two classes.
    """
    import torch

    found = find_family(family)
    wanted = find_preset(found, preset).replaced(hyperparameters)
    numbers = with_class_count(found, wanted, classes or {})
    with torch.random.fork_rng(devices=[], enabled=seed is not None):  # players are born on the CPU
        if seed is not None:
            torch.manual_seed(seed)
        players = found.build_players(numbers, image_shape)
    known = dict(classes or {}) if numbers.conditional else {}
    return Gan(found, preset, numbers, tuple(image_shape), players, classes=known)
