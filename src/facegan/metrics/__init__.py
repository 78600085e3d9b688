"""How good pictures are: FID, KID, precision and recall over a feature extractor.

Two streams of images are compared; where they come from is not asked.
"""

from facegan.metrics.cache import FeatureCache
from facegan.metrics.comparison import Comparison, MetricProtocol, Pictures
from facegan.metrics.extractor import EXTRACTORS, Extractor, extract, open_extractor
from facegan.metrics.scores import FEWEST, metric_name, metric_names, scores

__all__ = [
    "EXTRACTORS",
    "FEWEST",
    "Comparison",
    "Extractor",
    "FeatureCache",
    "MetricProtocol",
    "Pictures",
    "extract",
    "metric_name",
    "metric_names",
    "open_extractor",
    "scores",
]
