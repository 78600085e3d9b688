"""Evaluates the averaged generator during training (KID, FD), and keeps the best weights."""

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

# Latents (N, latent_dim), and labels (N,) of a conditional GAN → uint8 images (N, 3, H, W)
Draw = Callable[[Tensor, Tensor | None], Tensor]
DRAWN_AT_ONCE = 64


class Stopped(Exception):
    """The run was stopped during an evaluation, which will be repeated."""


@dataclass(frozen=True)
class Snapshot:
    """A generator's weights at an evaluation, and its metrics."""

    weights: Tensors
    figures: Mapping[str, float]  # kimg and every metric


class Evaluation:
    """Evaluates a run every `evaluate_kimg`; its state is part of the run's.

    The fakes have seeds 0 … N - 1, so that ``facegan evaluate`` computes the same numbers for the
    model.

    Args:
        images: The real images: the training data, or held-out ones.
        config: The interval, the number of samples and the extractor.
        about: Facts about the images for the protocol, besides their digest.
        cache: Keeps their features.
        device: Where the extractor computes.

    Raises:
        MetricError: too few images or samples, or the extractor is not available.
    """

    def __init__(
        self,
        images: Dataset,
        config: TrainingConfig,
        about: Mapping[str, Any] | None = None,
        cache: FeatureCache | None = None,
        device: str = "cpu",
    ) -> None:
        extractor = open_extractor(config.evaluate_extractor, device=device)
        samples = config.evaluate_samples
        max_reals = None if is_published(extractor.name, samples) else samples
        self.comparison = Comparison(images, extractor, samples, max_reals, about, cache)
        self.every_images = (config.evaluate_kimg or math.inf) * 1000
        self.judged_by = metric_name("kid", extractor.name)  # unbiased, also for small data sets
        self.last: Mapping[str, float] = {}
        self.best: Snapshot | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        """How the metrics are computed."""
        last = self.comparison.samples - 1
        return self.comparison.protocol(f"seeds 0 to {last}, truncation psi 1").as_dict()

    def is_due(self, trainer: TrainerProtocol) -> bool:
        """Return whether `evaluate_kimg` has passed again since the last tick, or the run ends."""
        before, now = trainer.images_at_last_tick, trainer.images_seen
        return now // self.every_images > before // self.every_images or trainer.has_trained_all

    def run(self, trainer: TrainerProtocol) -> Mapping[str, float]:
        """Return the averaged generator's metrics by name; keep it if it is the best so far.

        Raises:
            Stopped: the trainer was stopped meanwhile.
        """
        metrics = self.measure(trainer.gan, trainer.draw_pixels, lambda: trainer.stop_requested)
        self.last = {"kimg": trainer.kimg, **metrics}
        if self.best is None or metrics[self.judged_by] < self.best.figures[self.judged_by]:
            weights = trainer.gan.served_weights()
            copies = {name: value.detach().cpu().clone() for name, value in weights.items()}
            self.best = Snapshot(copies, self.last)
        return metrics

    def is_best_now(self, trainer: TrainerProtocol) -> bool:
        """Return whether the current generator is the best."""
        return self.best is not None and self.best.figures["kimg"] == trainer.kimg

    def measure(self, gan: Gan, draw: Draw, is_stopped: Callable[[], bool]) -> dict[str, float]:
        """Return the metrics of the images that `draw` makes of the fixed latents."""
        with bar("Real images", self.comparison.count, is_stopped) as progress:
            self.comparison.reals(progress)
        with bar("Evaluating", self.comparison.samples, is_stopped) as progress:
            fakes = (draw(*inputs) for inputs in seeded_inputs(gan, self.comparison.samples))
            return self.comparison.scores(fakes, progress)

    def card(self) -> dict[str, Any]:
        """Return a model card's metrics: those of the last and the best, and their protocol."""
        best = {**self.best.figures, "judged_by": self.judged_by} if self.best else {}
        return {"last": dict(self.last), "best": best, "protocol": self.protocol}

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Return the best generator's weights, and all metrics with their protocol."""
        weights = self.best.weights if self.best else {}
        best = dict(self.best.figures) if self.best else None
        return weights, {"last": dict(self.last), "best": best, "protocol": self.protocol}

    def check_state(self, protocol: Mapping[str, Any], best: Mapping[str, float] | None) -> None:
        """Check that saved metrics are comparable with those to come.

        Raises:
            RunError: they were computed by another protocol.
            ValueError: the saved state is damaged.
        """
        try:
            before, now = comparable(protocol), comparable(self.protocol)
        except (KeyError, TypeError):
            raise ValueError("evaluation.protocol does not name the data") from None
        for name in before:
            if before[name] != now.get(name):
                raise RunError(
                    f"The run was evaluated with {name} {before[name]} before, not "
                    f"{now.get(name)}.",
                    "Evaluate it against the same images, with the same packages.",
                )
        if best is not None and not {"kimg", self.judged_by} <= best.keys():
            raise ValueError(f"evaluation.best has no {self.judged_by}")

    def load_state(self, weights: Tensors, numbers: Mapping[str, Any]) -> None:
        """Load what :meth:`state` returned, after :meth:`check_state`."""
        self.last = numbers["last"]
        self.best = Snapshot(weights, numbers["best"]) if numbers["best"] else None


def comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol without the data's name and place, which may change."""
    return {**protocol, "data": protocol["data"]["digest"]}


def seeded_inputs(gan: Gan, samples: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the latents, and a conditional GAN's labels, of seeds 0 … samples - 1 in batches."""
    for first in range(0, samples, DRAWN_AT_ONCE):
        seeds = range(first, min(first + DRAWN_AT_ONCE, samples))
        numbers = [torch.Generator().manual_seed(seed) for seed in seeds]
        latents = torch.cat([gan.sample_latents(1, generator) for generator in numbers])
        labels = [draw_labels(gan.classes, 1, generator) for generator in numbers if gan.classes]
        yield latents, torch.cat(labels) if labels else None


@contextmanager
def bar(title: str, total: int, is_stopped: Callable[[], bool]) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; its callback raises Stopped between two batches."""
    with tqdm(total=total, desc=title, unit="img", leave=False, disable=None) as shown:

        def progress(done: int) -> None:
            shown.update(done)
            if is_stopped():
                raise Stopped

        yield progress
