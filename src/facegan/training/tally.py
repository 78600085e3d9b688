"""A tick's sums of losses and time, gathered without waiting for the device inside a step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from facegan.errors import TrainingDiverged
from facegan.gans import Terms
from facegan.training.broken_steps import add_without_broken

DIVERGED = (
    "The checkpoints are from before, and resuming would only come here again: start a new run "
    "with lower learning rates, or with --precision fp32."
)


@dataclass
class Tally:
    """What has been summed since the last tick; part of a run's state, so that nothing is lost."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # of these seconds: until a step had its pictures
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add_terms(self, terms: Terms, skip_broken: bool = False) -> None:
        """Add one phase's loss terms, float32 on their device.

        Args:
            terms: By name.
            skip_broken: Leave out terms that are not finite, unless all are.
        """
        for name, value in terms.items():
            total, count = self.sums.get(name, torch.zeros_like(value)), self.counts.get(name, 0)
            whole = add_without_broken(value, total, count) if skip_broken else total + value
            self.sums[name], self.counts[name] = whole, count + 1

    def add_step(self, images: int, seconds: float, waited: float) -> None:
        """Add one step's images, the seconds it took, and those it waited for its pictures."""
        self.images += images
        self.seconds += seconds
        self.waited += waited

    def figures(self, kimg: float) -> dict[str, float]:
        """kimg, images_per_second, wait_share and the mean of every loss term.

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
        """The sums as tensors, and the plain numbers."""
        plain = {"images": self.images, "seconds": self.seconds, "waited": self.waited}
        return dict(self.sums), {**plain, "counts": dict(self.counts)}

    @classmethod
    def from_state(cls, sums: dict[str, Tensor], numbers: Mapping[str, Any]) -> Self:
        """A tally as :meth:`state` left it."""
        plain = numbers["images"], numbers["seconds"], numbers.get("waited", 0.0)
        return cls(*plain, sums, dict(numbers["counts"]))


def refuse_broken_weights(players: Mapping[str, nn.Module], kimg: float) -> None:
    """Refuse what a step's last update has broken after its terms were still finite.

    Raises:
        TrainingDiverged: a weight is not finite.
    """
    for name, player in players.items():
        if not torch.stack([p.isfinite().all() for p in player.parameters()]).all():
            message = f"The {name}'s weights are not finite at {kimg:.1f} kimg."
            raise TrainingDiverged(message, DIVERGED)
