"""Evaluates the averaged generator during training (KID, FD), and keeps the best weights."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from tqdm import tqdm

from facegan.data import Dataset
from facegan.errors import RunError
from facegan.gans import Gan
from facegan.hyperparameters.training import TrainingConfig
from facegan.metrics import (
    Comparison,
    FeatureCache,
    is_published,
    metric_name,
    open_extractor,
)
from facegan.training.checkpoint import Tensors
from facegan.training.example_inputs import ExampleInputs, Fakes
from facegan.training.step_batches import needed_companions
from facegan.training.trainer_protocol import TrainerProtocol

# The served network's inputs, in order → uint8 images (N, 3, H, W)
Draw = Callable[..., Tensor]


class Stopped(Exception):
    """The run was stopped during an evaluation, which will be repeated."""


@dataclass(frozen=True)
class Snapshot:
    """A generator's weights at an evaluation, and its metrics."""

    weights: Tensors
    figures: Mapping[str, float]  # kimg and every metric


class Evaluation:
    """Evaluates a run every `evaluate_kimg`; its state is part of the run's.

    The fakes are samples 0 … N - 1 of :class:`ExampleInputs`, so that ``facegan evaluate`` computes
    the same numbers for the model.

    Args:
        gan: The players; they declare what the generator takes.
        images: The real images, with companions if the generator is given such: the training data,
            or held-out ones.
        config: The interval, the number of samples and the extractor.
        about: Facts about the images for the protocol, besides their digest.
        cache: Keeps their features.
        device: Where the extractor computes.

    Raises:
        ConfigError: the data lacks a companion.
        MetricError: too few images or samples, or the extractor is not available.
    """

    def __init__(
        self,
        gan: Gan,
        images: Dataset,
        config: TrainingConfig,
        about: Mapping[str, Any] | None = None,
        cache: FeatureCache | None = None,
        device: str = "cpu",
    ) -> None:
        extractor = open_extractor(config.evaluate_extractor, device=device)
        samples = config.evaluate_samples
        max_reals = None if is_published(extractor.name, samples) else samples
        needed_companions(gan.family, gan.preset, images)
        self.examples = ExampleInputs(gan, images)
        self.comparison = Comparison(
            self.examples.target, extractor, samples, max_reals, about, cache
        )
        self.every_images = (config.evaluate_kimg or math.inf) * 1000
        self.judged_by = metric_name("kid", extractor.name)  # unbiased, also for small data sets
        self.last: Mapping[str, float] = {}
        self.best: Snapshot | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        """How the metrics are computed."""
        samples_are = self.examples.describe(self.comparison.samples)
        return self.comparison.protocol(samples_are).as_dict()

    def is_due(self, trainer: TrainerProtocol) -> bool:
        """Return whether `evaluate_kimg` has passed again since the last tick, or the run ends."""
        before, now = trainer.images_at_last_tick, trainer.images_seen
        return now // self.every_images > before // self.every_images or trainer.has_trained_all

    def run(self, trainer: TrainerProtocol) -> Mapping[str, float]:
        """Return the averaged generator's metrics by name; keep it if it is the best so far.

        Raises:
            Stopped: the trainer was stopped meanwhile.
        """
        metrics = self.measure(trainer.draw_pixels, lambda: trainer.stop_requested)
        self.last = {"kimg": trainer.kimg, **metrics}
        if self.best is None or metrics[self.judged_by] < self.best.figures[self.judged_by]:
            weights = trainer.gan.served_weights()
            copies = {name: value.detach().cpu().clone() for name, value in weights.items()}
            self.best = Snapshot(copies, self.last)
        return metrics

    def is_best_now(self, trainer: TrainerProtocol) -> bool:
        """Return whether the current generator is the best."""
        return self.best is not None and self.best.figures["kimg"] == trainer.kimg

    def measure(self, draw: Draw, is_stopped: Callable[[], bool]) -> dict[str, float]:
        """Return the metrics of the images that `draw` makes of the samples' inputs."""
        with bar("Real images", self.comparison.count, is_stopped) as progress:
            self.comparison.reals(progress)
        with bar("Evaluating", self.comparison.samples, is_stopped) as progress:
            samples = self.comparison.samples
            fakes = Fakes(self.examples, samples, lambda n: draw(*self.examples.inputs(n)))
            return {**self.comparison.scores(fakes, progress), **fakes.differences()}

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


@contextmanager
def bar(title: str, total: int, is_stopped: Callable[[], bool]) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; its callback raises Stopped between two batches."""
    with tqdm(total=total, desc=title, unit="img", leave=False, disable=None) as shown:

        def progress(done: int) -> None:
            shown.update(done)
            if is_stopped():
                raise Stopped

        yield progress
