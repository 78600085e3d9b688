"""What a tick prints can be read back by the regexes that SageMaker is given."""

import json
import math
import re
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset
from facegan.gans import Gan
from facegan.tick_line import METRIC_DEFINITIONS, TICK_METRICS, tick_line
from facegan.training import Trainer, TrainingConfig


def read_back(line: str) -> dict[str, float]:
    """What SageMaker would find in a line of output."""
    found = {d["Name"]: re.search(d["Regex"], line) for d in METRIC_DEFINITIONS}
    return {name: float(match[1]) for name, match in found.items() if match}


@given(st.dictionaries(st.sampled_from(sorted(TICK_METRICS)), st.floats(), min_size=1))
def test_any_number_of_any_figure_is_read_back(figures: dict[str, float]) -> None:
    read = read_back(f"2026-11-23 10:00:00 {tick_line(figures)}")
    assert read.keys() == figures.keys()
    for name, value in figures.items():
        assert read[name] == pytest.approx(value, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("value", [1e-05, -0.3, math.nan, math.inf, 1234567.0, 0.0])
def test_numbers_in_every_notation_are_read_back(value: float) -> None:
    assert read_back(tick_line({"r1": value}))["r1"] == pytest.approx(value, rel=1e-5, nan_ok=True)


def test_a_name_inside_another_is_not_taken_for_it() -> None:
    assert read_back(tick_line({"kid_lite0": 1.0, "best_kid": 2.0})) == {"kid_lite0": 1.0}


def test_every_figure_of_every_family_is_declared(
    family: str, tiny_gan: Callable[..., Gan], dataset: ImageFolderDataset
) -> None:
    """A family with a new loss term fails here until the term has its row in TICK_METRICS."""
    ticks: list[Mapping[str, float]] = []
    config = TrainingConfig(total_kimg=0.032, batch_size=16, tick_kimg=0.016, precision="fp32")
    Trainer(tiny_gan(family), dataset, config, on_tick=lambda _, told: ticks.append(told)).run()
    assert len(ticks) == 2
    for figures in ticks:
        assert read_back(tick_line(figures)) == pytest.approx(dict(figures), rel=1e-5)


def test_the_definitions_are_what_sagemaker_accepts() -> None:
    """At most 40, names up to 255 characters, regexes up to 500 with one group."""
    assert len(METRIC_DEFINITIONS) <= 40
    assert len({d["Name"] for d in METRIC_DEFINITIONS}) == len(METRIC_DEFINITIONS)
    for definition in METRIC_DEFINITIONS:
        assert definition.keys() == {"Name", "Regex"}
        assert 1 <= len(definition["Name"]) <= 255 and 1 <= len(definition["Regex"]) <= 500
        assert re.compile(definition["Regex"]).groups == 1


def test_a_launcher_can_ask_the_command_line_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_safely(facegan, ["train", "--metric-definitions"]) == 0
    assert json.loads(capsys.readouterr().out) == METRIC_DEFINITIONS
