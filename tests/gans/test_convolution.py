"""The convolution with fast second derivatives: torch's results, in fewer calls."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

from facegan.gans.convolution import constant_weights, convolve

SHAPES = [  # kernel, stride, padding, groups
    (1, 1, 0, 1),
    (3, 1, 1, 1),
    (3, 1, 1, 2),
    (3, 2, 1, 2),
    (4, 1, 0, 4),
]


def inputs(kernel: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 5, 5), (4, 4 // groups, kernel, kernel), (4,))
    made = (torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes)
    x, weight, bias = (tensor.requires_grad_() for tensor in made)
    return x, weight, bias


@pytest.mark.parametrize(("kernel", "stride", "padding", "groups"), SHAPES)
def test_result_and_both_derivatives_equal_torchs(
    kernel: int, stride: int, padding: int, groups: int
) -> None:
    """A penalty on |∇x|², as in the discriminators, and its gradients."""
    found = []
    for function in (
        lambda *three: convolve(*three, stride, padding, groups),
        lambda *three: F.conv2d(*three, stride, padding, 1, groups),
    ):
        x, weight, bias = inputs(kernel, groups)
        y = function(x, weight, bias)
        (slopes,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
        (slopes.square().sum() + y.cos().sum()).backward()
        found.append((y, slopes, x.grad, weight.grad, bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("kernel", "stride", "padding", "groups"), SHAPES)
def test_derivatives_equal_finite_differences(
    kernel: int, stride: int, padding: int, groups: int
) -> None:
    three = inputs(kernel, groups)
    assert torch.autograd.gradgradcheck(
        lambda *three: convolve(*three, stride, padding, groups), three
    )


def test_second_derivatives_need_no_loop_over_groups() -> None:
    """torch calls one convolution per group; here it is one call per gradient."""
    counts = []
    for groups in (2, 4):
        x, weight, bias = inputs(3, groups)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            y = convolve(x, weight, bias, 1, 1, groups)
            (slopes,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
            slopes.square().sum().backward()
        calls = {event.key: event.count for event in profile.key_averages()}
        counts.append(calls["aten::convolution_backward"] + calls["aten::conv2d"])
    assert counts[0] == counts[1] < 10


def test_gradients_of_constant_weights_are_not_computed() -> None:
    x, weight, bias = inputs(3, 1)
    y = convolve(x, weight, bias, 1, 1).sum()
    with constant_weights(), FlopCounterMode(display=False) as alone:
        (slopes,) = torch.autograd.grad(y, x, create_graph=True)
    y = convolve(x, weight, bias, 1, 1).sum()
    with FlopCounterMode(display=False) as both:
        torch.autograd.grad(y, (x, weight))
    assert alone.get_total_flops() * 2 == both.get_total_flops()
    slopes.square().sum().backward()  # the weight's own gradient comes from here
    assert weight.grad is not None and weight.grad.abs().sum() > 0


def test_constant_weights_ends_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), constant_weights():
        raise ZeroDivisionError
    x, weight, bias = inputs(1, 1)
    convolve(x, weight, bias).sum().backward()
    assert weight.grad is not None and bias.grad is not None
