"""Axes and distances, each on a case small enough to know the answer."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegan.report.charts import Axis, line_chart, round_step, value_axis
from facegan.report.neighbours import RealImages, distances, evenly_spaced, fingerprint
from facegan.report.run_record import kimg_text


@given(st.floats(1e-6, 1e9))
def test_a_step_is_round_and_not_below(raw: float) -> None:
    step = round_step(raw)
    assert raw * (1 - 1e-6) <= step <= raw * 2.5 * (1 + 1e-6)
    digit = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digit - d) for d in (1, 2, 5, 10)) < 1e-6


curve = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(st.lists(curve, min_size=1, max_size=4))
def test_every_point_lies_between_the_marks_at_the_ends(values: list[list[float]]) -> None:
    axis = value_axis([[(float(x), y) for x, y in enumerate(curve)] for curve in values])
    assert 1 <= len(axis.tick_values()) <= 14
    for value in (y for curve in values for y in curve):
        assert axis.end - 0.01 <= axis.coordinate(value) <= axis.start + 0.01


def test_an_axis_goes_from_its_start_to_its_end() -> None:
    axis = Axis(0, 10, 100, 200)
    assert [axis.coordinate(v) for v in (0, 5, 10)] == [100, 150, 200]
    assert axis.tick_values() == [0, 2, 4, 6, 8, 10]


def test_terms_far_apart_get_a_logarithmic_axis() -> None:
    far = {"loss": [(1.0, 2.0), (2.0, 3.0)], "penalty": [(1.0, 0.001), (2.0, 0.002)]}
    axis = value_axis(list(far.values()))
    assert axis.is_log and axis.tick_values() == pytest.approx([0.001, 0.01, 0.1, 1, 10])
    assert line_chart("Loss terms", "kimg", far).is_log
    near = {"loss": [(1.0, 2.0)], "other": [(1.0, 0.1)]}
    assert not line_chart("Loss terms", "kimg", near).is_log


def test_many_points_are_a_line_without_dots() -> None:
    points = [(float(k), 1.0) for k in range(500)]
    assert not line_chart("Loss terms", "kimg", {"loss": points}).curves[0].dots
    assert len(line_chart("Loss terms", "kimg", {"loss": points[:5]}).curves[0].dots) == 5


def test_a_distance_is_in_grey_levels() -> None:
    """An image all 10 levels brighter is at a distance of 10."""
    dark = np.full((1, 40, 40, 3), 100, np.uint8)
    apart = distances(fingerprint(dark), fingerprint(dark + 10))
    assert apart.item() == pytest.approx(10, abs=1e-3)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_copy_is_found_even_if_tinted_a_little(images_dir: Path, is_mirrored: bool) -> None:
    reals = RealImages(images_dir, 32)
    copies = np.stack([reals.read([file])[0] for file in reals.files[:8]])
    copies = copies[:, :, ::-1] if is_mirrored else copies
    tinted = np.minimum(copies.astype(int) + np.array([2, 0, 2]), 255).astype(np.uint8)
    near = reals.nearest(tinted, 3)
    assert [files[0] for files in near.files] == reals.files[:8]
    assert near.generated_median < 0.2 * near.real_median
    assert all(row == sorted(row) for row in near.distances)
    assert near.suspects == list(range(8))


def test_an_unreadable_image_is_left_out(images_dir: Path, tmp_path: Path) -> None:
    for name in ("000.png", "001.png", "002.png"):
        (tmp_path / name).write_bytes((images_dir / name).read_bytes())
    (tmp_path / "001.png").write_bytes(b"x")
    reals = RealImages(tmp_path, 32)
    fake = np.asarray(Image.new("RGB", (32, 32)))[None]
    assert {file.name for file in reals.nearest(fake, 9).files[0]} == {"000.png", "002.png"}
    assert reals.choose(3).shape == (2, 32, 32, 3)


@given(st.integers(1, 200), st.integers(1, 50))
def test_evenly_spaced_items_keep_order_and_both_ends(length: int, count: int) -> None:
    chosen = evenly_spaced(range(length), count)
    assert len(chosen) == min(length, count) == len(set(chosen))
    assert chosen == sorted(chosen) and chosen[0] == 0
    assert count == 1 or chosen[-1] == length - 1


@pytest.mark.parametrize(
    ("kimg", "text"), [(0.064, "0.064"), (54.016, "54"), (109.76, "110"), (25000.0, "25,000")]
)
def test_kimg_are_written_for_people(kimg: float, text: str) -> None:
    assert kimg_text(kimg) == text
