"""The log line of a tick, and the regexes with which SageMaker reads its metrics.

A job declares a name and a regex for each metric (``AlgorithmSpecification.MetricDefinitions``: at
most 40, a regex at most 500 characters). Nothing here needs torch.
"""

import math
from collections.abc import Mapping
from typing import Any

# All metrics of a tick and their meaning, the families' loss terms included: a test trains each
# family and looks for missing ones.
TICK_METRICS = {
    "kimg": "thousands of images shown so far",
    "images_per_second": "training speed without samples and checkpoints",
    "wait_share": "share of a step's time spent waiting for images",
    # loss terms, as the families name them
    "generator": "the generator's loss",
    "discriminator": "the discriminator's loss, if it is one term",
    "reals": "the discriminator's loss on real images",
    "fakes": "the discriminator's loss on generated images",
    "r1": "gradient penalty on reals",
    "r2": "gradient penalty on fakes",
    "path_length": "StyleGAN2's regularisation of the generator",
    "reconstruction": "Pix2Pix's L1 distance to the true image, weighted",
    "cycle": "CycleGAN's L1 distance after both directions, weighted",
    "identity": "CycleGAN's L1 distance of images of the target domain, weighted",
    "feature_matching": "SPADE's distance of discriminator features, weighted",
    "perceptual": "SPADE's distance of EfficientNet-Lite0's features, weighted",
    "kl": "SPADE's KL divergence of styles from N(0, 1), weighted",
    "label_mix": "OASIS's LabelMix, weighted",
    "augment_p": "augmentation probability, if it is adaptive",
    "real_sign": "mean sign of the discriminator's logits on reals; 1 if it has memorised them",
    "fake_sign": "the same on fakes",
    "variety": "distance of samples from one another, relative to that of reals",
    "l1": "mean distance of samples to the true images, in units of white, where there are any",
    # quality: the published names are only for Inception's features
    "fid": "Fréchet Inception distance",
    "kid": "kernel Inception distance",
    "kid_std": "its spread over subsets",
    "precision_inception": "how many fakes look real, over Inception",
    "recall_inception": "how many reals the generator could have made, over Inception",
    "precision": "precision_inception in runs of earlier versions",
    "recall": "recall_inception in runs of earlier versions",
    "fd_lite0": "Fréchet distance over EfficientNet-Lite0",
    "kid_lite0": "kernel distance over EfficientNet-Lite0",
    "kid_lite0_std": "its spread over subsets",
    "precision_lite0": "precision over EfficientNet-Lite0",
    "recall_lite0": "recall over EfficientNet-Lite0",
}
NUMBER = "[-+.0-9einfa]+"  # 0.693147, 1e-05, -0.3; also inf and nan


def tick_line(metrics: Mapping[str, float]) -> str:
    """Return the log line of a tick, ``name=value;`` for each metric."""
    return " ".join(f"{name}={value:.6g};" for name, value in metrics.items())


def metric_regex(name: str) -> str:
    r"""Return the regex for one metric's value; ``\b`` keeps ``kid`` from matching ``x_kid``."""
    return rf"\b{name}=({NUMBER});"


def read_tick(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics in a line of metrics.jsonl, without values that are not finite.

    Args:
        values: The line's JSON object.

    Raises:
        ValueError: it is not a tick: a value is not a number, or kimg is missing.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name!r} is not a number")
    try:
        metrics = {name: float(value) for name, value in values.items()}
    except OverflowError:
        raise ValueError("a number is too large") from None
    if "kimg" not in metrics:
        raise ValueError("kimg is missing")
    if not math.isfinite(metrics["kimg"]):
        raise ValueError("kimg is not finite")
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


# In the format of CreateTrainingJob.
METRIC_DEFINITIONS = [{"Name": name, "Regex": metric_regex(name)} for name in TICK_METRICS]
