"""Names and kinds of all hyperparameters, for a launcher without torch: a job is told before it is.

Where torch is installed, the command line checks by the families and the trainer themselves, as the
container does. A test compares these tables with those, so they cannot fall behind.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facegan.errors import ConfigError, did_you_mean

DEFAULT_FAMILY, DEFAULT_RESOLUTION = "dcgan", 32  # where nothing is named and the data does not say
KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "a text"}
KINDS["float|text"] = "a number or a word"
KINDS["int|text"] = "a whole number or auto"

# What a job's hyperparameters say besides numbers: which networks, on which data, how shared.
PLAN = {"family": "text", "preset": "text", "resolution": "int", "labels": "text"}
PLAN |= {"split": "text", "evaluate_split": "text", "processes": "int"}
TRAINER = {
    "total_kimg": "float",
    "batch_size": "int",
    "micro_batch": "int|text",
    "ema_half_life_kimg": "float",
    "seed": "int",
    "max_minutes": "float",
    "tick_kimg": "float",
    "keep_checkpoints": "int",
    "mirror": "bool",
    "augment": "text",
    "augment_probability": "float|text",
    "augment_target": "float",
    "augment_speed_kimg": "float",
    "augment_filter": "text",
    "evaluate_kimg": "float",
    "evaluate_samples": "int",
    "evaluate_extractor": "text",
    "precision": "text",
    "compile": "text",
    "device": "text",
    "data_on_gpu": "text",
}


@dataclass(frozen=True)
class FamilyTable:
    """What a family of GANs may be told.

    Args:
        presets: Their names.
        defaults: Resolution → the preset that is taken where none is named.
        numbers: Its own hyperparameters, name → kind.
    """

    presets: tuple[str, ...]
    defaults: Mapping[int, str]
    numbers: Mapping[str, str]


FAMILIES = {
    "dcgan": FamilyTable(
        ("article32", "toy32", "tiny"),
        dict.fromkeys((8, 16, 32, 64), "toy32"),
        {
            "latent_dim": "int",
            "conditional": "bool",
            "latent_distribution": "text",
            "conv_dim": "int",
            "discriminator_conv_dim": "int",
            "discriminator_batch_norm": "bool",
            "self_modulation": "bool",
            "generator_learning_rate": "float",
            "discriminator_learning_rate": "float",
            "beta1": "float",
            "beta2": "float",
            "real_target": "float",
            "share_fakes": "bool",
        },
    ),
    "r3gan": FamilyTable(
        (
            *("paper32", "faces32", "paper64", "faces128", "paper256", "toy32", "tiny"),
            *("paper32-conditional", "tiny-conditional"),
        ),
        {32: "faces32", 64: "paper64", 128: "faces128", 256: "paper256"},
        {
            "latent_dim": "int",
            "conditional": "bool",
            "width": "int",
            "full_width_resolution": "int",
            "blocks_per_stage": "int",
            "expansion": "int",
            "group_width": "int",
            "schedule_kimg": "float",
            "learning_rate_start": "float",
            "learning_rate_end": "float",
            "beta2_start": "float",
            "beta2_end": "float",
            "gamma_start": "float",
            "gamma_end": "float",
            "ema_half_life_start_kimg": "float",
            "ema_half_life_end_kimg": "float",
            "augment_probability_start": "float",
            "augment_probability_end": "float",
        },
    ),
    "stylegan2": FamilyTable(
        ("paper32", "paper64", "paper128", "paper256", "toy32", "tiny", "tiny-conditional"),
        {side: f"paper{side}" for side in (32, 64, 128, 256)},
        {
            "latent_dim": "int",
            "conditional": "bool",
            "style_dim": "int",
            "mapping_layers": "int",
            "mapping_rate": "float",
            "channel_base": "int",
            "max_channels": "int",
            "noise_inputs": "bool",
            "minibatch_stddev_group": "int",
            "style_mixing": "float",
            "r1_gamma": "float",
            "r1_interval": "int",
            "path_length_weight": "float",
            "path_length_interval": "int",
            "learning_rate": "float",
            "beta1": "float",
            "beta2": "float",
        },
    ),
}


def kinds_of(family: str) -> dict[str, str]:
    """Every hyperparameter of a family's jobs, name → kind.

    Raises:
        ConfigError: there is no such family; the nearest are offered.
    """
    if family not in FAMILIES:
        hint = did_you_mean(family, tuple(FAMILIES), "families")
        raise ConfigError(f"Unknown family {family!r}.", hint)
    return {**PLAN, **FAMILIES[family].numbers, **TRAINER}


def check_names_and_kinds(values: Mapping[str, Any]) -> None:
    """Refuse hyperparameters that no job knows, or whose values are of another kind.

    Raises:
        ConfigError: names the first, with the nearest names or what the value must be.
    """
    family = str(values.get("family", DEFAULT_FAMILY))
    kinds = kinds_of(family)
    preset = values.get("preset")
    if preset is not None and preset not in FAMILIES[family].presets:
        hint = did_you_mean(str(preset), FAMILIES[family].presets, "presets")
        raise ConfigError(f"Unknown preset {preset!r} of family {family!r}.", hint)
    for name, value in values.items():
        if name not in kinds:
            hint = did_you_mean(name, tuple(kinds), "hyperparameters")
            raise ConfigError(f"Unknown hyperparameter {name!r}.", hint)
        if not is_of_kind(kinds[name], value):
            raise ConfigError(f"{name} is {value!r}.", f"It must be {KINDS[kinds[name]]}.")


def check_preset_for(values: Mapping[str, Any], resolution: int) -> None:
    """Refuse a job that names no preset and whose family has none for the images' resolution.

    Raises:
        ConfigError: names what to give.
    """
    family = str(values.get("family", DEFAULT_FAMILY))
    defaults = FAMILIES[family].defaults
    if values.get("preset") is None and resolution not in defaults:
        sides = ", ".join(map(str, sorted(defaults)))
        raise ConfigError(
            f"{family} has no default preset for {resolution} px (it has for {sides}).",
            f"Name one by preset: {', '.join(FAMILIES[family].presets)}; or choose another family.",
        )


def is_of_kind(kind: str, value: Any) -> bool:
    """Whether a value, possibly a text, can be read as a kind."""
    text = str(value).strip().lower()
    if kind == "int|text":
        return text == "auto" or is_of_kind("int", value)
    if "text" in kind:
        return True
    if kind == "bool":
        return text in ("true", "false", "yes", "no", "on", "off", "1", "0")
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and (kind == "float" or number.is_integer())
