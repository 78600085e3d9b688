"""Writes the table of the paper presets' hours, for docs/training.md, from the presets.

Lengths and batches are those of the recipes. The rates are an estimate, made once by a roofline
over every operation of a step: nothing was measured on a GPU.
"""

import sys
from dataclasses import dataclass

from facegan.gans import find_family

GPUS = ("H100", "H200", "A10G")


@dataclass(frozen=True)
class Estimate:
    """What a roofline says of a preset's step in bf16."""

    family: str
    preset: str
    gflop: int  # per image
    rates: tuple[int, int, int]  # images per second on each of GPUS


ESTIMATES = (
    Estimate("r3gan", "paper32", 267, (414, 468, 38)),
    Estimate("r3gan", "paper64", 496, (186, 214, 18)),
    Estimate("r3gan", "faces128", 761, (94, 111, 9)),
    Estimate("r3gan", "paper256", 1094, (47, 57, 5)),
    Estimate("stylegan2", "paper32", 107, (1220, 1360, 132)),
    Estimate("stylegan2", "paper64", 205, (660, 757, 69)),
    Estimate("stylegan2", "paper128", 303, (400, 472, 44)),
    Estimate("stylegan2", "paper256", 402, (235, 285, 29)),
)
HEADER = (
    f"| preset | batch | length, kimg | GFLOP per image | images/s: {' / '.join(GPUS)} "
    "| hours for the full length |",
    "|---|---|---|---|---|---|",
)


def row_of(estimate: Estimate) -> str:
    """Return a preset's row."""
    recipe = find_family(estimate.family).presets[estimate.preset].recipe
    kimg = recipe["total_kimg"]
    rates = " / ".join(f"{rate:,}" for rate in estimate.rates)
    hours = " / ".join(two_digits(kimg * 1000 / rate / 3600) for rate in estimate.rates)
    return (
        f"| `{estimate.family} {estimate.preset}` | {recipe['batch_size']} | {kimg:,.0f} "
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
