"""Computes how much memory models may use: the container's limit, less what the server needs."""

import os
from pathlib import Path

from facegan.serving.model.cgroups import groups_of, lines_of, numbers_in

# Of all memory: for requests, replies, encoders, and what the allocator keeps.
RESERVED_SHARE = 0.1


def model_memory(root: Path = Path("/")) -> int:
    """Return the bytes that models may use beside this process as it is now."""
    limit = memory_limit(root)
    return max(0, int(limit * (1 - RESERVED_SHARE)) - resident_bytes(root))


def memory_limit(root: Path = Path("/")) -> int:
    """Return the container's memory: the tightest cgroup's limit (v1 or v2), or the machine's.

    Files: docs.kernel.org, "Control Group v2" (memory.max), "Memory Resource Controller"
    (memory.limit_in_bytes; without a limit, a number beyond all memory).
    """
    limits = [machine_memory(root)]
    for version, folder in groups_of("memory", root):
        limits += numbers_in(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
    return min(limits)


def machine_memory(root: Path) -> int:
    """Return the machine's memory in bytes."""
    for line in lines_of(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # not Linux


def resident_bytes(root: Path = Path("/")) -> int:
    """Return this process's resident bytes; 0 if unknown."""
    for line in lines_of(root / "proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
