"""After a step with NaN stylegan2 continues, other families stop."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from facegan.data import ImageFolderDataset
from facegan.errors import TrainingDiverged
from facegan.gans import Batch, Gan, Terms
from facegan.training import Trainer, TrainingConfig
from facegan.training.nan_gradients import add_finite, replace_nan_gradients

Build = Callable[..., Gan]
CONFIG = TrainingConfig(total_kimg=0.048, batch_size=8, precision="fp32", tick_kimg=0.048)
NAN, INFINITY = float("nan"), float("inf")


def test_gradients_are_replaced_as_in_the_official_code() -> None:
    gradient = torch.tensor([NAN, INFINITY, -INFINITY, 2.0])
    replace_nan_gradients([gradient])
    assert gradient.tolist() == [0.0, 1e5, -1e5, 2.0]


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.0, 3.0], 2.0),
        ([1.0, NAN, 3.0], 5 / 3),  # 1, taken as 1, 3
        ([NAN, 4.0], 4.0),
        ([INFINITY, NAN, 6.0, 2.0], 5.0),  # taken as 6, 6, 6, 2
        ([NAN, INFINITY], NAN),
    ],
)
def test_a_nan_term_counts_as_the_mean_of_the_others(values: list[float], mean: float) -> None:
    total = torch.zeros(())
    for count, value in enumerate(values):
        total = add_finite(torch.tensor(value), total, count)
    assert total.item() / len(values) == pytest.approx(mean, nan_ok=True)


def train_with_broken_steps(gan: Gan, dataset: ImageFolderDataset, broken: set[int]) -> Trainer:
    """Train six steps; in some, the first phase's terms and gradients are NaN."""
    ticks: list[dict[str, float]] = []
    trainer = Trainer(gan, dataset, CONFIG, on_tick=lambda _, figures: ticks.append(dict(figures)))
    first, *others = trainer.phases

    def loss(gan: Gan, batch: Batch) -> Terms:
        terms = first.loss(gan, batch)
        bad = trainer.images_seen // 8 in broken
        return {name: value * NAN if bad else value for name, value in terms.items()}

    trainer.phases = (replace(first, loss=loss), *others)
    trainer.run()
    assert len(ticks) == 1
    return trainer


def weights(trainer: Trainer) -> Tensor:
    players = trainer.gan.players.values()
    return torch.cat([p.detach().flatten() for player in players for p in player.parameters()])


def test_stylegan2_continues_after_a_broken_step(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    trainer = train_with_broken_steps(tiny_gan("stylegan2"), dataset, {0, 2})
    assert trainer.images_seen == 48
    assert weights(trainer).isfinite().all()


def test_stylegan2_stops_if_every_step_of_a_tick_is_broken(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    with pytest.raises(TrainingDiverged, match="'generator' is nan"):
        train_with_broken_steps(tiny_gan("stylegan2"), dataset, set(range(6)))


@pytest.mark.parametrize("family", ["dcgan", "r3gan"])
def test_others_stop_at_a_broken_step(
    family: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    with pytest.raises(TrainingDiverged):
        train_with_broken_steps(tiny_gan(family), dataset, {2})
