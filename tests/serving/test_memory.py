"""A container's memory limit, from files as the kernel writes them."""

from pathlib import Path

import pytest

from facegan.cgroups import memory_limit
from facegan.serving.model.memory import model_memory

GIB = 2**30


def machine(root: Path, files: dict[str, str]) -> Path:
    """Make a root folder with the kernel's files."""
    always = {"proc/meminfo": f"MemTotal:       {8 * 2**20} kB\nMemFree: 1 kB\n"}
    for name, text in (always | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = "12:memory:/docker/x\n5:cpu,cpuacct:/docker/x\n"
CASES = {
    "no cgroup": ({}, 8 * GIB),
    "v2, own root": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
    "v2, no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8 * GIB),
    "v2, the tightest above": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/memory.max": f"{2 * GIB}\n",
        },
        2 * GIB,
    ),
    "v1, seen from outside": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{3 * GIB}\n",
        },
        3 * GIB,
    ),
    "v1, path leads nowhere": (
        {"proc/self/cgroup": V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n"},
        GIB,
    ),
    "v1, no limit": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        8 * GIB,
    ),
}


@pytest.mark.parametrize(("files", "limit"), CASES.values(), ids=CASES)
def test_the_tightest_limit_is_the_containers(
    tmp_path: Path, files: dict[str, str], limit: int
) -> None:
    assert memory_limit(machine(tmp_path, files)) == limit


def test_model_memory_is_the_limit_less_process_and_reserve(tmp_path: Path) -> None:
    """A tenth of the limit and the resident memory are subtracted."""
    files = {"proc/self/status": "VmPeak: 9 kB\nVmRSS:\t 1048576 kB\n"}
    assert model_memory(machine(tmp_path, files)) == int(8 * GIB * 0.9) - GIB


def test_this_machine_has_memory() -> None:
    """The real files are read."""
    assert 0 < model_memory() < memory_limit()
