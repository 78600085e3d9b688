"""How good pictures are: FID, KID, precision and recall over a feature extractor.

Two streams of images are compared; where they come from is not asked.
"""

from facegan.metrics.extractor import EXTRACTORS, Extractor, extract, open_extractor
from facegan.metrics.scores import metric_name, metric_names, scores

__all__ = [
    "EXTRACTORS",
    "Extractor",
    "extract",
    "metric_name",
    "metric_names",
    "open_extractor",
    "scores",
]
