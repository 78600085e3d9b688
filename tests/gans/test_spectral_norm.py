"""Spectral norm: singular values near 1, in averages too; saved weights are folded."""

import pytest
import torch
from torch import Tensor, nn

from facegan.gans.autocast import autocast
from facegan.gans.spectral_norm import SpectralConv2d, folded_state
from facegan.training.ema import MovingAverage


def largest_singular_value(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2))


@pytest.fixture
def layer() -> SpectralConv2d:
    torch.manual_seed(0)
    return SpectralConv2d(8, 16, 3, padding=1)


def test_in_eval_mode_the_largest_singular_value_is_one(layer: SpectralConv2d) -> None:
    assert largest_singular_value(layer.weight) < 0.9
    found = largest_singular_value(layer.served_weight())
    assert found == pytest.approx(1, abs=0.02)


def test_training_passes_come_to_it_by_one_iteration_each(layer: SpectralConv2d) -> None:
    images, before = torch.randn(2, 8, 6, 6), layer.u.clone()
    distances = []
    for _ in range(30):
        layer(images)
        distances.append(abs(largest_singular_value(layer.weight / layer.sigma(1)[0]) - 1))
    assert not torch.equal(layer.u, before)
    assert distances[-1] < 0.02


def test_an_eval_pass_changes_no_state(layer: SpectralConv2d) -> None:
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.eval()(torch.randn(2, 8, 6, 6))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_its_gradient_is_that_of_the_divided_weight(layer: SpectralConv2d) -> None:
    """Miyato et al., equation 12: no gradient along the weight itself."""
    images = torch.randn(2, 8, 6, 6)
    for _ in range(100):
        layer(images)  # u and v are now the singular vectors
    (gradient,) = torch.autograd.grad(layer(images).square().sum(), [layer.weight])
    weight = layer.weight.detach()
    along = (gradient * weight).sum() / (gradient.norm() * weight.norm())
    assert gradient.norm() > 0 and along.abs() < 1e-3


def test_an_averages_layer_is_divided_by_its_own_singular_value() -> None:
    """torch's own: the average's value is 16 where the trained layer's is 1.2."""
    torch.manual_seed(0)
    trained = nn.Sequential(SpectralConv2d(8, 16, 3, padding=1), nn.ReLU())
    average = MovingAverage(trained, half_life_kimg=2.0)
    optimizer = torch.optim.Adam(trained.parameters(), lr=2e-2)
    targets = torch.randn(16, 16, 6, 6)
    for step in range(300):
        loss = (trained(torch.randn(16, 8, 6, 6)) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update(trained, 16, step * 16)
    conv, averaged = trained[0], average.module[0]
    assert isinstance(conv, SpectralConv2d) and isinstance(averaged, SpectralConv2d)
    apart = (conv.weight - averaged.weight).norm() / conv.weight.norm()
    assert apart > 0.1  # else the test would show nothing
    now = largest_singular_value(conv.weight / conv.sigma(1)[0])
    assert now == pytest.approx(1, abs=0.2)
    assert largest_singular_value(averaged.served_weight()) == pytest.approx(1, abs=0.02)


def test_a_folded_state_makes_the_same_of_plain_convolutions() -> None:
    def network(convolution: type[nn.Conv2d]) -> nn.Module:
        layers = convolution(3, 8, 3, padding=1), nn.ReLU(), convolution(8, 4, 1, bias=False)
        return nn.Sequential(*layers)

    torch.manual_seed(0)
    trained, plain = network(SpectralConv2d), network(nn.Conv2d)
    plain.load_state_dict(folded_state(trained))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(trained.eval()(images), plain(images))


def test_under_autocast_the_singular_value_is_still_float32(layer: SpectralConv2d) -> None:
    expected = layer.served_weight()
    with autocast(torch.device("cpu"), torch.bfloat16):
        assert torch.equal(layer.served_weight(), expected)
        assert layer(torch.randn(1, 8, 4, 4)).dtype == torch.bfloat16
