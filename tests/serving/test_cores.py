"""A container's CPU quota, from cgroups v1 and v2, nested or not."""

import os
from pathlib import Path

import pytest

from facegan.serving.model.cores import quota_of, usable_cores

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
MOUNT = "sys/fs/cgroup/"
V2, V1 = "0::/a/b\n", "5:memory:/z\n4:cpu,cpuacct:/docker/x\n0::/\n"
NO_LIMIT = float("inf")


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Make a root folder with the kernel's files."""
    written = {MOUNT + name: text for name, text in files.items()}
    for name, text in (written | {"proc/self/cgroup": groups}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    names = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": period}
    return {f"{folder}/{name}": str(number) for name, number in names.items()}


CASES = {
    "v2": (V2, {"a/b/cpu.max": "200000 100000"}, 2.0),
    "v2, part of a core": (V2, {"a/b/cpu.max": "50000 100000"}, 0.5),
    "v2, no limit": (V2, {"a/b/cpu.max": "max 100000"}, NO_LIMIT),
    "v2, own root": ("0::/", {"cpu.max": "300000 100000"}, 3.0),
    "v2, the tightest above": (V2, {"a/b/cpu.max": "400000 100000", "a/cpu.max": "1000 1000"}, 1.0),
    "v2, path leads nowhere": ("0::/../../x", {"cpu.max": "150000 100000"}, 1.5),
    "v2, beside v1": ("1:name=systemd:/\n0::/a", {"unified/a/cpu.max": "7000 1000"}, 7.0),
    "v1, seen from outside": (V1, v1("cpu,cpuacct/docker/x", 150_000), 1.5),
    "v1, the tightest above": (
        V1, v1("cpu/docker/x", 300_000) | v1("cpu/docker", 50_000, 25_000), 2.0,
    ),
    "v1, path leads nowhere": (V1, v1("cpu", 250_000), 2.5),
    "v1, mounted by the other name": (V1, v1("cpuacct/docker/x", 50_000), 0.5),
    "v1, no limit": (V1, v1("cpu/docker/x", -1), NO_LIMIT),
    "v1, another group's": (V1, v1("cpu/docker/y", 50_000), NO_LIMIT),
    "nobody tells the groups": ("", {"cpu.max": "200000 100000"}, 2.0),
}  # fmt: skip


@pytest.mark.parametrize(("groups", "files", "cores"), CASES.values(), ids=CASES)
def test_the_tightest_quota_is_the_containers(
    tmp_path: Path, groups: str, files: dict[str, str], cores: float
) -> None:
    assert quota_of(machine(tmp_path, groups, files)) == cores


@pytest.mark.parametrize("text", [None, "", "a b", "0 0", "100000", "-1 100000", "1 2 3"])
def test_missing_or_invalid_quota_is_unlimited(tmp_path: Path, text: str | None) -> None:
    files = {} if text is None else {"cpu.max": text}
    assert usable_cores(machine(tmp_path, "0::/", files)) == ALL


def test_part_of_a_core_is_one_thread(tmp_path: Path) -> None:
    assert usable_cores(machine(tmp_path, V2, {"a/cpu.max": "50000 100000"})) == 1


def test_this_machine_has_cores() -> None:
    """The real files are read."""
    assert 1 <= usable_cores() <= (ALL or 1)
