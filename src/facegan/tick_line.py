"""The line a tick prints, and the regexes that read it back: one format, known in one place.

SageMaker draws no curve by itself: a job declares a name and a regex for each figure
(``AlgorithmSpecification.MetricDefinitions``: at most 40, a regex at most 500 characters), and
SageMaker reads the output by them. Whoever launches a job declares ``METRIC_DEFINITIONS``;
nothing here needs torch.
"""

import math
from collections.abc import Mapping
from typing import Any

# Every figure of a tick that SageMaker shall draw, and what it is. A family's own loss terms stand
# here too: a test trains each family and finds no figure that is missing.
TICK_METRICS = {
    "kimg": "thousands of images shown so far",
    "images_per_second": "speed of training, pictures and checkpoints not counted",
    "wait_share": "share of a step's time that went by until it had its pictures",
    # loss terms, as the families name them
    "generator": "the generator's game",
    "discriminator": "the discriminator's game, where it is one term",
    "reals": "the discriminator's half on real pictures",
    "fakes": "the discriminator's half on generated pictures",
    "r1": "gradient penalty on reals",
    "r2": "gradient penalty on fakes",
    "path_length": "StyleGAN2's regularisation of the generator",
    "augment_p": "how likely augmentation is, where it moves",
    "real_sign": "mean sign of the discriminator's logits on reals; 1 where it has learnt them",
    "fake_sign": "the same on fakes",
    "variety": "how far samples are from one another, in shares of how far reals are",
    # quality: the published names only over Inception's features, others say whose they are
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


def tick_line(figures: Mapping[str, float]) -> str:
    """One line a tick, ``name=value;`` each: what :func:`metric_regex` reads."""
    return " ".join(f"{name}={value:.6g};" for name, value in figures.items())


def metric_regex(name: str) -> str:
    r"""What finds one figure's value in a tick's line; ``\b`` keeps ``kid`` out of ``x_kid``."""
    return rf"\b{name}=({NUMBER});"


def read_tick(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a line of metrics.jsonl; those that are not finite are left out.

    Args:
        values: The line's JSON object.

    Raises:
        ValueError: it is no tick: a value is no number, or there is no kimg.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name!r} is no number")
    try:
        figures = {name: float(value) for name, value in values.items()}
    except OverflowError:
        raise ValueError("a number is too large") from None
    if "kimg" not in figures:
        raise ValueError("kimg is missing")
    if not math.isfinite(figures["kimg"]):
        raise ValueError("kimg is not finite")
    return {name: value for name, value in figures.items() if math.isfinite(value)}


# As CreateTrainingJob takes them.
METRIC_DEFINITIONS = [{"Name": name, "Regex": metric_regex(name)} for name in TICK_METRICS]
