"""Computes how much memory models may use: the container's limit, less what the server needs."""

from pathlib import Path

from facegan.cgroups import lines_of, memory_limit

# Of all memory: for requests, replies, encoders, and what the allocator keeps.
RESERVED_SHARE = 0.1


def model_memory(root: Path = Path("/")) -> int:
    """Return the bytes that models may use beside this process as it is now."""
    limit = memory_limit(root)
    return max(0, int(limit * (1 - RESERVED_SHARE)) - resident_bytes(root))


def resident_bytes(root: Path = Path("/")) -> int:
    """Return this process's resident bytes; 0 if unknown."""
    for line in lines_of(root / "proc/self/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
