"""The generator's moving average: its half-life, and which buffers are copied."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel

from facegan.gans import FAMILIES
from facegan.training.ema import MovingAverage


def share_moved(average: MovingAverage, images_seen: int, batch_size: int = 32) -> float:
    """Return how far a step moves an average of 0 towards a weight of 1."""
    player = nn.Linear(1, 1, bias=False)
    nn.init.ones_(player.weight)
    nn.init.zeros_(next(average.module.parameters()))
    average.update(player, batch_size, images_seen)
    return next(average.module.parameters()).item()


@pytest.mark.parametrize(
    ("family", "kimg", "half_life"),
    [
        *(("stylegan2", kimg, min(10, kimg * 0.05)) for kimg in (1, 20, 100, 200, 25_000)),
        *(("dcgan", kimg, min(10, kimg * 0.2)) for kimg in (1, 20, 50, 100)),
    ],
)
def test_the_half_life_grows_with_the_run(family: str, kimg: int, half_life: float) -> None:
    average = MovingAverage(nn.Linear(1, 1, bias=False), 10.0, FAMILIES[family].ema_ramp_up)
    expected = 1 - 0.5 ** (32 / (half_life * 1000))
    assert share_moved(average, kimg * 1000) == pytest.approx(expected, rel=1e-4)


def test_the_first_step_copies_where_the_half_life_ramps_up() -> None:
    layer = nn.Linear(1, 1, bias=False)
    assert share_moved(MovingAverage(layer, 10.0, 0.05), 0) == 1
    scheduled = MovingAverage(layer, 10.0, 0.05)
    scheduled.follow(0.032)
    assert share_moved(scheduled, 0) == pytest.approx(0.5)


def test_spectral_norms_vectors_are_copied() -> None:
    """Averages would not belong to any weight: singular values of 1 became larger."""
    torch.manual_seed(0)
    player = spectral_norm(nn.Linear(8, 8, bias=False), n_power_iterations=5)
    average = MovingAverage(player, half_life_kimg=0.1)
    for _ in range(20):
        with torch.no_grad():  # what it seeks turns round, so that vectors change their signs
            player.parametrizations.weight.original.copy_(torch.randn(8, 8))
        player(torch.randn(4, 8))
        average.update(player, 32, images_seen=1000)
    ours, theirs = (dict(module.named_buffers()) for module in (average.module, player))
    assert ours.keys() == theirs.keys() and len(ours) == 2
    for name, buffer in theirs.items():
        assert torch.equal(ours[name], buffer)
        assert ours[name].norm().item() == pytest.approx(1)


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    player = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    average = MovingAverage(player, half_life_kimg=0.032)
    player[1].running_mean.fill_(4)
    player[1].running_var.fill_(3)
    player[1].num_batches_tracked.fill_(7)
    average.update(player, 32, images_seen=1000)
    found = dict(average.module.named_buffers())
    assert [found[f"1.{n}"].item() for n in ("running_mean", "running_var")] == [2, 2]
    assert found["1.num_batches_tracked"].item() == 7


def test_state_of_earlier_versions_is_loaded() -> None:
    player = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    earlier = AveragedModel(player, use_buffers=True).state_dict()
    average = MovingAverage(player, half_life_kimg=1.0)
    assert average.averaged.state_dict().keys() == earlier.keys()
    average.averaged.load_state_dict(earlier, strict=True)
