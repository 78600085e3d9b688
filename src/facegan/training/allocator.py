"""Keeps freed memory for the next step, where glibc would give it back to the system at once.

glibc maps every block over 32 MiB anew and unmaps it when it is freed, so that a training step on a
CPU spends up to a third of its time on page faults (docs/results.md, "Faster steps"). Kept memory
lies in pieces, so that a run's peak may be a third higher.
"""

import ctypes
import os
from collections.abc import Mapping

MEBIBYTE = 2**20
# The variable glibc reads when a process starts, mallopt's number for it (malloc.h), our value.
SETTINGS = (
    ("MALLOC_TRIM_THRESHOLD_", -1, 2**31 - 1),  # of free memory at the heap's end: never shrink
    ("MALLOC_TOP_PAD_", -2, 256 * MEBIBYTE),  # by how much the heap grows at least
    ("MALLOC_MMAP_MAX_", -4, 0),  # blocks with a mapping of their own
)


def keep_freed_memory(variables: Mapping[str, str]) -> None:
    """Tell glibc's malloc to reuse what was freed; other C libraries are left alone.

    mallopt does in the running process what the MALLOC_* variables do before a start. What the user
    has set there or in GLIBC_TUNABLES stays.

    Args:
        variables: The process's environment.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or "glibc.malloc" in variables.get("GLIBC_TUNABLES", ""):
        return
    for name, number, value in SETTINGS:
        if name not in variables:
            mallopt(number, value)
