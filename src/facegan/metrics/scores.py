"""FID, KID, precision and recall of two sets of features, computed by torch-fidelity."""

from collections.abc import Sequence

from torch import Tensor

from facegan.errors import MetricError
from facegan.metrics.fidelity import load_fidelity

NEIGHBOURS = 3  # of precision and recall: k in Kynkäänniemi et al., arXiv:1904.06991
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # at most; half of the smaller set where that is less
KID_SEED = 2020  # torch-fidelity's own
FEWEST = NEIGHBOURS + 1  # k neighbours besides oneself
PUBLISHED = "inception"  # the extractor whose numbers carry the published names
# metric → what it is called when Inception made it, as published, and when another extractor did.
NAMES = {
    "fd": ("fid", "fd_{}"),  # the Fréchet distance is FID over Inception alone
    "kid": ("kid", "kid_{}"),
    "kid_std": ("kid_std", "kid_{}_std"),
    "precision": ("precision", "precision_{}"),
    "recall": ("recall", "recall_{}"),
}


def metric_name(metric: str, extractor: str) -> str:
    """What a metric is called when an extractor made it: fid, or fd_lite0."""
    published, other = NAMES[metric]
    return published if extractor == PUBLISHED else other.format(extractor)


def metric_names(extractors: Sequence[str]) -> set[str]:
    """Every name a metric can have."""
    return {metric_name(metric, extractor) for extractor in extractors for metric in NAMES}


def kid_subset_size(samples: int, pictures: int) -> int:
    """How many of each set a subset of KID holds; half of all leaves its spread a meaning."""
    return min(KID_SUBSET_SIZE, min(samples, pictures) // 2)


def check_counts(samples: int, pictures: int) -> None:
    """Refuse sets too small for the metrics.

    Raises:
        MetricError: it says how many are needed.
    """
    for count, kind in ((samples, "samples"), (pictures, "pictures")):
        if count < FEWEST:
            raise MetricError(
                f"{count} {kind} are too few: precision and recall with k = {NEIGHBOURS} need "
                f"at least {FEWEST}.",
                "Thousands make numbers worth comparing.",
            )


def scores(fakes: Tensor, reals: Tensor, extractor: str) -> dict[str, float]:
    """Compare the features of fakes with those of reals.

    Heusel et al., arXiv:1706.08500 (FID); Bińkowski et al., arXiv:1801.01401 (KID, cubic kernel,
    unbiased); Kynkäänniemi et al., arXiv:1904.06991 (precision and recall, over equally many of
    either set: the first).

    Args:
        fakes: (N, width)
        reals: (M, width)
        extractor: The name of what made them; it decides what the numbers are called.

    Returns:
        By name: the Fréchet distance, KID's mean and standard deviation over its subsets,
        precision and recall.

    Raises:
        MetricError: too few of either, or torch-fidelity is missing.
    """
    check_counts(len(fakes), len(reals))
    found = {
        "fd": frechet_distance(fakes, reals),
        **kernel_distance(fakes, reals),
        **precision_and_recall(fakes, reals),
    }
    return {metric_name(name, extractor): value for name, value in found.items()}


def frechet_distance(fakes: Tensor, reals: Tensor) -> float:
    """The Fréchet distance of the two sets' normal distributions, in float64."""
    load_fidelity()
    from torch_fidelity import metric_fid as fid

    means = [fid.fid_features_to_statistics(features.double()) for features in (fakes, reals)]
    return float(fid.fid_statistics_to_metric(*means, verbose=False)[fid.KEY_METRIC_FID])


def kernel_distance(fakes: Tensor, reals: Tensor) -> dict[str, float]:
    """The squared maximum mean discrepancy: its mean and deviation over random subsets.

    In float32, which halves the time and moves the seventh digit.
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
    """Which share of each set lies within the other's balls around its k nearest neighbours."""
    load_fidelity()
    from torch_fidelity import metric_prc as prc

    count = min(len(fakes), len(reals))
    found = prc.prc_features_to_metric(
        fakes[:count].double(),  # distances are differences of large numbers
        reals[:count].double(),
        prc_neighborhood=NEIGHBOURS,
        prc_batch_size=1000,
        save_cpu_ram=True,  # distances in parts: the same numbers in less memory
        verbose=False,
    )
    return {"precision": found[prc.KEY_METRIC_PRECISION], "recall": found[prc.KEY_METRIC_RECALL]}
