"""Measure training and serving on a GPU, in one table: ``make bench-gpu``.

Nothing is downloaded. It takes at most 8 minutes (``--minutes``) and one GPU, and each check has a
limit of its own. Ctrl-C and SIGTERM end it with what was measured. ``--dry`` runs the same code on
the CPU with tiny networks, to prove that every check runs; its figures say nothing about a GPU.

The last line is one JSON object:

* ``dry``, ``stopped`` (true or false), ``seconds`` (of the whole benchmark);
* ``checks``: check → cell → a value, ``"not run: REASON"`` or ``"failed: REASON"``. The checks:

  - ``machine``: device, number of GPUs, memory, versions, compiler.
  - ``bf16 against float32``: R3GAN ``paper64``, one batch of ``images`` toy faces:
    |bf16 - float32| / |float32| of the fakes, each term of the losses (``term_r1`` and ``term_r2``
    are the penalties) and each player's gradient.
  - ``served PRESET``: the synthesis room as a server uses it. ``p50_ms_one_image``;
    ``images_per_second`` of requests of 16; ``graph_difference``, the largest difference of a
    recorded CUDA graph's images from the eager forward's (0: equal); ``cpu_levels_fp32`` and
    ``cpu_levels``, the largest difference from a CPU's pixels in levels of 255, in float32 and as
    served; ``cpu_unequal_share``, the share of pixels that differ as served.
  - ``steps PRESET``: the trainer's step in the recipe's precision. ``micro_batch`` is what
    ``--micro-batch auto`` finds; ``measured_batch`` is the recipe's batch, or a part of it where a
    step would take longer than 3 s; ``images_per_second``, ``peak_gib`` (of
    ``torch.cuda.max_memory_allocated``); then the rate without ``cudnn.benchmark``; with
    weights that are contiguous instead of channels-last; and of R3GAN with torch's own second
    derivatives of convolutions.
  - ``compiled PRESET``: the same batch with ``--compile on``, and one micro-batch as the whole
    batch with ``--compile cuda-graphs``: the first step's seconds, the rate after it, the memory.
  - ``two processes``: one batch of R3GAN ``paper64``, shared by two GPUs against one.
"""

import argparse
import json
import math
import signal
import sys
import time
from typing import Any

from gpu_checks import FAILED, NOT_RUN, Cells, Check, list_checks, run_check

from facegan.gpu_check import sees_gpu

NO_GPU = (
    "torch sees no GPU here; --dry (make bench-gpu ARGS=--dry) runs the same checks on the CPU, "
    "with tiny networks."
)
INTERRUPTED = 130  # as a shell says of Ctrl-C


def main() -> int:
    options = parse_options()
    if not options.dry and not sees_gpu():
        print(NO_GPU, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("DRY RUN: tiny networks on the CPU" if options.dry else "On a GPU", flush=True)
    checks = [check for check in list_checks(options.dry) if options.only in check.name]
    results = Results(time.monotonic() + 60 * options.minutes)
    is_stopped = run_all(checks, results)
    print(json.dumps({
        "dry": options.dry,
        "stopped": is_stopped,
        "seconds": round(time.monotonic() - results.started),
        "checks": results.checks,
    }), flush=True)  # fmt: skip
    return INTERRUPTED if is_stopped else int(results.has_failures)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry", action="store_true", help="tiny networks on the CPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="the most that all may take")
    parser.add_argument("--only", default="", help="checks whose names contain this")
    return parser.parse_args()


class Results:
    """A table that prints its cells as they are filled.

    Args:
        deadline: When all has to be over, by the monotonic clock.
    """

    def __init__(self, deadline: float) -> None:
        self.started, self.deadline = time.monotonic(), deadline
        self.checks: dict[str, Cells] = {}
        print(f"{'check':22} {'figure':42} value")

    def add(self, check: Check, cell: str, value: Any) -> None:
        """Store and print a cell."""
        cells = self.checks.setdefault(check.name, {})
        cells[cell] = rounded(value)
        print(f"{check.name:22} {cell:42} {cells[cell]}", flush=True)

    def fill(self, check: Check, reason: str) -> None:
        """Write the reason into all cells that have no value."""
        for cell in check.cells:
            if cell not in self.checks.get(check.name, {}):
                self.add(check, cell, f"{NOT_RUN}{reason}")

    @property
    def has_failures(self) -> bool:
        """Return whether a check failed."""
        values = (value for cells in self.checks.values() for value in cells.values())
        return any(str(value).startswith(FAILED) for value in values)


def run_all(checks: list[Check], results: Results) -> bool:
    """Run the checks one after the other; return whether the benchmark was stopped."""
    try:
        for check in checks:
            left = results.deadline - time.monotonic()
            if left > 0:
                run_check(
                    check,
                    min(check.seconds, left),
                    results.checks,
                    lambda cell, value, check=check: results.add(check, cell, value),
                )
            results.fill(check, "the benchmark's time was over")
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the rest is printing
        print("stopped", flush=True)
        for check in checks:
            results.fill(check, "stopped")
        return True
    return False


def rounded(value: Any) -> Any:
    """Return a number to four digits; one that JSON cannot hold as a failure."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else f"{FAILED}the value is {value}"


if __name__ == "__main__":
    sys.exit(main())
