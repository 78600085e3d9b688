"""`make bench-gpu` keeps its limits, ends cleanly, and gives every figure a value or a reason."""

import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPT = BENCHMARKS / "bench_gpu.py"
sys.path.insert(0, str(BENCHMARKS))

import bench_gpu  # noqa: E402
import gpu_checks  # noqa: E402
from bench_gpu import Results, rounded  # noqa: E402
from gpu_checks import Check, find_function, list_checks, run_check  # noqa: E402

DRY = [sys.executable, str(SCRIPT), "--dry"]
# Checks that go wrong, for a process without torch.
BAD_CHECKS = '''
import os, time
from facegan.errors import ConfigError

class OutOfMemoryError(RuntimeError):
    """As torch names its own."""

def one_then(error=None, act=None, **options):
    yield "one", 1.0
    if act == "hang":
        time.sleep(60)
    if act == "die":
        os._exit(9)
    if act == "full":
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate")
    if act == "refuse":
        raise ConfigError("CUDA graphs need a CUDA device.", "Use off.")
    if act == "fail":
        raise ValueError("a mistake")

def run(earlier, act):
    return one_then(act=act)
'''
REASONS = {
    "hang": "not run: its 1 s were over",
    "die": "failed: its process ended with exit code 9",
    "full": "not run: out of GPU memory",
    "refuse": "not run: CUDA graphs need a CUDA device.",
    "fail": "failed: ValueError: a mistake",
    "forget": "failed: the check left it out",
}


@pytest.mark.parametrize("is_dry", [True, False])
def test_every_check_calls_a_function_that_is_there(is_dry: bool) -> None:
    checks = list_checks(is_dry)
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        inspect.signature(find_function(check.function)).bind({}, **check.options)
        assert len(set(check.cells)) == len(check.cells)


@pytest.mark.parametrize("name", ["no_benchmark", "torch_derivatives"])
def test_a_change_to_a_module_is_undone_after_its_figure(name: str) -> None:
    """Else the figures after it would be of two changes."""
    gpu_steps = importlib.import_module("gpu_steps")

    def changeable() -> tuple[Any, Any]:
        return gpu_steps.r3gan.convolve, getattr(gpu_steps.loop, "fixed_shapes", None)

    before = changeable()
    with getattr(gpu_steps, name)(None):
        assert changeable() != before
    assert changeable() == before


def test_a_dry_run_has_every_kind_of_check() -> None:
    functions = [{check.function for check in list_checks(is_dry)} for is_dry in (True, False)]
    assert functions[0] == functions[1]


def test_the_networks_are_presets_with_their_own_batches() -> None:
    from facegan.gans import find_family

    for network in gpu_checks.PAPER:
        preset = find_family(network.family).presets[network.preset]
        assert preset.recipe["batch_size"] == network.batch


@pytest.fixture(scope="module")
def bad_checks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("checks")
    (folder / "bad_checks.py").write_text(BAD_CHECKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(gpu_checks, "MODULES", ())
        yield "bad_checks:run"


@pytest.mark.parametrize("act", REASONS)
def test_a_check_that_goes_wrong_keeps_what_it_had(bad_checks: str, act: str) -> None:
    cells: dict[str, Any] = {}
    check = Check("bad", bad_checks, ("one", "two"), 1, {"act": act})
    run_check(check, 10 if act != "hang" else 1, {}, cells.__setitem__)
    assert cells == {"one": 1.0, "two": REASONS[act]}


def test_a_value_that_json_cannot_hold_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(deadline=0.0)
    results.add(Check("check", "", ("cell",), 1), "cell", float("nan"))
    assert results.has_failures
    assert rounded(123.456789) == 123.5 and rounded(64) == 64 and rounded("a") == "a"


def test_without_a_gpu_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py"])
    monkeypatch.setattr(bench_gpu, "sees_gpu", lambda: False)
    assert bench_gpu.main() == 2
    told = capsys.readouterr()
    assert not told.out and told.err.count("\n") == 1 and "ARGS=--dry" in told.err


def test_a_stopped_dry_run_prints_what_is_there() -> None:
    """One kind of check has run, the others say that they have not; no process of it stays."""
    process = subprocess.Popen(DRY, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "gradient_generator" in line:
            process.terminate()
    assert process.wait(20) == 130
    last = json.loads(lines[-1])
    assert last["stopped"] and last["dry"]
    precision = last["checks"]["bf16 against float32"]
    assert all(0 < value < 0.1 for cell, value in precision.items() if cell != "images")
    assert {name: set(cells) for name, cells in last["checks"].items()} == {
        check.name: set(check.cells) for check in list_checks(is_dry=True)
    }
    assert set(last["checks"]["two processes"].values()) == {"not run: stopped"}
    assert is_gone(process.pid, seconds=20)


def is_gone(group: int, seconds: float) -> bool:
    """Return whether no process of a group is left, at the latest after some seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
