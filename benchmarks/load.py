"""Loads a server with wrk, a C program that takes little of the cores it measures."""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("post.lua")
TYPES = {"npy": "application/x-npy", "png": "image/png"}


@dataclass(frozen=True)
class Cell:
    """One kind of load: callers that each wait for an answer before they ask again."""

    images: int  # a request
    kind: str  # of the reply: npy or png
    callers: int


@dataclass(frozen=True)
class Outcome:
    """What came of a load. Refused are answers over 399; broken had no answer."""

    answers: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float

    def images_per_second(self, cell: Cell) -> float:
        """Images that were drawn and arrived."""
        return (self.answers - self.refused) * cell.images / self.seconds


def busy_seconds() -> float:
    """Processor seconds of the whole machine since it started, stolen ones included."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """Processor seconds of this process's children that have ended: wrk's."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def require_wrk() -> None:
    """End with a sentence where wrk is missing."""
    if shutil.which("wrk") is None:
        sys.exit("wrk, the load generator, is missing. On Debian: apt-get install wrk")


def load(url: str, extra: str, cell: Cell, seconds: int) -> Outcome:
    """Ask a server on this machine for faces, for some seconds.

    Args:
        url: Where to post to, on loopback.
        extra: What the JSON body holds besides the seeds.
        cell: How.
        seconds: How long.
    """
    command = ["wrk", "-t1", f"-c{cell.callers}", f"-d{seconds}s", "--timeout", "60s", "--latency"]
    variables = {"IMAGES": str(cell.images), "EXTRA": extra, "REPLY_TYPE": TYPES[cell.kind]}
    done = subprocess.run(
        [*command, "-s", str(SCRIPT), url],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    return Outcome(**json.loads(line.removeprefix("JSON ")))
