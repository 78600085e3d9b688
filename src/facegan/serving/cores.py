"""How many cores the container really has: torch asks the machine, which may have ninety more."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use: those it is bound to, up to its cgroup's quota.

    Threads beyond the quota do not add speed: the kernel stops all of them for the rest of each
    period once it is used up.

    Args:
        cgroup: Where the container's control group is mounted, version 2 or 1.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(bound or 1, quota_of(cgroup))))


def quota_of(cgroup: Path) -> float:
    """The cgroup's share of time in cores; infinite where there is no limit."""
    try:
        if (both := cgroup / "cpu.max").exists():  # version 2: "200000 100000", or "max 100000"
            quota, period = both.read_text().split()
        else:
            folder = cgroup / "cpu"
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):  # no cgroup, or "max"
        return math.inf
