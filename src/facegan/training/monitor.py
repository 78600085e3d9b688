"""Warns once about training failures that do not raise, such as mode collapse.

The diagnostics use figures that mean the same for every family, and wait until they have lasted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from facegan.data import Dataset

Figures = Mapping[str, float]

COMPARED = 64  # images, each of which is compared with all others


@dataclass(frozen=True)
class Diagnostic:
    """A training failure that a tick's figures show."""

    applies: Callable[[Figures], bool]  # KeyError where a figure is missing
    message: str  # formatted with the figures
    advice: str
    ticks: int = 3  # warn after so many in a row


COLLAPSED = "The fakes hardly vary: samples are {variety:.1%} as far from one another as reals are."
AFTER_COLLAPSE = (
    "A run seldom recovers from a collapse: start again with lower learning rates, larger batches, "
    "a higher gamma, where the family has these, or another --seed."
)
DIAGNOSTICS = (
    Diagnostic(
        lambda f: f["real_sign"] > 0.99 and f["fake_sign"] < -0.99,
        "The discriminator wins outright: it tells practically all reals from fakes "
        "(real_sign={real_sign:.3f}, fake_sign={fake_sign:.3f}), and the generator learns little.",
        "Lower the discriminator's learning rate or width, or raise gamma, where the family has "
        "these; with few images, --augment blit,geom,recolor --augment-probability adaptive.",
    ),
    Diagnostic(lambda f: f["variety"] < min(0.1, f["most_variety"] / 2), COLLAPSED, AFTER_COLLAPSE),
    # Samples that have never varied may still begin to: some generators take a few ticks.
    Diagnostic(lambda f: f["variety"] < 0.05, COLLAPSED, AFTER_COLLAPSE, ticks=10),
    Diagnostic(
        lambda f: f["augment_p"] > 0.85,
        "The augmentation probability is {augment_p:.0%} and still rising: beyond 80% the "
        "generator may learn to draw augmented images.",
        "There are too few images for so large a discriminator: add some (mirrored ones count), "
        "or raise gamma, where the family has one.",
    ),
)


class TrainingMonitor:
    """Checks a run's ticks against the diagnostics, and reports each once."""

    def __init__(self) -> None:
        self.ticks = dict.fromkeys(DIAGNOSTICS, 0)  # in a row
        self.reported: set[str] = set()
        self.most_variety = 0.0

    def check(self, figures: Figures) -> list[str]:
        """Return the warnings after a tick; most ticks have none."""
        self.most_variety = max(self.most_variety, figures.get("variety", 0.0))
        figures = {**figures, "most_variety": self.most_variety}
        warnings = []
        for diagnostic in DIAGNOSTICS:
            try:
                applies = diagnostic.applies(figures)
            except KeyError:  # this run has no such figure
                applies = False
            self.ticks[diagnostic] = self.ticks[diagnostic] + 1 if applies else 0
            is_new = diagnostic.message not in self.reported
            if is_new and self.ticks[diagnostic] >= diagnostic.ticks:
                self.reported.add(diagnostic.message)
                warnings.append(f"{diagnostic.message.format_map(figures)} {diagnostic.advice}")
        return warnings


class SampleDiversity:
    """Measures how much fakes vary, relative to the data.

    An image's distance to its nearest other one falls to nothing when a generator draws one image
    only, and also when it draws a few. Diversity is the median distance over the fakes divided by
    that over as many reals: about 1 is as varied as the data.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.count = min(COMPARED, len(dataset))
        reals = dataset.read(torch.arange(self.count) * len(dataset) // self.count)
        self.of_reals = distance_to_nearest(reals)

    def figures(self, fakes: Tensor) -> dict[str, float]:
        """Return `variety` of uint8 fakes (N, 3, H, W); none if the data does not vary."""
        if not self.of_reals:
            return {}
        return {"variety": distance_to_nearest(fakes[: self.count]) / self.of_reals}


def distance_to_nearest(images: Tensor) -> float:
    """Return the median distance of uint8 images (N, 3, H, W) to their nearest other; 0 for one."""
    if len(images) < 2:
        return 0.0
    pixels = images.flatten(1).float()
    distances = torch.cdist(pixels, pixels, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.fill_diagonal_(torch.inf).amin(1).median())
