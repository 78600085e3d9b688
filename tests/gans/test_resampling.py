"""The filter [1, 3, 3, 1]: compared with torch's convolutions, its adjoint and its derivatives."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from facegan.gans.resampling import Resample

MODES = [{"up": 2}, {"down": 2}, {"padding": 2}, {"padding": 1, "gain": 4.0}]


@pytest.mark.parametrize("mode", [{"up": 2}, {"down": 2}])
def test_a_constant_is_preserved_inside_the_border(mode: dict[str, int]) -> None:
    inside = Resample(**mode)(torch.ones(1, 2, 8, 8))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.ones_like(inside))


def test_halving_and_doubling_worked_by_hand() -> None:
    """A row 0 8 0 0 under [1, 3, 3, 1] / 8: halved 3 1; doubled 0 2 6 6 2 0 0 0; once per axis."""
    row = torch.tensor([[[[0.0, 8.0, 0.0, 0.0]] * 4]])
    inner = Resample(down=2)(row)[0, 0]
    assert inner.tolist() == [[3 * 7 / 8, 1 * 7 / 8]] * 2  # one of 8 weights lies outside
    doubled = Resample(up=2)(row)[0, 0]
    assert doubled[3].tolist() == [0.0, 2.0, 6.0, 6.0, 2.0, 0.0, 0.0, 0.0]
    assert doubled[0].tolist() == [0.0, 1.5, 4.5, 4.5, 1.5, 0.0, 0.0, 0.0]


def test_doubling_is_halvings_adjoint_four_times() -> None:
    """⟨double(x), y⟩ = 4 ⟨x, halve(y)⟩: the same filter, its sum restored after the zeros."""
    x, y = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 3, 8, 8).double()
    double, halve = Resample(up=2).double(), Resample(down=2).double()
    torch.testing.assert_close((double(x) * y).sum(), 4 * (x * halve(y)).sum())


@pytest.mark.parametrize("mode", MODES)
def test_both_derivatives_equal_finite_differences(mode: dict[str, float]) -> None:
    layer, x = Resample(**mode).double(), torch.randn(2, 3, 6, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bf16_rounds_once_and_the_result_is_channels_last(
    mode: dict[str, float], layout: torch.memory_format
) -> None:
    """Sums are float32: the result is the nearest bf16 number, or the other one at a tie."""
    layer = Resample(**mode)
    x = torch.randn(2, 3, 6, 6).bfloat16().contiguous(memory_format=layout)
    found, exact = layer(x), layer(x.float())
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), exact, rtol=2**-8, atol=1e-6)


def test_the_result_equals_torchs_strided_convolution() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    taps = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps).expand(3, 1, 4, 4)
    expected = F.conv2d(x, kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(Resample(down=2).double()(x), expected)
