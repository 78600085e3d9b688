"""Makes glibc keep freed memory for the next training step.

By default it maps each block over 32 MiB and unmaps it when it is freed, and a training step on a
CPU spends up to a third of its time on page faults (docs/results.md, "Faster steps"). Kept memory
is fragmented, so a run's peak may be a third higher.
"""

import ctypes
import os
from collections.abc import Mapping

MEBIBYTE = 2**20
# The variable that glibc reads at start, mallopt's number for it (malloc.h), our value.
SETTINGS = (
    ("MALLOC_TRIM_THRESHOLD_", -1, 2**31 - 1),  # free bytes before the heap shrinks
    ("MALLOC_TOP_PAD_", -2, 256 * MEBIBYTE),  # minimum growth of the heap
    ("MALLOC_MMAP_MAX_", -4, 0),  # how many blocks have their own mapping
)


def keep_freed_memory(variables: Mapping[str, str]) -> None:
    """Configure glibc's malloc to reuse freed memory; do nothing with other C libraries.

    mallopt does in a running process what the MALLOC_* variables do before it starts. The user's
    own MALLOC_* and GLIBC_TUNABLES take precedence.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or "glibc.malloc" in variables.get("GLIBC_TUNABLES", ""):
        return
    for name, number, value in SETTINGS:
        if name not in variables:
            mallopt(number, value)
