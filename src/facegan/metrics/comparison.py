"""Compares generated images with real ones; every metric comes with its protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Protocol

import torch
from torch import Tensor

from facegan.metrics.cache import FeatureCache
from facegan.metrics.extractor import BATCH, Extractor, OnProgress, no_progress
from facegan.metrics.feature_set import MAX_ROWS, FeatureSet, collect
from facegan.metrics.fidelity import load_fidelity
from facegan.metrics.scores import (
    KID_SUBSETS,
    NEIGHBOURS,
    check_counts,
    is_published,
    kid_subset_size,
    metric_name,
    scores,
)

MAX_REALS = 50_000  # unless FID is computed as published
REALS_SEED = 0


class RealImages(Protocol):
    """Real images, such as any data set of `facegan.data`."""

    @property
    def digest(self) -> str:
        """Return a digest of the pixels and their order."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, indices: Tensor) -> Tensor:
        """Return uint8 images (N, 3, H, W)."""


@dataclass(frozen=True)
class MetricProtocol:
    """All that a metric depends on, as JSON shows it; only equal protocols can be compared."""

    samples: int  # generated images
    samples_are: str  # their origin: seeds, truncation
    pictures: int  # real images, chosen at random
    pictures_seed: int
    fid_as_published: bool  # Inception, 50,000 samples or more, all real images
    data: Mapping[str, Any]  # digest, crop, resize filter …
    extractor: Mapping[str, Any]  # name, weights, size, precision
    kid_subsets: int
    kid_subset_size: int
    kid_among: int  # most images of either set
    neighbours: int  # k of precision and recall
    neighbours_among: int  # images of either set
    computed_by: str

    def as_dict(self) -> dict[str, Any]:
        """Return the protocol as JSON values."""
        return asdict(self)


class Comparison:
    """Features of real images, with which any number of models are compared.

    Args:
        images: The real images.
        extractor: The feature extractor.
        samples: Number of generated images in a comparison.
        max_reals: Most real images, chosen at random but always the same; None: all if FID is
            computed as published, else 50,000.
        about: Facts on the data for the protocol, besides its digest.
        cache: Cache of the features.

    Raises:
        MetricError: too few images or samples, or torch-fidelity is not installed.
    """

    def __init__(
        self,
        images: RealImages,
        extractor: Extractor,
        samples: int,
        max_reals: int | None = None,
        about: Mapping[str, Any] | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        self.images, self.extractor, self.samples = images, extractor, samples
        if max_reals is None:
            is_full = is_published(extractor.name, samples)
            max_reals = len(images) if is_full else MAX_REALS
        self.count = min(len(images), max_reals)
        check_counts(samples, self.count)
        load_fidelity()  # fail now rather than after minutes of generating
        self.about = {**(about or {}), "digest": images.digest}
        self.cache = cache or FeatureCache(None)
        self.features: FeatureSet | None = None

    def reals(self, progress: OnProgress = no_progress) -> FeatureSet:
        """Return the real images' features, from memory, from the cache or extracted."""
        if self.features is None:
            key = {
                "digest": self.images.digest,
                "pictures": self.count,
                "pictures_seed": REALS_SEED,
                **self.extractor.protocol,
            }
            self.features = self.cache.get(key, lambda: self.extract_reals(progress))
        return self.features

    def extract_reals(self, progress: OnProgress) -> FeatureSet:
        """Extract features in a random order of images, so that the first rows represent all.

        Streams are read in sequence, and their features are put into that order.
        """
        numbers = torch.Generator().manual_seed(REALS_SEED)
        chosen = torch.randperm(len(self.images), generator=numbers)[: self.count]
        positions = None
        if getattr(self.images, "reads_in_sequence", False):
            positions = chosen.argsort()
            chosen = chosen[positions]
        batches = (self.images.read(indices) for indices in chosen.split(BATCH))
        return collect(batches, self.extractor, self.count, positions, progress)

    def scores(
        self, fakes: Iterable[Tensor], progress: OnProgress = no_progress
    ) -> dict[str, float]:
        """Return the metrics, by name, of a stream of `samples` images: uint8 (n, 3, H, W)."""
        reals = self.reals()
        features = collect(fakes, self.extractor, self.samples, progress=progress)
        return scores(features, reals, self.extractor.name)

    def protocol(self, samples_are: str) -> MetricProtocol:
        """Return the protocol of the metrics."""
        return MetricProtocol(
            samples=self.samples,
            samples_are=samples_are,
            pictures=self.count,
            pictures_seed=REALS_SEED,
            fid_as_published=is_published(self.extractor.name, self.samples)
            and self.count == len(self.images),
            data=self.about,
            extractor=self.extractor.protocol,
            kid_subsets=KID_SUBSETS,
            kid_subset_size=kid_subset_size(self.samples, self.count),
            kid_among=MAX_ROWS,
            neighbours=NEIGHBOURS,
            neighbours_among=min(self.samples, self.count, MAX_ROWS),
            computed_by=f"torch-fidelity {version('torch-fidelity')}",
        )

    @property
    def small_sample_warning(self) -> str:
        """Return a warning if the sets are too small for the Fréchet distance, else ""."""
        smaller, width = min(self.samples, self.count), self.extractor.width
        if smaller > width:
            return ""
        distance = metric_name("fd", self.extractor.name)
        return (
            f"{distance} of {smaller:,} images in {width:,} dimensions is far too large: compare "
            "it at equal numbers only, or trust KID, which is not biased."
        )
