"""Quality while training: the averaged generator's faces against real ones, and the best kept."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from facegan.data import Dataset
from facegan.errors import RunError
from facegan.gans import Gan, draw_labels
from facegan.hyperparameters.training import TrainingConfig
from facegan.metrics import (
    Comparison,
    FeatureCache,
    is_published,
    metric_name,
    open_extractor,
)
from facegan.training.checkpoint import Tensors
from facegan.training.trainer_protocol import TrainerProtocol

# Latents (N, latent_dim), and labels (N,) of a conditional game → uint8 images (N, 3, H, W).
Draw = Callable[[Tensor, Tensor | None], Tensor]
DRAWN_AT_ONCE = 64


class Stopped(Exception):
    """The run was asked to stop in the middle of an evaluation; nothing of it counts."""


@dataclass(frozen=True)
class Snapshot:
    """A generator as it was at an evaluation, and its figures there."""

    weights: Tensors
    figures: Mapping[str, float]  # kimg, and every metric


class Evaluation:
    """Evaluates a run every so many kimg; its state is a part of the run's.

    The faces are those of seeds 0 … N - 1, so that ``facegan evaluate`` finds the same numbers for
    the model as the run did.

    Args:
        pictures: The real ones: the training data, or others of their kind.
        config: Says how often, how many, and with which extractor.
        about: What the protocol says of the pictures, besides their digest.
        cache: Where their features are kept.
        device: Where the extractor computes.

    Raises:
        MetricError: too few pictures or samples, or the extractor cannot be had.
    """

    def __init__(
        self,
        pictures: Dataset,
        config: TrainingConfig,
        about: Mapping[str, Any] | None = None,
        cache: FeatureCache | None = None,
        device: str = "cpu",
    ) -> None:
        extractor = open_extractor(config.evaluate_extractor, device=device)
        samples = config.evaluate_samples
        most = None if is_published(extractor.name, samples) else samples
        self.comparison = Comparison(pictures, extractor, samples, most, about, cache)
        self.every_images = (config.evaluate_kimg or math.inf) * 1000
        self.judged_by = metric_name("kid", extractor.name)  # unbiased, so at home in small sets
        self.last: Mapping[str, float] = {}
        self.best: Snapshot | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        """How the figures are made."""
        last = self.comparison.samples - 1
        return self.comparison.protocol(f"seeds 0 to {last}, truncation psi 1").as_dict()

    def is_due(self, trainer: TrainerProtocol) -> bool:
        """Whether a multiple of `evaluate_kimg` was passed since the last tick, or the run ends."""
        before, now = trainer.images_at_last_tick, trainer.images_seen
        return now // self.every_images > before // self.every_images or trainer.has_trained_all

    def run(self, trainer: TrainerProtocol) -> Mapping[str, float]:
        """Evaluate the averaged generator as it is now; remember it if it is the best so far.

        Returns:
            The metrics by name.

        Raises:
            Stopped: the run was asked to stop.
        """
        metrics = self.measure(trainer.gan, trainer.draw_pixels, lambda: trainer.stop_requested)
        self.last = {"kimg": trainer.kimg, **metrics}
        if self.best is None or metrics[self.judged_by] < self.best.figures[self.judged_by]:
            weights = trainer.gan.generator_ema.state_dict()
            copies = {name: value.detach().cpu().clone() for name, value in weights.items()}
            self.best = Snapshot(copies, self.last)
        return metrics

    def is_best_now(self, trainer: TrainerProtocol) -> bool:
        """Whether the best snapshot is of this very moment."""
        return self.best is not None and self.best.figures["kimg"] == trainer.kimg

    def measure(self, gan: Gan, draw: Draw, is_stopped: Callable[[], bool]) -> dict[str, float]:
        """The metrics of what `draw` makes of the fixed latents."""
        with bar("Real pictures", self.comparison.count, is_stopped) as progress:
            self.comparison.reals(progress)
        with bar("Evaluating", self.comparison.samples, is_stopped) as progress:
            fakes = (draw(*inputs) for inputs in seeded_inputs(gan, self.comparison.samples))
            return self.comparison.scores(fakes, progress)

    def card(self) -> dict[str, Any]:
        """What a model card says: the figures of the last and of the best, and their protocol."""
        best = {**self.best.figures, "judged_by": self.judged_by} if self.best else {}
        return {"last": dict(self.last), "best": best, "protocol": self.protocol}

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """The best generator's weights, and all figures with their protocol."""
        weights = self.best.weights if self.best else {}
        best = dict(self.best.figures) if self.best else None
        return weights, {"last": dict(self.last), "best": best, "protocol": self.protocol}

    def check_state(self, protocol: Mapping[str, Any], best: Mapping[str, float] | None) -> None:
        """Refuse figures that would not compare with those to come.

        Raises:
            RunError: the run was evaluated by another protocol before.
            ValueError: it is no protocol, or the best has no figures.
        """
        try:
            before, now = comparable(protocol), comparable(self.protocol)
        except (KeyError, TypeError):
            raise ValueError("evaluation.protocol says nothing of the data") from None
        for name in before:
            if before[name] != now.get(name):
                raise RunError(
                    f"The run was evaluated with {name} {before[name]} before, not "
                    f"{now.get(name)}.",
                    "Evaluate it against the same pictures, with the same packages.",
                )
        if best is not None and not {"kimg", self.judged_by} <= best.keys():
            raise ValueError(f"evaluation.best has no {self.judged_by}")

    def load_state(self, weights: Tensors, numbers: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` left, once :meth:`check_state` has let it pass."""
        self.last = numbers["last"]
        self.best = Snapshot(weights, numbers["best"]) if numbers["best"] else None


def comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol without what the pictures are called: they may have moved."""
    return {**protocol, "data": protocol["data"]["digest"]}


def seeded_inputs(gan: Gan, samples: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """What seeds 0 … samples - 1 draw from, a batch at a time: latents, and labels of a
    conditional game, each seed's with random numbers of its own.
    """
    for first in range(0, samples, DRAWN_AT_ONCE):
        seeds = range(first, min(first + DRAWN_AT_ONCE, samples))
        numbers = [torch.Generator().manual_seed(seed) for seed in seeds]
        latents = torch.cat([gan.sample_latents(1, generator) for generator in numbers])
        labels = [draw_labels(gan.classes, 1, generator) for generator in numbers if gan.classes]
        yield latents, torch.cat(labels) if labels else None


@contextmanager
def bar(what: str, total: int, is_stopped: Callable[[], bool]) -> Iterator[Callable[[int], None]]:
    """A bar that goes when it is done, and lets a stop through between two batches."""
    with tqdm(total=total, desc=what, unit="img", leave=False, disable=None) as shown:

        def progress(done: int) -> None:
            shown.update(done)
            if is_stopped():
                raise Stopped

        yield progress
