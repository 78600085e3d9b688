"""Sums a tick's loss terms and times, without waiting for the device inside a step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from facegan.errors import TrainingDiverged
from facegan.gans import Terms
from facegan.training.nan_gradients import add_finite

DIVERGED = (
    "The checkpoints are from before, and resuming would only come here again: start a new run "
    "with lower learning rates, or with --precision fp32."
)


@dataclass
class MetricAccumulator:
    """Sums since the last tick; a part of a run's state, so that a resumed run loses nothing."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # seconds of these spent waiting for images
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add_terms(self, terms: Terms, skip_nan: bool = False) -> None:
        """Add one phase's loss terms by name, float32 on their device.

        With `skip_nan`, leave out terms that are not finite, unless all are.
        """
        for name, value in terms.items():
            total, count = self.sums.get(name, torch.zeros_like(value)), self.counts.get(name, 0)
            self.sums[name] = add_finite(value, total, count) if skip_nan else total + value
            self.counts[name] = count + 1

    def add_step(self, images: int, seconds: float, waited: float) -> None:
        """Add one step's images, its seconds, and those it waited for its images."""
        self.images += images
        self.seconds += seconds
        self.waited += waited

    def figures(self, kimg: float) -> dict[str, float]:
        """Return kimg, images_per_second, wait_share and the mean of every loss term.

        Raises:
            TrainingDiverged: a term is not finite.
        """
        means = {name: total.item() / self.counts[name] for name, total in self.sums.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                message = f"The loss term {name!r} is {value} at {kimg:.1f} kimg."
                raise TrainingDiverged(message, DIVERGED)
        seconds = max(self.seconds, 1e-9)
        rates = {"images_per_second": self.images / seconds, "wait_share": self.waited / seconds}
        return {"kimg": kimg, **rates, **means}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the sums as tensors, and the plain numbers."""
        numbers = {"images": self.images, "seconds": self.seconds, "waited": self.waited}
        return dict(self.sums), {**numbers, "counts": dict(self.counts)}

    @classmethod
    def from_state(cls, sums: dict[str, Tensor], numbers: Mapping[str, Any]) -> Self:
        """Rebuild an accumulator from what :meth:`state` returned."""
        plain = numbers["images"], numbers["seconds"], numbers.get("waited", 0.0)
        return cls(*plain, sums, dict(numbers["counts"]))


def check_weights_finite(players: Mapping[str, nn.Module], kimg: float) -> None:
    """Raise TrainingDiverged if a weight is not finite: the last update may have broken it."""
    for name, player in players.items():
        if not torch.stack([p.isfinite().all() for p in player.parameters()]).all():
            message = f"The {name}'s weights are not finite at {kimg:.1f} kimg."
            raise TrainingDiverged(message, DIVERGED)
