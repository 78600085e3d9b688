"""Image quality metrics: FID, KID, precision, recall; L1, SSIM and IoU where there is a truth."""

from facegan.metrics.cache import FeatureCache
from facegan.metrics.comparison import Comparison, MetricProtocol, RealImages
from facegan.metrics.extractor import EXTRACTORS, Extractor, extract, open_extractor
from facegan.metrics.feature_set import FeatureSet
from facegan.metrics.inception import find_inception
from facegan.metrics.paired import mean_absolute_difference, structural_similarity
from facegan.metrics.scores import (
    EARLIER_NAMES,
    MIN_SAMPLES,
    is_published,
    metric_name,
    metric_names,
    scores,
)
from facegan.metrics.segmentation import class_ious, count_confusion, mean_iou, pixel_accuracy

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
    "class_ious",
    "count_confusion",
    "extract",
    "find_inception",
    "is_published",
    "mean_absolute_difference",
    "mean_iou",
    "metric_name",
    "metric_names",
    "open_extractor",
    "pixel_accuracy",
    "scores",
    "structural_similarity",
]
