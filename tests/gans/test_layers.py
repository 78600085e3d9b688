"""The fast layers equal torch's up to rounding, in value and derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from facegan.gans.layers import (
    DoublingConv2d,
    Gather,
    HalvingConv2d,
    ResizingConv2d,
    Scatter,
    gather_patches,
    scatter_patches,
)

PAIRS = [(HalvingConv2d, nn.Conv2d), (DoublingConv2d, nn.ConvTranspose2d)]


def twins(ours: type, torchs: type, bias: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    one = ours(3, 5, bias).double()
    two = torchs(3, 5, 4, stride=2, padding=1, bias=bias).double()
    two.load_state_dict(one.state_dict())
    return one, two


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(2, 2), (4, 6), (8, 8)])
def test_values_and_gradients_equal_torchs(
    ours: type, torchs: type, bias: bool, size: tuple[int, int]
) -> None:
    one, two = twins(ours, torchs, bias)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    y = torch.randn_like(one(x))
    for a, b in zip(gradients(one, x, y), gradients(two, x, y), strict=True):
        torch.testing.assert_close(a, b)


def gradients(layer: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    out = layer(x)
    return [out, *torch.autograd.grad(out, [x, *layer.parameters()], y)]


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_a_gradient_penalty_can_be_differentiated(ours: type, torchs: type) -> None:
    """R1 needs the second order."""
    layers = twins(ours, torchs, True)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    found = []
    for layer in layers:
        (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [x, layer.weight]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 5), w=st.integers(1, 5), channels=st.integers(1, 4), n=st.integers(1, 3))
def test_scatter_is_the_adjoint_of_gather(h: int, w: int, channels: int, n: int) -> None:
    """⟨gather(x), p⟩ = ⟨x, scatter(p)⟩ for all x and p."""
    x = torch.randn(n, 2 * h, 2 * w, channels, dtype=torch.float64)
    patches = torch.randn(n, h, w, 16 * channels, dtype=torch.float64)
    left, right = (gather_patches(x) * patches).sum(), (x * scatter_patches(patches)).sum()
    torch.testing.assert_close(left, right)


def test_both_pass_torchs_gradgradcheck() -> None:
    x = torch.randn(1, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    patches = torch.randn(1, 2, 2, 32, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(Gather.apply, (x,))
    assert torch.autograd.gradgradcheck(Scatter.apply, (patches,))


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_without_gradients_it_equals_torchs_layer_bit_for_bit(ours: type, torchs: type) -> None:
    one, two = twins(ours, torchs, True)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(one(x), two(x))


@pytest.mark.parametrize(("ours", "torchs"), PAIRS)
def test_under_autocast_it_computes_in_the_autocast_type(ours: type, torchs: type) -> None:
    layer = ours(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 3, 4, 4)).dtype is torch.bfloat16


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 6)])
def test_resizing_equals_nearest_neighbours_and_a_convolution(
    bias: bool, size: tuple[int, int]
) -> None:
    """In value and derivatives, borders included."""
    torch.manual_seed(0)
    ours = ResizingConv2d(3, 5, bias).double()
    torchs = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 5, 3, padding=1, bias=bias))
    torchs[1].load_state_dict(ours.state_dict())
    torchs.double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    y = torch.randn_like(torchs(x))
    for a, b in zip(gradients(ours, x, y), gradients(torchs, x, y), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        assert torch.equal(ours(x), torchs(x))


def test_resizing_makes_no_checkerboard_of_a_constant() -> None:
    """Inside the borders every pixel gets the same sum; a transposed convolution's differ."""
    torch.manual_seed(0)
    flat = torch.ones(1, 3, 8, 8)
    for layer, is_even in ((ResizingConv2d(3, 5), True), (DoublingConv2d(3, 5), False)):
        inside = layer(flat)[0, :, 2:-2, 2:-2].flatten(1)
        assert (inside.std(1).max().item() < 1e-5) is is_even
