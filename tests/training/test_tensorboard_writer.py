"""TensorBoard reads a resumed run's curves as one."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facegan.training.tensorboard_writer import TensorBoardWriter


def read_curve(folder: Path, name: str) -> list[tuple[int, float]]:
    """Return the points that TensorBoard would draw."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(point.step, point.value) for point in events.Scalars(name)]


def test_points_are_flushed(tmp_path: Path) -> None:
    """A kill loses none."""
    curves = TensorBoardWriter(tmp_path, 0)
    curves.add_scalar("reals", 0.5, 32)
    curves.add_scalar("reals", 0.25, 64)
    assert read_curve(tmp_path, "reals") == [(32, 0.5), (64, 0.25)]


@pytest.mark.parametrize("steps_done", [32, 48])
def test_a_resumed_run_neither_repeats_nor_loses_a_point(tmp_path: Path, steps_done: int) -> None:
    """Killed after the point at 64; its newest checkpoint is at 32, or between two ticks."""
    first = TensorBoardWriter(tmp_path, 0)
    first.add_scalar("reals", 0.5, 32)
    first.add_scalar("reals", 9.0, 64)
    first.close()
    second = TensorBoardWriter(tmp_path, steps_done)
    second.add_scalar("reals", 0.25, 64)
    second.add_scalar("reals", 0.125, 96)
    second.close()
    assert read_curve(tmp_path, "reals") == [(32, 0.5), (64, 0.25), (96, 0.125)]
