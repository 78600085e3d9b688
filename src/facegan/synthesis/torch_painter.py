"""The old place of ``torch_backend.to_pixels``, until benchmarks/bench_modes.py follows."""

from facegan.synthesis.torch_backend import to_pixels

__all__ = ["to_pixels"]
