"""A game that has gone wrong without stopping is noticed, and said once, with what to try.

It is judged by figures that mean the same for every family, and only when it has lasted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from facegan.data import Dataset

Figures = Mapping[str, float]

COMPARED = 64  # pictures, of which each is compared with all others


@dataclass(frozen=True)
class Symptom:
    """Something in a tick's figures that should not last."""

    shows: Callable[[Figures], bool]  # KeyError where a figure is missing
    sentence: str  # formatted with the figures
    advice: str
    ticks: int = 3  # how many in a row are no accident


COLLAPSED = "The fakes hardly vary: samples are {variety:.1%} as far from one another as reals are."
AFTER_COLLAPSE = (
    "A collapse seldom mends itself: start again with lower learning rates, larger batches, a "
    "higher gamma, where the family has these, or another --seed."
)
SYMPTOMS = (
    Symptom(
        lambda f: f["real_sign"] > 0.99 and f["fake_sign"] < -0.99,
        "The discriminator wins outright: it tells practically all reals from fakes "
        "(real_sign={real_sign:.3f}, fake_sign={fake_sign:.3f}), and the generator learns little.",
        "Lower the discriminator's learning rate or width, or raise gamma, where the family has "
        "these; with few pictures, --augment blit,geom,recolor --augment-probability adaptive.",
    ),
    Symptom(lambda f: f["variety"] < min(0.1, f["most_variety"] / 2), COLLAPSED, AFTER_COLLAPSE),
    # What has never varied may still begin to: some generators take a few ticks.
    Symptom(lambda f: f["variety"] < 0.05, COLLAPSED, AFTER_COLLAPSE, ticks=10),
    Symptom(
        lambda f: f["augment_p"] > 0.85,
        "Augmentation is at {augment_p:.0%} and still asked for: beyond 80% the generator may "
        "learn to draw it.",
        "There are too few pictures for so large a discriminator: add some (mirrored ones count), "
        "or raise gamma, where the family has one.",
    ),
)


class Watch:
    """Looks at a run's ticks, and says what has lasted, each thing once."""

    def __init__(self) -> None:
        self.lasted = dict.fromkeys(SYMPTOMS, 0)
        self.said: set[str] = set()
        self.most_variety = 0.0

    def look(self, figures: Figures) -> list[str]:
        """What is to be said after a tick: warnings, mostly none."""
        self.most_variety = max(self.most_variety, figures.get("variety", 0.0))
        figures = {**figures, "most_variety": self.most_variety}
        for symptom in SYMPTOMS:
            self.lasted[symptom] = self.lasted[symptom] + 1 if is_seen(symptom, figures) else 0
        return [
            f"{symptom.sentence.format_map(figures)} {symptom.advice}"
            for symptom in SYMPTOMS
            if self.lasted[symptom] >= symptom.ticks and self.is_new(symptom)
        ]

    def is_new(self, symptom: Symptom) -> bool:
        """Whether it has not been said before; from now on it has."""
        before = len(self.said)
        self.said.add(symptom.sentence)
        return len(self.said) > before


def is_seen(symptom: Symptom, figures: Figures) -> bool:
    """Whether a tick's figures show it; not where they lack what it goes by."""
    try:
        return symptom.shows(figures)
    except KeyError:
        return False


class Variety:
    """How much fakes vary among themselves, in shares of how much the data does.

    A picture's distance to the nearest other one falls to nothing when a generator draws one
    picture only, and also when it draws a few. The median of it over the fakes is divided by that
    over as many reals: about 1 is as varied as the data.
    """

    def __init__(self, dataset: Dataset) -> None:
        count = min(COMPARED, len(dataset))
        reals = dataset.read(torch.arange(count) * len(dataset) // count)
        self.count, self.of_reals = count, distance_to_nearest(reals)

    def figures(self, fakes: Tensor) -> dict[str, float]:
        """`variety` of uint8 fakes (N, 3, H, W); nothing where the data itself does not vary."""
        if not self.of_reals:
            return {}
        return {"variety": distance_to_nearest(fakes[: self.count]) / self.of_reals}


def distance_to_nearest(images: Tensor) -> float:
    """The median distance of uint8 images (N, 3, H, W) to their nearest other one; 0 of one."""
    if len(images) < 2:
        return 0.0
    pixels = images.flatten(1).float()
    distances = torch.cdist(pixels, pixels, compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.fill_diagonal_(torch.inf).amin(1).median())
