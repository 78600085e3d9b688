"""Reads seeds as people write them: 7, 0-15, or 0-3,8."""

import re

MAX_FACES = 100_000  # far beyond any request's limit; keeps a mistyped range out of memory
RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def parse_seeds(text: str) -> list[int]:
    """The seeds a text names, in its order.

    Raises:
        ValueError: a part is no whole number and no rising range, or there are too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        if not found:
            raise ValueError(f"{part!r} is no seed and no range of seeds.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= 2**32:
            raise ValueError(f"{part!r} does not rise within 0 to {2**32 - 1}.")
        if len(seeds) + last - first >= MAX_FACES:
            raise ValueError(f"{text!r} names more than {MAX_FACES} seeds.")
        seeds.extend(range(first, last + 1))
    return seeds
