"""FID, KID, precision and recall of two sets of features, computed by torch-fidelity."""

from collections.abc import Sequence

from torch import Tensor

from facegan.errors import MetricError
from facegan.metrics.feature_set import FeatureSet
from facegan.metrics.fidelity import load_fidelity

# Imports inside functions: torch-fidelity imports torchvision, and is an optional package.

NEIGHBOURS = 3  # of precision and recall: k in Kynkäänniemi et al., arXiv:1904.06991
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # at most; half of the smaller set where that is less
KID_SEED = 2020  # torch-fidelity's own
MIN_SAMPLES = NEIGHBOURS + 1  # k neighbours besides oneself
PUBLISHED = "inception"  # the extractor of FID and KID
PUBLISHED_SAMPLES = 50_000  # fakes that papers draw for FID; they compare them with all reals
# metric → what it is called when Inception made it, and when another extractor did. Precision and
# recall are the paper's over VGG-16 alone, so they carry the extractor's name.
NAMES = {
    "fd": ("fid", "fd_{}"),  # the Fréchet distance is FID over Inception alone
    "kid": ("kid", "kid_{}"),
    "kid_std": ("kid_std", "kid_{}_std"),
    "precision": ("precision_inception", "precision_{}"),
    "recall": ("recall_inception", "recall_{}"),
}
# What runs of earlier versions call them.
EARLIER_NAMES = {"precision_inception": "precision", "recall_inception": "recall"}


def metric_name(metric: str, extractor: str) -> str:
    """What a metric is called when an extractor made it: fid, or fd_lite0."""
    published, other = NAMES[metric]
    return published if extractor == PUBLISHED else other.format(extractor)


def metric_names(extractors: Sequence[str]) -> set[str]:
    """Every name a metric can have, in runs of earlier versions too."""
    names = {metric_name(metric, extractor) for extractor in extractors for metric in NAMES}
    return names | {EARLIER_NAMES[name] for name in names & EARLIER_NAMES.keys()}


def is_published(extractor: str, samples: int) -> bool:
    """Whether FID is to be as papers have it: Inception, 50,000 fakes or more, and all reals."""
    return extractor == PUBLISHED and samples >= PUBLISHED_SAMPLES


def kid_subset_size(samples: int, pictures: int) -> int:
    """How many of each set a subset of KID holds; half of all leaves its spread a meaning."""
    return min(KID_SUBSET_SIZE, min(samples, pictures) // 2)


def check_counts(samples: int, pictures: int) -> None:
    """Refuse sets too small for the metrics.

    Raises:
        MetricError: it says how many are needed.
    """
    for count, kind in ((samples, "samples"), (pictures, "pictures")):
        if count < MIN_SAMPLES:
            raise MetricError(
                f"{count} {kind} are too few: precision and recall with k = {NEIGHBOURS} need "
                f"at least {MIN_SAMPLES}.",
                "Thousands make numbers worth comparing.",
            )


def scores(
    fakes: Tensor | FeatureSet, reals: Tensor | FeatureSet, extractor: str
) -> dict[str, float]:
    """Compare the features of fakes with those of reals.

    Heusel et al., arXiv:1706.08500 (FID); Bińkowski et al., arXiv:1801.01401 (KID, cubic kernel,
    unbiased); Kynkäänniemi et al., arXiv:1904.06991 (precision and recall, over equally many of
    either set: the first). The Fréchet distance is over all, the others over the rows that are
    kept.

    Args:
        fakes: (N, width), or what is kept of them.
        reals: (M, width), or what is kept of them.
        extractor: The name of what made them; it decides what the numbers are called.

    Returns:
        By name: the Fréchet distance, KID's mean and standard deviation over its subsets,
        precision and recall.

    Raises:
        MetricError: too few of either, or torch-fidelity is missing.
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
    """The Fréchet distance of the two sets' normal distributions, in float64."""
    load_fidelity()
    from torch_fidelity import metric_fid as fid

    moments = [{"mu": of.mean.numpy(), "sigma": of.covariance.numpy()} for of in (fakes, reals)]
    return float(fid.fid_statistics_to_metric(*moments, verbose=False)[fid.KEY_METRIC_FID])


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
