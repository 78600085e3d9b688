"""From latents to images: the one place where a generator's floats become pixels.

What needs torch (``engine``, ``torch_painter``, ``foreign``) is imported by its own name, so that a
model's exported graphs are drawn without it.
"""

from facegan.synthesis.classes import Class, labels_of_seeds
from facegan.synthesis.footprint import Footprint, foresee
from facegan.synthesis.latents import MAX_SEED, latents_of_seeds, slerp, walk
from facegan.synthesis.opening import Drawing, open_synthesizer
from facegan.synthesis.rows import Rows
from facegan.synthesis.synthesizer import Synthesizer

__all__ = [
    "MAX_SEED",
    "Class",
    "Drawing",
    "Footprint",
    "Rows",
    "Synthesizer",
    "foresee",
    "labels_of_seeds",
    "latents_of_seeds",
    "open_synthesizer",
    "slerp",
    "walk",
]
