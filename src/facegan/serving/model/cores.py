"""Counts the cores that the container may use; torch counts the machine's, which may be more."""

import math
import os
from pathlib import Path

from facegan.cgroups import groups_of, numbers_in


def usable_cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use: its affinity, up to its cgroups' quota.

    Threads beyond the quota add no speed: once it is used up, the kernel stops all of them for the
    rest of each period.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(bound or 1, quota_of(root))))


def quota_of(root: Path = Path("/")) -> float:
    """Return the tightest cgroup quota in cores; infinite without one."""
    shares = (share_of(version, folder) for version, folder in groups_of("cpu", root))
    return min(shares, default=math.inf)


def share_of(version: int, folder: Path) -> float:
    """Return one cgroup's quota in cores."""
    if version == 2:  # "200000 100000", or "max 100000"
        numbers = numbers_in(folder / "cpu.max")
    else:  # a quota of -1 means unlimited
        numbers = numbers_in(folder / "cpu.cfs_quota_us") + numbers_in(folder / "cpu.cfs_period_us")
    if len(numbers) != 2 or min(numbers) <= 0:
        return math.inf
    quota, period = numbers
    return quota / period
