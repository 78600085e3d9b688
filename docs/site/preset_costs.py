"""Writes the table of what the paper presets cost, for docs/training.md, from the presets.

Lengths and batches are those of the recipes, memory that of ``facegan.gans.memory``. The rates are
an estimate, made once by a roofline over every operation of a step: nothing was measured on a GPU.
"""

import sys
from dataclasses import dataclass

from facegan.gans import find_family
from facegan.gans.memory import GIB, find_need
from facegan.training.plan import micro_batch_sizes

GPUS = ("H100", "H200", "A10G")
CAPACITIES = (79.2 * GIB, 22.1 * GIB)  # what CUDA reports of an H100 with 80 GB and of an A10G


@dataclass(frozen=True)
class Estimate:
    """What a roofline says of a preset's step in bf16."""

    family: str
    preset: str
    side: int
    gflop: int  # per image
    rates: tuple[int, int, int]  # images per second on each of GPUS


ESTIMATES = (
    Estimate("r3gan", "paper32", 32, 267, (414, 468, 38)),
    Estimate("r3gan", "paper64", 64, 496, (186, 214, 18)),
    Estimate("r3gan", "faces128", 128, 761, (94, 111, 9)),
    Estimate("r3gan", "paper256", 256, 1094, (47, 57, 5)),
    Estimate("stylegan2", "paper32", 32, 107, (1220, 1360, 132)),
    Estimate("stylegan2", "paper64", 64, 205, (660, 757, 69)),
    Estimate("stylegan2", "paper128", 128, 303, (400, 472, 44)),
    Estimate("stylegan2", "paper256", 256, 402, (235, 285, 29)),
)
HEADER = (
    "| preset | batch | length, kimg | memory of a whole batch, GiB | `--micro-batch` on 80 GB, on "
    f"24 GB | GFLOP an image | images/s: {' / '.join(GPUS)} | hours of the whole run |",
    "|---|---|---|---|---|---|---|---|",
)


def row_of(estimate: Estimate) -> str:
    """Return a preset's row."""
    family = find_family(estimate.family)
    preset = family.presets[estimate.preset]
    batch, kimg = preset.recipe["batch_size"], preset.recipe["total_kimg"]
    hours = " / ".join(two_digits(kimg * 1000 / rate / 3600) for rate in estimate.rates)
    need = find_need(family, estimate.preset, preset, estimate.side)
    memory, parts = "not counted", "not counted"
    if need:
        memory = f"{need.bytes(batch, 'bf16') / GIB:,.0f}"
        sizes = micro_batch_sizes(family, preset, batch, 1)
        fitting = [need.largest_fitting(sizes, "bf16", room) for room in CAPACITIES]
        parts = ", ".join("whole" if size == batch else str(size or "none") for size in fitting)
    rates = " / ".join(map(str, estimate.rates))
    return (
        f"| `{estimate.family} {estimate.preset}` | {batch} | {kimg:,.0f} | {memory} | {parts} "
        f"| {estimate.gflop:,} | {rates} | {hours} |"
    )


def two_digits(number: float) -> str:
    """Return a number with as many digits as an estimate has."""
    return f"{float(f'{number:.2g}'):,.10g}"


def table() -> list[str]:
    """Return the table's lines."""
    return [*HEADER, *map(row_of, ESTIMATES)]


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
