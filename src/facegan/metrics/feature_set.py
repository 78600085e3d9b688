"""Features of many images: mean and covariance of all, and at most 50,000 of the rows.

The Fréchet distance needs the moments of all real images, of which there may be millions. KID,
precision and recall compare rows, 50,000 at most in papers. So memory does not grow with the data.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from facegan.metrics.extractor import Extractor, OnProgress, no_progress

MAX_ROWS = 50_000
BLOCK = 4096  # rows whose products are added at a time


class Moments:
    """Running mean and covariance of rows (N, width), in float64."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.shift = torch.zeros(width, dtype=torch.float64)  # near the mean, against cancellation
        self.total = torch.zeros_like(self.shift)
        self.products = torch.zeros(width, width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Add rows (n, width)."""
        for block in features.double().split(BLOCK):
            if self.count == 0:
                self.shift = block.mean(0)
            self.count += len(block)
            block = block - self.shift
            self.total += block.sum(0)
            self.products.addmm_(block.T, block)

    @property
    def mean(self) -> Tensor:
        """Return the mean (width,)."""
        return self.shift + self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """Return the unbiased covariance (width, width)."""
        centre = self.products - torch.outer(self.total, self.total) / self.count
        return centre / (self.count - 1)


@dataclass(frozen=True)
class FeatureSet:
    """Features of `count` images: some rows, and the moments of all."""

    rows: Tensor  # float32 (min(count, MAX_ROWS), width)
    count: int
    mean: Tensor  # float64 (width,), of all
    covariance: Tensor  # float64 (width, width), of all

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Build a set from features (N, width)."""
        moments = Moments(features.shape[1])
        moments.add(features)
        return cls(features[:MAX_ROWS], len(features), moments.mean, moments.covariance)


def collect(
    batches: Iterable[Tensor],
    extractor: Extractor,
    count: int,
    positions: Tensor | None = None,
    progress: OnProgress = no_progress,
) -> FeatureSet:
    """Extract the features of a stream of `count` images.

    Args:
        batches: uint8 images (n, 3, H, W).
        extractor: The feature extractor.
        count: Number of images in the stream; ValueError if there are more or fewer.
        positions: Position of each image in the set (count,), which decides whose rows are kept;
            None: the stream's order.
        progress: Called with the number of images done since the last call.
    """
    rows = torch.empty(min(count, MAX_ROWS), extractor.width)
    moments, seen = Moments(extractor.width), 0
    for batch in batches:
        features = extractor(batch)
        stop = seen + len(features)
        if stop <= count:
            targets = torch.arange(seen, stop) if positions is None else positions[seen:stop]
            is_kept = targets < len(rows)
            rows[targets[is_kept]] = features[is_kept]
            if not is_kept.all():
                moments.add(features[~is_kept])
        seen = stop
        progress(len(features))
    if seen != count:
        raise ValueError(f"{seen} samples came, not {count}")
    moments.add(rows)  # in the set's order, so that the stream's order does not matter
    return FeatureSet(rows, count, moments.mean, moments.covariance)
