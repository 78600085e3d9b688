"""Freed memory is kept for the next step; the user's settings of glibc stay."""

import os
import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import os
from resource import RUSAGE_SELF, getrusage
from facegan.training.allocator import keep_freed_memory

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(2):
        block = b"x" * (64 << 20)  # above what glibc ever keeps by itself
        del block
    return getrusage(RUSAGE_SELF).ru_minflt - before

keep_freed_memory(os.environ)
faults()
print(faults())
"""


def count_faults(**variables: str) -> int:
    """Return the page faults of a program that fills and frees two blocks of 64 MiB again."""
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    plain.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS],
        env={**plain, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
@pytest.mark.parametrize(
    ("variables", "keeps"),
    [
        ({}, True),
        ({"MALLOC_TOP_PAD_": "1048576"}, True),
        ({"MALLOC_MMAP_MAX_": "65536"}, False),
        ({"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536"}, False),
    ],
)
def test_large_blocks_are_reused_unless_the_user_disables_it(
    variables: dict[str, str], keeps: bool
) -> None:
    if keeps:
        assert count_faults(**variables) < 100
    else:
        assert count_faults(**variables) > 10_000
