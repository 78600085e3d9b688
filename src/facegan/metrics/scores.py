"""FID, KID, precision and recall of two sets of features, computed by torch-fidelity."""

from collections.abc import Sequence

from torch import Tensor

from facegan.errors import MetricError
from facegan.metrics.feature_set import FeatureSet
from facegan.metrics.fidelity import load_fidelity

# Imports inside functions: torch-fidelity imports torchvision, and is an optional package.

NEIGHBOURS = 3  # of precision and recall: k in Kynkäänniemi et al., arXiv:1904.06991
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # at most; half of the smaller set if that is less
KID_SEED = 2020  # torch-fidelity's default
MIN_SAMPLES = NEIGHBOURS + 1  # each image and its k neighbours
PUBLISHED = "inception"  # the extractor of FID and KID
PUBLISHED_SAMPLES = 50_000  # generated images for FID in papers, against all real ones
# metric → its name with Inception, and with another extractor. The paper's precision and recall use
# VGG-16, so ours always have the extractor's name.
NAMES = {
    "fd": ("fid", "fd_{}"),  # the Fréchet distance is FID over Inception alone
    "kid": ("kid", "kid_{}"),
    "kid_std": ("kid_std", "kid_{}_std"),
    "precision": ("precision_inception", "precision_{}"),
    "recall": ("recall_inception", "recall_{}"),
}
# Names in runs of earlier versions.
EARLIER_NAMES = {"precision_inception": "precision", "recall_inception": "recall"}


def metric_name(metric: str, extractor: str) -> str:
    """Return a metric's name with an extractor, such as fid or fd_lite0."""
    published, other = NAMES[metric]
    return published if extractor == PUBLISHED else other.format(extractor)


def metric_names(extractors: Sequence[str]) -> set[str]:
    """Return every name that a metric can have, also in runs of earlier versions."""
    names = {metric_name(metric, extractor) for extractor in extractors for metric in NAMES}
    return names | {EARLIER_NAMES[name] for name in names & EARLIER_NAMES.keys()}


def is_published(extractor: str, samples: int) -> bool:
    """Return whether FID is to be as published: Inception, 50,000 samples or more, all reals."""
    return extractor == PUBLISHED and samples >= PUBLISHED_SAMPLES


def kid_subset_size(samples: int, reals: int) -> int:
    """Return the size of a KID subset: at most half of a set, so that subsets differ."""
    return min(KID_SUBSET_SIZE, min(samples, reals) // 2)


def check_counts(samples: int, reals: int) -> None:
    """Raise MetricError if a set is too small for the metrics."""
    for count, kind in ((samples, "samples"), (reals, "real images")):
        if count < MIN_SAMPLES:
            raise MetricError(
                f"{count} {kind} are too few: precision and recall with k = {NEIGHBOURS} need "
                f"at least {MIN_SAMPLES}.",
                "Use thousands, for metrics that can be compared.",
            )


def scores(
    fakes: Tensor | FeatureSet, reals: Tensor | FeatureSet, extractor: str
) -> dict[str, float]:
    """Compute the metrics from features of fakes (N, width) and reals (M, width).

    Heusel et al., arXiv:1706.08500 (FID); Bińkowski et al., arXiv:1801.01401 (KID, cubic kernel,
    unbiased); Kynkäänniemi et al., arXiv:1904.06991 (precision and recall, over the same number of
    rows of each set). The Fréchet distance uses the moments of all images, the others the rows.

    Returns:
        The Fréchet distance, mean and standard deviation of KID over its subsets, precision and
        recall, under their names with that extractor.

    Raises:
        MetricError: a set is too small, or torch-fidelity is missing.
    """
    ours, theirs = (
        it if isinstance(it, FeatureSet) else FeatureSet.of(it) for it in (fakes, reals)
    )
    check_counts(ours.count, theirs.count)
    found = {
        "fd": frechet_distance(ours, theirs),
        **kernel_distance(ours.rows, theirs.rows),
        **precision_and_recall(ours.rows, theirs.rows),
    }
    return {metric_name(name, extractor): value for name, value in found.items()}


def frechet_distance(fakes: FeatureSet, reals: FeatureSet) -> float:
    """Compute the Fréchet distance of the two sets' normal distributions, in float64."""
    load_fidelity()
    from torch_fidelity import metric_fid as fid

    moments = [{"mu": of.mean.numpy(), "sigma": of.covariance.numpy()} for of in (fakes, reals)]
    return float(fid.fid_statistics_to_metric(*moments, verbose=False)[fid.KEY_METRIC_FID])


def kernel_distance(fakes: Tensor, reals: Tensor) -> dict[str, float]:
    """Compute KID's mean and standard deviation over random subsets.

    In float32, which takes half the time and changes the seventh digit.
    """
    load_fidelity()
    from torch_fidelity import metric_kid as kid

    found = kid.kid_features_to_metric(
        fakes.float(),
        reals.float(),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=kid_subset_size(len(fakes), len(reals)),
        rng_seed=KID_SEED,
        verbose=False,
    )
    return {"kid": found[kid.KEY_METRIC_KID_MEAN], "kid_std": found[kid.KEY_METRIC_KID_STD]}


def precision_and_recall(fakes: Tensor, reals: Tensor) -> dict[str, float]:
    """Compute the share of each set that lies within the other's k-nearest-neighbour balls."""
    load_fidelity()
    from torch_fidelity import metric_prc as prc

    count = min(len(fakes), len(reals))
    found = prc.prc_features_to_metric(
        fakes[:count].double(),  # small differences of large numbers
        reals[:count].double(),
        prc_neighborhood=NEIGHBOURS,
        prc_batch_size=1000,
        save_cpu_ram=True,  # distances in parts: the same numbers in less memory
        verbose=False,
    )
    return {"precision": found[prc.KEY_METRIC_PRECISION], "recall": found[prc.KEY_METRIC_RECALL]}
