"""Features of many images: the mean and covariance of all, the rows of no more than 50,000.

The Fréchet distance is over all real images, and there may be millions; KID, precision and recall
compare rows, of which the papers take 50,000 at most. So memory does not grow with the data.
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
    """The mean and covariance of rows that come in blocks, in float64.

    Args:
        width: Of a row.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.shift = torch.zeros(width, dtype=torch.float64)  # near the mean: nothing cancels
        self.total = torch.zeros_like(self.shift)
        self.products = torch.zeros(width, width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Count in some rows (n, width)."""
        for block in features.double().split(BLOCK):
            if self.count == 0:
                self.shift = block.mean(0)
            self.count += len(block)
            block = block - self.shift
            self.total += block.sum(0)
            self.products.addmm_(block.T, block)

    @property
    def mean(self) -> Tensor:
        """Of all rows (width,)."""
        return self.shift + self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """Of all rows (width, width), over one less than their number."""
        centre = self.products - torch.outer(self.total, self.total) / self.count
        return centre / (self.count - 1)


@dataclass(frozen=True)
class FeatureSet:
    """What is kept of the features of `count` images."""

    rows: Tensor  # float32 (min(count, MAX_ROWS), width)
    count: int
    mean: Tensor  # float64 (width,), of all
    covariance: Tensor  # float64 (width, width), of all

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Return what is kept of features (N, width)."""
        moments = Moments(features.shape[1])
        moments.add(features)
        return cls(features[:MAX_ROWS], len(features), moments.mean, moments.covariance)


def collect(
    batches: Iterable[Tensor],
    extractor: Extractor,
    count: int,
    places: Tensor | None = None,
    progress: OnProgress = no_progress,
) -> FeatureSet:
    """Extract the features of a stream of `count` images.

    Args:
        batches: uint8 images (n, 3, H, W).
        extractor: What sees them.
        count: How many come.
        places: Where each image stands in the set (count,), which decides whose rows are kept;
            None: as they come.
        progress: Called with how many images were done.

    Raises:
        ValueError: fewer or more came.
    """
    rows = torch.empty(min(count, MAX_ROWS), extractor.width)
    moments, seen = Moments(extractor.width), 0
    for batch in batches:
        features = extractor(batch)
        stop = seen + len(features)
        if stop <= count:
            own = torch.arange(seen, stop) if places is None else places[seen:stop]
            is_kept = own < len(rows)
            rows[own[is_kept]] = features[is_kept]
            if not is_kept.all():
                moments.add(features[~is_kept])
        seen = stop
        progress(len(features))
    if seen != count:
        raise ValueError(f"{seen} samples came, not {count}")
    moments.add(rows)  # in the order of the set, whatever order they came in
    return FeatureSet(rows, count, moments.mean, moments.covariance)
