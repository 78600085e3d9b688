"""Finds the cgroups of this process (versions 1 and 2, nested), whose files hold its limits.

Any group above the process may have a limit, so all of them are read. Inside a container the path
in ``/proc/self/cgroup`` may be the host's and not exist here; the container's own group is then the
root of what is mounted. Sources: docs.kernel.org, "Control Group v2" and "Control
Groups version 1"; man 7 cgroups.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

MOUNT = Path("sys/fs/cgroup")
V2_MOUNTS = (MOUNT, MOUNT / "unified")  # the second where both versions are mounted


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


def groups_of(controller: str, root: Path = Path("/")) -> Iterator[tuple[int, Path]]:
    """Yield the version and folder of this process's groups for a controller, innermost first.

    Args:
        controller: "cpu" or "memory".
        root: Where /proc and /sys are.
    """
    for line in lines_of(root / "proc/self/cgroup") or ["0::/"]:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        tops: tuple[Path, ...]
        if not controllers:
            tops, version = V2_MOUNTS, 2
        elif controller in (names := controllers.split(",")):
            # A mount has one controller's name, or those of all that share it, in either order.
            tops, version = tuple(MOUNT / x for x in {controller, *names, controllers}), 1
        else:
            continue
        for top in tops:
            yield from ((version, folder) for folder in upwards(root / top, path))


def upwards(top: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those above it, up to the top."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for count in range(len(parts), -1, -1):
        yield top.joinpath(*parts[:count])


def lines_of(path: Path) -> list[str]:
    """Return a small file's lines; none if it is missing."""
    with suppress(OSError):
        return path.read_text().splitlines()
    return []


def numbers_in(path: Path) -> list[int]:
    """Return the whole numbers on a file's first line; none if it is missing, or says "max"."""
    with suppress(ValueError):
        return [int(word) for line in lines_of(path)[:1] for word in line.split()]
    return []
