"""Parses lists of seeds such as 7, 0-15 or 0-3,8."""

import re

MAX_SEEDS = 100_000  # far beyond any request's limit; a mistyped range must not fill the memory
RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def parse_seeds(text: str) -> list[int]:
    """Return the seeds in their order; raise ValueError for other text, or too many seeds."""
    seeds: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        if not found:
            raise ValueError(f"{part!r} is not a seed or a range of seeds.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= 2**32:
            raise ValueError(f"{part!r} is not an ascending range within 0 to {2**32 - 1}.")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise ValueError(f"{text!r} names more than {MAX_SEEDS} seeds.")
        seeds.extend(range(first, last + 1))
    return seeds
