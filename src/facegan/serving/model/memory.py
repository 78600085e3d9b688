"""How much memory models may fill: what the container has, less what it needs itself."""

import os
from collections.abc import Iterator
from pathlib import Path

from facegan.serving.model.cgroups import groups_of, lines_of, numbers_in

# Of all memory, for requests, replies, encoders, and what an allocator keeps.
RESERVED_SHARE = 0.1


def model_memory(root: Path = Path("/")) -> int:
    """The bytes that models may fill beside this process as it is now.

    Args:
        root: Where /proc and /sys are.
    """
    limit = memory_limit(root)
    return max(0, int(limit * (1 - RESERVED_SHARE)) - resident_bytes(root))


def memory_limit(root: Path = Path("/")) -> int:
    """The bytes this container may have: the tightest cgroup's limit (v1 or v2), or all there are.

    Files: docs.kernel.org, "Control Group v2" (memory.max), "Memory Resource Controller"
    (memory.limit_in_bytes; without a limit it tells a number beyond all memory).
    """
    return min([*cgroup_limits(root), machine_memory(root)])


def cgroup_limits(root: Path) -> Iterator[int]:
    """The limits of this process's cgroups and of those above them."""
    for version, folder in groups_of("memory", root):
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        yield from numbers_in(folder / name)


def machine_memory(root: Path) -> int:
    """All memory of the machine."""
    for line in lines_of(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # not Linux


def resident_bytes(root: Path = Path("/")) -> int:
    """What this process holds now; 0 where nobody tells."""
    for line in lines_of(root / "proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
