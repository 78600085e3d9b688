"""Generates images from seeds and latents: the one place where a generator's floats become pixels.

Modules that import torch (``device_context``, ``torch_backend``, ``custom_module``) are not
imported here, so that OpenVINO servers start without it.
"""

from facegan.synthesis.classes import Class, labels_of_seeds
from facegan.synthesis.input_batch import InputBatch
from facegan.synthesis.latents import MAX_SEED, interpolation_path, latents_of_seeds, slerp
from facegan.synthesis.load import BackendConfig, open_synthesizer
from facegan.synthesis.memory_estimate import MemoryEstimate, estimate_memory
from facegan.synthesis.synthesizer import Synthesizer

__all__ = [
    "MAX_SEED",
    "BackendConfig",
    "Class",
    "InputBatch",
    "MemoryEstimate",
    "Synthesizer",
    "estimate_memory",
    "interpolation_path",
    "labels_of_seeds",
    "latents_of_seeds",
    "open_synthesizer",
    "slerp",
]
