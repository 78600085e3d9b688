"""Estimates the memory that training with a preset needs, from a table; without torch.

``benchmarks/count_memory.py`` computes the table by counting the tensors that are alive in a step.
cuDNN's workspaces and fragmentation add about 10 %.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from facegan.gans.family import Family

MIB, GIB = 2**20, 2**30
PRECISIONS = ("bf16", "fp32")
MAX_SHARE = 0.9  # of a device's memory, that a step may need by this estimate
RUNTIME = 0.75 * GIB  # Python, torch, and on a GPU CUDA's context


@dataclass(frozen=True)
class TrainingMemory:
    """The memory that a step needs: numbers of parameters, and MiB in bf16 and in fp32."""

    parameters: int  # of all players
    averaged: int  # of the players whose moving average is kept
    largest: int  # of the largest player
    image_mib: tuple[float, float]  # per image, at the peak of a step
    fixed_mib: tuple[int, int]  # of any batch: weights in another type, their gradients

    def bytes(self, images: int, precision: str) -> float:
        """Return the bytes for `images` at once, with Adam's moments, averages and gradients."""
        kind = PRECISIONS.index(precision)
        kept = 4 * (3 * self.parameters + self.averaged + self.largest)
        return RUNTIME + kept + MIB * (self.fixed_mib[kind] + images * self.image_mib[kind])

    def largest_fitting(self, sizes: Iterable[int], precision: str, capacity: float) -> int | None:
        """Return the first of some micro-batch sizes, largest first, that fits; None if none do."""
        limit = MAX_SHARE * capacity
        return next((size for size in sizes if self.bytes(size, precision) <= limit), None)


# (family, preset, side) → the fields of TrainingMemory, as benchmarks/count_memory.py prints them.
COUNTED = {
    ("dcgan", "article32", 32): (14_110_788, 2_963_779, 11_147_009, (0.33, 0.68), (112, 160)),
    ("dcgan", "toy32", 32): (1_822_720, 1_159_424, 1_159_424, (0.33, 1.3), (7, 12)),
    ("dcgan", "toy32", 64): (6_536_192, 3_770_624, 3_770_624, (1.53, 5.59), (26, 46)),
    ("r3gan", "paper32", 32): (41_415_936, 20_732_160, 20_732_160, (95.77, 189.53), (60, 6)),
    ("r3gan", "faces32", 32): (41_415_936, 20_732_160, 20_732_160, (95.77, 189.53), (60, 6)),
    ("r3gan", "paper64", 64): (44_811_264, 22_429_824, 22_429_824, (235.37, 468.67), (66, 2)),
    ("r3gan", "faces128", 128): (45_771_648, 22_910_016, 22_910_016, (518.54, 1027.23), (48, 1)),
    ("r3gan", "paper256", 256): (46_067_520, 23_057_952, 23_057_952, (1093.23, 2145.48), (29, 0)),
    ("r3gan", "paper32-conditional", 32): (
        42_055_808, 20_781_440, 21_274_368, (95.78, 189.54), (62, 8)),
    ("r3gan", "toy32", 32): (191_136, 99_600, 99_600, (1.07, 2.01), (0, 0)),
    ("spade", "toy32", 32): (1_115_749, 915_251, 764_227, (2.78, 4.92), (5, 6)),
    ("spade", "paper256", 256): (
        125_121_541, 119_565_187, 109_101_763, (474.15, 902.34), (544, 679)),
    ("spade", "oasis256", 256): (92_776_914, 70_526_915, 70_526_915, (688.19, 1354.38), (445, 535)),
    ("spade", "toy64", 64): (2_198_853, 1_405_459, 990_051, (10.73, 19.35), (10, 13)),
    ("stylegan2", "toy32", 32): (917_261, 349_820, 567_441, (0.72, 1.22), (5, 5)),
    ("stylegan2", "paper32", 32): (41_454_612, 19_947_539, 21_507_073, (19.91, 26.19), (180, 180)),
    ("stylegan2", "paper64", 64): (45_650_969, 22_243_608, 23_407_361, (48.71, 67.4), (195, 195)),
    ("stylegan2", "paper128", 128): (
        46_831_646, 22_949_277, 23_882_369, (108.94, 149.8), (189, 198)),
    ("stylegan2", "paper256", 256): (
        47_192_611, 23_191_522, 24_001_089, (229.63, 314.99), (191, 199)),
    ("cyclegan", "toy32", 32): (512_232, 426_310, 213_155, (2.86, 4.74), (1, 2)),
    ("cyclegan", "toy64", 64): (660_200, 574_278, 287_139, (12.47, 20.24), (2, 2)),
    ("cyclegan", "paper128", 128): (21_204_872, 15_675_398, 7_837_699, (297.64, 423.59), (40, 44)),
    ("cyclegan", "paper256", 256): (
        28_285_832, 22_756_358, 11_378_179, (1506.99, 2111.22), (88, 90)),
    ("pix2pix", "toy32", 32): (947_108, 777_731, 777_731, (0.38, 0.76), (6, 9)),
    ("pix2pix", "toy64", 64): (1_504_676, 1_335_299, 1_335_299, (1.71, 3.21), (12, 13)),
    ("pix2pix", "paper256", 256): (
        57_182_660, 54_413_955, 54_413_955, (49.09, 100.05), (171, 403)),
}  # fmt: skip
TABLE = {key: TrainingMemory(*numbers) for key, numbers in COUNTED.items()}


def table_keys(families: Iterable[Family]) -> Iterator[tuple[str, str, int]]:
    """Yield the table's keys: every preset but tiny ones, at its resolutions from 32 px."""
    for family in families:
        for name in family.presets:
            if not name.startswith("tiny"):
                sides = {
                    side for side, default in family.default_presets.items() if default == name
                }
                sides |= {int(digits) for digits in re.findall(r"\d+", name)}
                yield from ((family.name, name, side) for side in sorted(sides) if side >= 32)


def find_memory(family: Family, preset_name: str, preset: Any, side: int) -> TrainingMemory | None:
    """Return what a preset needs; None if it is not in the table or its sizes were changed."""
    original = family.presets[preset_name]
    for spec in fields(preset):
        value = getattr(preset, spec.name)
        is_size = type(value) is int and spec.name != "classes"
        if is_size and value != getattr(original, spec.name):
            return None
    return TABLE.get((family.name, preset_name, side))


def describe_memory(
    need: TrainingMemory,
    sizes: Sequence[int],
    images: int,
    precision: str,
    device: str,
    capacity: float,
) -> str:
    """Return a sentence: the memory needed, the device's, and a micro-batch that fits.

    Args:
        need: What the preset needs.
        sizes: Every exact micro-batch size, the largest first.
        images: Number of images at once.
        precision: "bf16" or "fp32".
        device: Name of the device.
        capacity: The device's memory in bytes.
    """
    each = need.image_mib[PRECISIONS.index(precision)]
    needed = need.bytes(images, precision)
    text = (
        f"Memory: about {needed / GIB:.1f} GiB for {images} images at once in {precision} "
        f"({each:,.3g} MiB each); {device} has {capacity / GIB:.1f} GiB."
    )
    if needed <= MAX_SHARE * capacity:
        return text
    smaller = [size for size in sizes if size < images]
    fitting = need.largest_fitting(smaller, precision, capacity)
    if fitting:
        needed = need.bytes(fitting, precision)
        return f"{text} micro_batch={fitting} needs about {needed / GIB:.1f} GiB, same result."
    return f"{text} Not even the smallest part, {sizes[-1]} at once, fits."
