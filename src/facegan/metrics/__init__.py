"""Image quality metrics: FID, KID, precision and recall of two streams of images."""

from facegan.metrics.cache import FeatureCache
from facegan.metrics.comparison import Comparison, MetricProtocol, RealImages
from facegan.metrics.extractor import EXTRACTORS, Extractor, extract, open_extractor
from facegan.metrics.feature_set import FeatureSet
from facegan.metrics.inception import find_inception
from facegan.metrics.scores import (
    EARLIER_NAMES,
    MIN_SAMPLES,
    is_published,
    metric_name,
    metric_names,
    scores,
)

__all__ = [
    "EARLIER_NAMES",
    "EXTRACTORS",
    "MIN_SAMPLES",
    "Comparison",
    "Extractor",
    "FeatureCache",
    "FeatureSet",
    "MetricProtocol",
    "RealImages",
    "extract",
    "find_inception",
    "is_published",
    "metric_name",
    "metric_names",
    "open_extractor",
    "scores",
]
