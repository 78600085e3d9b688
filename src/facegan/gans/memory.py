"""How much memory training with a preset needs: a table of what was counted, read without torch.

The figures are of ``benchmarks/count_memory.py``, which counts the tensors that are alive in
a step. cuDNN's workspaces and fragments come on top: expect a tenth more.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from facegan.gans.family import Family

MIB, GIB = 2**20, 2**30
PRECISIONS = ("bf16", "fp32")
MOST = 0.9  # of a device's memory, that a step should need by these figures
RUNTIME = 0.75 * GIB  # Python, torch, and on a GPU CUDA's context


@dataclass(frozen=True)
class Need:
    """What a step needs.

    Args:
        parameters: Of all players.
        averaged: Of the players whose moving average is kept.
        largest: Of the player that has the most.
        image_mib: What each image takes at the peak of a step, in bf16 and in fp32.
        fixed_mib: What comes besides, whatever the batch: weights in another type, their gradients.
    """

    parameters: int
    averaged: int
    largest: int
    image_mib: tuple[float, float]
    fixed_mib: tuple[int, int]

    def bytes(self, images: int, precision: str) -> float:
        """For so many images at once: weights, Adam's moments, averages, gradients, activations."""
        kind = PRECISIONS.index(precision)
        kept = 4 * (3 * self.parameters + self.averaged + self.largest)
        return RUNTIME + kept + MIB * (self.fixed_mib[kind] + images * self.image_mib[kind])

    def largest_fitting(self, sizes: Iterable[int], precision: str, capacity: float) -> int | None:
        """The first of some sizes of a micro-batch, the largest first, that fits with some room."""
        room = MOST * capacity
        return next((size for size in sizes if self.bytes(size, precision) <= room), None)


# (family, preset, side) → what was counted.
TABLE: dict[tuple[str, str, int], Need] = {}


def rows(families: Iterable[Family]) -> Iterator[tuple[str, str, int]]:
    """What the table should hold: every preset but the tiny ones, at the sides it is made for."""
    for family in families:
        for name in family.presets:
            if not name.startswith("tiny"):
                sides = {
                    side for side, default in family.default_presets.items() if default == name
                }
                sides |= {int(digits) for digits in re.findall(r"\d+", name)}
                yield from ((family.name, name, side) for side in sorted(sides))


def find_need(family: Family, preset_name: str, preset: Any, side: int) -> Need | None:
    """What a preset needs; None where it was not counted, or where its sizes were changed."""
    original = family.presets[preset_name]
    for spec in fields(preset):
        value = getattr(preset, spec.name)
        is_size = type(value) is int and spec.name != "classes"
        if is_size and value != getattr(original, spec.name):
            return None
    return TABLE.get((family.name, preset_name, side))


def describe_need(
    need: Need, sizes: Sequence[int], images: int, precision: str, device: str, capacity: float
) -> str:
    """Say what so many images at once need, what a device has, and which micro-batch would fit.

    Args:
        need: The preset's.
        sizes: Every exact micro-batch, the largest first.
        images: At once.
        precision: "bf16" or "fp32".
        device: Its name.
        capacity: The device's bytes.
    """
    each = need.image_mib[PRECISIONS.index(precision)]
    needed = need.bytes(images, precision)
    told = (
        f"Memory: about {needed / GIB:.1f} GiB for {images} images at once in {precision} "
        f"({each:,.3g} MiB each); {device} has {capacity / GIB:.1f} GiB."
    )
    if needed <= MOST * capacity:
        return told
    smaller = [size for size in sizes if size < images]
    fitting = need.largest_fitting(smaller, precision, capacity)
    if fitting:
        needed = need.bytes(fitting, precision)
        return f"{told} micro_batch={fitting} needs about {needed / GIB:.1f} GiB, same result."
    return f"{told} Not even the smallest part, {sizes[-1]} at once, fits."
