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


def with_class_count(
    family: Family,
    preset: Preset,
    classes: Mapping[str, int],
    map_classes: Mapping[str, str] | None = None,
) -> Preset:
    """Return the preset with the data's numbers of classes: of images, and of label maps.

    They are 0 if the preset is not conditional, or needs no label maps.

    Raises:
        ConfigError: the preset is conditional, but the family is not, or there is no second class;
            or it needs label maps, and they have fewer than two classes.
    """
    check_conditional(family, preset)
    if "label_maps" in family.companions(preset):
        if len(map_classes or {}) < 2:
            raise ConfigError(
                f"{family.name} needs label maps of two classes or more; the data's have "
                f"{len(map_classes or {})}.",
                "Prepare images with label maps: facegan data prepare … --label-maps MAPS.",
            )
        preset = replace(preset, map_classes=len(map_classes or {}))
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
    map_classes: Mapping[str, str] | None = None,
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
        map_classes: Colour "#rrggbb" of each class of the label maps, by name, in the order of
            their numbers; ignored by presets that need no label maps.
        hyperparameters: Preset fields to change, as values or strings.

    Raises:
        ConfigError: an unknown name, a value out of range, an image shape that the family cannot
            generate, or a conditional preset without classes.
    """
    import torch

    found = find_family(family)
    changed = find_preset(found, preset).replaced(hyperparameters)
    complete = with_class_count(found, changed, classes or {}, map_classes)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):  # weights are made on the CPU
        if seed is not None:
            torch.manual_seed(seed)
        players = found.build_players(complete, image_shape)
    known = dict(classes or {}) if complete.conditional else {}
    maps = dict(map_classes or {}) if complete.map_classes else {}
    return Gan(
        found, preset, complete, tuple(image_shape), players, classes=known, map_classes=maps
    )
