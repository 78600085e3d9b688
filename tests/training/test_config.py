"""Hyperparameters are parsed from strings, range-checked, and typos get suggestions."""

import pytest

from facegan.errors import ConfigError
from facegan.gans import FAMILIES
from facegan.hyperparameters.training import FEWEST_SAMPLES
from facegan.metrics import MIN_SAMPLES
from facegan.training import TrainingConfig, split_hyperparameters

TINY = FAMILIES["dcgan"].presets["tiny"]


def test_sagemakers_strings_become_numbers() -> None:
    config = TrainingConfig.from_hyperparameters({"total_kimg": "2.5", "seed": "7"})
    assert (config.total_kimg, config.seed) == (2.5, 7)


def test_the_recipe_fills_in_unset_values() -> None:
    config = TrainingConfig(batch_size=4).completed_by(TINY)
    assert config.batch_size == 4
    assert config.total_kimg == TINY.recipe["total_kimg"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sice": "3"}, "Unknown hyperparameter 'batch_sice'. Did you mean batch_size"),
        ({"batch_size": "0"}, "batch_size is 0.*greater than or equal to 1"),
        ({"batch_size": "many"}, "batch_size is 'many'"),
        ({"total_kimg": "nan"}, "total_kimg is 'nan'"),
        ({"total_kimg": "-1"}, "total_kimg is '-1'"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"seed": "-1"}, "seed is -1"),
    ],
)
def test_a_wrong_value_is_named_with_the_fix(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.from_hyperparameters(values)


@pytest.mark.parametrize(
    ("family", "preset", "expected"),
    [
        ("r3gan", "paper32", (250_000, 512, True, "scheduled", "wavelet")),
        ("r3gan", "paper32-conditional", (250_000, 512, True, "scheduled", "wavelet")),
        ("r3gan", "faces32", (150_000, 256, True, "scheduled", "wavelet")),
        ("r3gan", "paper64", (150_000, 256, True, "scheduled", "wavelet")),
        ("r3gan", "faces128", (150_000, 256, True, "scheduled", "wavelet")),
        ("r3gan", "paper256", (150_000, 256, True, "scheduled", "wavelet")),
        ("stylegan2", "paper64", (25_000, 32, False, "adaptive", "wavelet")),
        ("stylegan2", "paper256", (25_000, 16, False, "adaptive", "wavelet")),
    ],
)
def test_a_papers_preset_is_trained_as_in_the_paper(
    family: str, preset: str, expected: tuple[object, ...]
) -> None:
    found = FAMILIES[family].presets[preset]
    config = TrainingConfig().completed_by(found)
    assert expected == (
        config.total_kimg,
        config.batch_size,
        config.mirror,
        config.augment_probability,
        config.augment_filter,
    )
    if family == "r3gan":
        assert found.schedule_kimg == 20_000  # type: ignore[attr-defined]


def test_names_are_split_between_preset_and_trainer() -> None:
    numbers, loop = split_hyperparameters(TINY, {"conv_dim": "4", "seed": "1"})
    assert (numbers, loop) == ({"conv_dim": "4"}, {"seed": "1"})


def test_an_unknown_name_suggests_the_nearest_of_both() -> None:
    with pytest.raises(ConfigError, match="generator_learning_rate"):
        split_hyperparameters(TINY, {"generator_learing_rate": "1"})


@pytest.mark.parametrize("text", ["10", "1e1", "10.0", " 10 ", 10, 10.0])
def test_whole_numbers_are_parsed_in_any_spelling(text: object) -> None:
    assert TrainingConfig.from_hyperparameters({"seed": text}).seed == 10


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("1e1.5", "It must be a whole number."),
        ("1,000", "It must be a whole number: 1000."),
        ("none", "leave it out to keep the preset's own value"),
        (True, "It must be a whole number."),
    ],
)
def test_an_invalid_number_gets_an_example_that_works(value: object, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainingConfig.from_hyperparameters({"batch_size": value})
    assert hint in refused.value.hint


def test_the_minimum_of_samples_is_that_of_the_metrics() -> None:
    assert FEWEST_SAMPLES == MIN_SAMPLES
