"""Random requests of what a model's card says it takes."""

from typing import Any

import numpy as np

from facegan.model_files import ModelCard


def request_of(card: ModelCard, count: int, seed: int = 0) -> dict[str, Any]:
    """Return arguments of ``Synthesizer.generate`` for N different images, always the same."""
    numbers = np.random.default_rng(seed)
    asked: dict[str, Any] = {}
    if card.takes("latents"):
        asked["seeds"] = range(seed, seed + count)
    shape = count, card.resolution, card.resolution
    if card.takes("images"):
        asked["images"] = numbers.integers(0, 256, (*shape, 3), np.uint8)
    if card.takes("label_maps"):
        asked["label_maps"] = numbers.integers(0, len(card.map_classes), shape, np.uint8)
    return asked


def part_of(asked: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    """Return a request for some of the images of another."""
    return {name: value[start:stop] for name, value in asked.items()}
