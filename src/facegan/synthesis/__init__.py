"""From latents to images: the one place where a generator's floats become pixels."""

from facegan.synthesis.classes import Class, labels_of_seeds
from facegan.synthesis.latents import MAX_SEED, latents_of_seeds, slerp, walk
from facegan.synthesis.rows import Rows
from facegan.synthesis.synthesizer import Synthesizer, to_pixels

__all__ = [
    "MAX_SEED",
    "Class",
    "Rows",
    "Synthesizer",
    "labels_of_seeds",
    "latents_of_seeds",
    "slerp",
    "to_pixels",
    "walk",
]
