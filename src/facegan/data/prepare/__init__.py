"""Prepares images for training: decodes, crops and resizes them once into a packed data set."""

from facegan.data.prepare.checking import CheckResult, check
from facegan.data.prepare.crops import CROPS
from facegan.data.prepare.merging import merge
from facegan.data.prepare.pipeline import prepare
from facegan.data.prepare.sampling import read_label_map, sample
from facegan.data.prepare.sources import StreamSource

__all__ = [
    "CROPS", "CheckResult", "StreamSource", "check", "merge", "prepare", "read_label_map", "sample"
]  # fmt: skip
