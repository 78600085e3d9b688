"""The tables of a launcher without torch: equal to what families and trainer themselves declare."""

from typing import Any, get_args, get_type_hints

import pytest

from facegan.cli.train import OPTIONS, RESOLUTION
from facegan.cloud.hyperparameters import (
    DEFAULT_RESOLUTION,
    FAMILIES,
    PLAN,
    TRAINER,
    check_names_and_kinds,
    kinds_of,
)
from facegan.errors import ConfigError
from facegan.gans import FAMILIES as REAL_FAMILIES
from facegan.training import TrainingConfig


def kind(annotation: Any) -> str:
    """What the tables call a type: int, float, bool, text, or two of them."""
    parts = {it for it in get_args(annotation) if it is not type(None)} or {annotation}
    names = {it.__name__ for it in parts if isinstance(it, type)} or {"str"}
    return "|".join(sorted(names)).replace("str", "text")


@pytest.mark.parametrize("name", REAL_FAMILIES)
def test_a_familys_table_is_what_the_family_declares(name: str) -> None:
    family = REAL_FAMILIES[name]
    preset = next(iter(family.presets.values()))
    types = get_type_hints(type(preset))
    declared = {spec.name: kind(types[spec.name]) for spec in preset.hyperparameters()}
    assert dict(FAMILIES[name].numbers) == declared
    assert set(FAMILIES[name].presets) == set(family.presets)
    assert dict(FAMILIES[name].defaults) == dict(family.default_presets)


def test_the_trainers_table_is_what_the_trainer_declares() -> None:
    fields = TrainingConfig.model_fields.items()
    assert {name: kind(spec.annotation) for name, spec in fields} == TRAINER


def test_no_family_is_missing() -> None:
    assert DEFAULT_RESOLUTION == RESOLUTION
    assert set(FAMILIES) == set(REAL_FAMILIES)


def test_the_plans_names_are_those_of_the_command_that_trains_here() -> None:
    """But for those that a job's channels and folders say."""
    assert set(PLAN) == set(OPTIONS) - {"data", "evaluate_data", "out", "resume"}


def test_what_is_right_passes_as_text_and_as_number() -> None:
    check_names_and_kinds({"family": "stylegan2", "preset": "tiny", "style_dim": "64"})
    check_names_and_kinds({"total_kimg": 5, "share_fakes": True, "augment_probability": "adaptive"})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"family": "dcgn"}, "Unknown family 'dcgn'. Did you mean dcgan"),
        ({"preset": "toy"}, "Unknown preset 'toy' of family 'dcgan'. Did you mean toy32"),
        ({"total_king": 5}, "Unknown hyperparameter 'total_king'. Did you mean total_kimg"),
        ({"style_dim": 5}, "Unknown hyperparameter 'style_dim'"),
        ({"batch_size": "many"}, "batch_size is 'many'. It must be a whole number."),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"total_kimg": "nan"}, "total_kimg is 'nan'. It must be a number."),
        ({"share_fakes": "maybe"}, "share_fakes is 'maybe'. It must be true or false."),
    ],
)
def test_what_is_wrong_is_named_with_the_mend(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_names_and_kinds(values)
    assert told in str(refused.value)


def test_a_family_without_a_table_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Unknown family 'pix2pix'\. Known families: dcgan"):
        kinds_of("pix2pix")
