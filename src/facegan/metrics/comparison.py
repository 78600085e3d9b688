"""Generated images against real ones: every number with the protocol that it was made by."""

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

MAX_REALS = 50_000  # where FID is not to be as papers have it
PICTURES_SEED = 0


class RealImages(Protocol):
    """Real images: any data set of the room `data` is one."""

    @property
    def digest(self) -> str:
        """What names these pixels in this order."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, indices: Tensor) -> Tensor:
        """uint8 images (N, 3, H, W)."""


@dataclass(frozen=True)
class MetricProtocol:
    """All that a number depends on; numbers of different protocols cannot be compared."""

    samples: int  # fakes
    samples_are: str  # where they come from: seeds, truncation
    pictures: int  # reals, chosen at random, with a seed of their own
    pictures_seed: int
    fid_as_published: bool  # Inception, 50,000 samples or more, all pictures
    data: Mapping[str, Any]  # digest, crop, resize filter …
    extractor: Mapping[str, Any]  # name, weights, size, precision
    kid_subsets: int
    kid_subset_size: int
    kid_among: int  # of either set, at most
    neighbours: int  # k of precision and recall
    neighbours_among: int  # of either set
    computed_by: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Comparison:
    """Real pictures as features, to compare any number of models with.

    Args:
        pictures: The real ones.
        extractor: What sees them.
        samples: How many generated images every comparison takes.
        max_reals: How many real ones at most; which ones is a function of their number. None:
            all where FID is to be as papers have it, otherwise 50,000.
        about: What the protocol says of the data, besides its digest.
        cache: Where features are kept from one process to the next.

    Raises:
        MetricError: too few pictures or samples, it says how many are needed; or torch-fidelity
            is not installed.
    """

    def __init__(
        self,
        pictures: RealImages,
        extractor: Extractor,
        samples: int,
        max_reals: int | None = None,
        about: Mapping[str, Any] | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        self.pictures, self.extractor, self.samples = pictures, extractor, samples
        if max_reals is None:
            is_full = is_published(extractor.name, samples)
            max_reals = len(pictures) if is_full else MAX_REALS
        self.count = min(len(pictures), max_reals)
        check_counts(samples, self.count)
        load_fidelity()  # now, rather than after minutes of drawing
        self.about = {**(about or {}), "digest": pictures.digest}
        self.cache = cache or FeatureCache(None)
        self.kept: FeatureSet | None = None

    def reals(self, progress: OnProgress = no_progress) -> FeatureSet:
        """Return the pictures' features: kept, read from the cache, or extracted."""
        if self.kept is None:
            key = {
                "digest": self.pictures.digest,
                "pictures": self.count,
                "pictures_seed": PICTURES_SEED,
                **self.extractor.protocol,
            }
            self.kept = self.cache.get(key, lambda: self.extract_reals(progress))
        return self.kept

    def extract_reals(self, progress: OnProgress) -> FeatureSet:
        """Return the features of pictures in a random order, so that the first are like all.

        What can only be read in sequence is read so; its features are put into that order.
        """
        numbers = torch.Generator().manual_seed(PICTURES_SEED)
        chosen = torch.randperm(len(self.pictures), generator=numbers)[: self.count]
        places = None
        if getattr(self.pictures, "reads_in_sequence", False):
            places = chosen.argsort()
            chosen = chosen[places]
        batches = (self.pictures.read(indices) for indices in chosen.split(BATCH))
        return collect(batches, self.extractor, self.count, places, progress)

    def scores(
        self, fakes: Iterable[Tensor], progress: OnProgress = no_progress
    ) -> dict[str, float]:
        """The metrics, by name, of a stream of uint8 batches (n, 3, H, W): `samples` in all."""
        reals = self.reals()
        features = collect(fakes, self.extractor, self.samples, progress=progress)
        return scores(features, reals, self.extractor.name)

    def protocol(self, samples_are: str) -> MetricProtocol:
        """How the numbers are made."""
        return MetricProtocol(
            samples=self.samples,
            samples_are=samples_are,
            pictures=self.count,
            pictures_seed=PICTURES_SEED,
            fid_as_published=is_published(self.extractor.name, self.samples)
            and self.count == len(self.pictures),
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
        """What to keep in mind where the sets are small; empty where nothing need be said."""
        smaller, width = min(self.samples, self.count), self.extractor.width
        if smaller > width:
            return ""
        distance = metric_name("fd", self.extractor.name)
        return (
            f"{distance} of {smaller:,} images in {width:,} dimensions is far too large: compare "
            "it at equal numbers only, or trust KID, which is not biased."
        )
