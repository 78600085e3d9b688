"""The families of GANs: a table from name to family, and the one function that builds a game."""

from typing import Any

import torch

from facegan.errors import ConfigError, nearest
from facegan.gans.dcgan import FAMILY as DCGAN
from facegan.gans.family import Adam, Batch, Family, Gan, Phase, Preset, Terms, convert
from facegan.gans.r3gan import FAMILY as R3GAN
from facegan.gans.stylegan2 import FAMILY as STYLEGAN2

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
    "convert",
    "find_family",
    "find_preset",
]

FAMILIES: dict[str, Family] = {family.name: family for family in (DCGAN, R3GAN, STYLEGAN2)}


def find_family(name: str) -> Family:
    """The family of that name.

    Raises:
        ConfigError: there is none; the message offers the nearest names.
    """
    if name not in FAMILIES:
        raise ConfigError(f"Unknown family {name!r}.", nearest(name, tuple(FAMILIES), "families"))
    return FAMILIES[name]


def find_preset(family: Family, name: str) -> Preset:
    """The family's preset of that name.

    Raises:
        ConfigError: there is none; the message offers the nearest names.
    """
    if name not in family.presets:
        message = f"Unknown preset {name!r} of family {family.name!r}."
        raise ConfigError(message, nearest(name, tuple(family.presets), "presets"))
    return family.presets[name]


def build_gan(
    family: str,
    preset: str,
    image_shape: tuple[int, ...],
    *,
    seed: int | None = None,
    **hyperparameters: Any,
) -> Gan:
    """Build a family's players from a preset, with some of its numbers changed.

    Args:
        family: A name in ``FAMILIES``.
        preset: A name in the family's presets.
        image_shape: (3, H, W) of the data set; the family says which it can make.
        seed: Of the initial weights; None takes them from torch's global random numbers.
        hyperparameters: Preset fields to change, as values or strings.

    Raises:
        ConfigError: an unknown family, preset or hyperparameter, a value out of range, or an image
            shape the family cannot make.
    """
    found = find_family(family)
    numbers = find_preset(found, preset).replaced(hyperparameters)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):  # players are born on the CPU
        if seed is not None:
            torch.manual_seed(seed)
        players = found.build_players(numbers, image_shape)
    return Gan(found, preset, numbers, tuple(image_shape), players)
