"""From latents to images: the one place where a generator's floats become pixels."""

from facegan.synthesis.classes import Class, labels_of_seeds
from facegan.synthesis.engine import Engine, use_at_most
from facegan.synthesis.footprint import Footprint, foresee, is_out_of_memory
from facegan.synthesis.foreign import foreign_artifact
from facegan.synthesis.latents import MAX_SEED, latents_of_seeds, slerp, walk
from facegan.synthesis.rows import Rows
from facegan.synthesis.synthesizer import Synthesizer, to_pixels

__all__ = [
    "MAX_SEED",
    "Class",
    "Engine",
    "Footprint",
    "Rows",
    "Synthesizer",
    "foreign_artifact",
    "foresee",
    "is_out_of_memory",
    "labels_of_seeds",
    "latents_of_seeds",
    "slerp",
    "to_pixels",
    "use_at_most",
    "walk",
]
