"""A container's quota of cores, as both versions of control groups tell it."""

import os
from pathlib import Path

import pytest

from facegan.serving.cores import quota_of, usable_cores

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("told", "cores"),
    [("200000 100000", 2.0), ("50000 100000", 0.5), ("max 100000", float("inf"))],
)
def test_version_2_tells_quota_and_period_in_one_file(
    tmp_path: Path, told: str, cores: float
) -> None:
    (tmp_path / "cpu.max").write_text(told + "\n")
    assert quota_of(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("150000", 1.5), ("-1", float("inf"))])
def test_version_1_tells_them_in_two(tmp_path: Path, quota: str, cores: float) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert quota_of(tmp_path) == cores


@pytest.mark.parametrize("told", ["", "a b", "0 0"])
def test_what_is_missing_or_makes_no_sense_is_no_limit(tmp_path: Path, told: str) -> None:
    if told:
        (tmp_path / "cpu.max").write_text(told)
    assert usable_cores(tmp_path) == ALL


def test_part_of_a_core_is_one_thread(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path) == 1
