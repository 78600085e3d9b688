"""bench-steps counts phases by how often they are due, and says what it cannot compare."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS)]

import bench_steps  # noqa: E402


def test_a_clone_without_the_commit_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shallow clone is: CI's own, and `git clone --depth 1`."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(bench_steps, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"Commit 3418af7 is not in this clone.*\n.*--unshallow"):
        bench_steps.source_of("3418af7", tmp_path / "before")


def test_a_name_that_no_case_has_is_refused_with_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_steps.py", "--only", "biggan"])
    with pytest.raises(SystemExit, match="--only biggan: choose among r3gan_bf16"):
        bench_steps.main()


def test_phases_count_by_how_often_they_are_due() -> None:
    """Every step 1 s, every 4th 10 s more, every 16th 100 s more: 1 + 10/4 + 100/16."""
    intervals = {1: 1.0, 4: 10.0, 16: 100.0}

    def seconds_at(number: int) -> float:
        return sum(cost for every, cost in intervals.items() if number % every == 0)

    phases = [SimpleNamespace(every=every) for every in intervals]
    assert bench_steps.mean_over_cycle(phases, seconds_at) == 1 + 10 / 4 + 100 / 16
