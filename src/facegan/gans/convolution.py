"""A convolution that is derived twice by convolutions of its own shape.

torch derives a grouped convolution's gradients by one convolution per group, with a kernel as large
as the image: 1,536 of the 2,191 kernels that r3gan's discriminator phase starts on a GPU at
paper32. Here all derivatives are one call each, of any order; a step on a CPU gains a quarter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.layers import in_autocast_type

Geometry = tuple[int, int, int]  # stride, padding, groups: the same for rows and columns
_weights_are_constant = False  # not a ContextVar: on a GPU autograd derives on a thread of its own


@contextmanager
def constant_weights() -> Iterator[None]:
    """Within, gradients of images leave those of weights out, which nobody asks for."""
    global _weights_are_constant
    before, _weights_are_constant = _weights_are_constant, True
    try:
        yield
    finally:
        _weights_are_constant = before


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """torch's conv2d, in autocast's type; quicker to derive twice."""
    x, weight = in_autocast_type(x), in_autocast_type(weight)
    bias = None if bias is None else bias.to(x.dtype)
    if not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)
    geometry = stride, padding, groups
    return cast(Tensor, Convolution.apply(x, weight, bias, geometry))  # type: ignore[no-untyped-call]


class Convolution(torch.autograd.Function):
    """conv2d of x with a weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, to: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.to = to
        stride, padding, groups = to
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            InputGradient.apply(g, weight, x, ctx.to) if of_x else None,  # type: ignore[no-untyped-call]
            weight_gradient(g, weight, x, ctx.to) if of_weight else None,
            g.sum((0, 2, 3)) if of_bias and not _weights_are_constant else None,
            None,
        )


class InputGradient(torch.autograd.Function):
    """The gradient by x of a convolution, whose result's gradient is g; x says its shape only."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, to: Geometry) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.to = to
        return derive(g, x, weight, to, 0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        g, weight = ctx.saved_tensors
        of_g, of_weight, _, _ = ctx.needs_input_grad
        return (
            Convolution.apply(gradient, weight, None, ctx.to) if of_g else None,  # type: ignore[no-untyped-call]
            weight_gradient(g, weight, gradient, ctx.to) if of_weight else None,
            None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """The gradient by the weight, which says its shape only."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, to: Geometry) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.to = to
        return derive(g, x, weight, to, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved_tensors
        of_g, _, of_x, _ = ctx.needs_input_grad
        return (
            Convolution.apply(x, gradient, None, ctx.to) if of_g else None,  # type: ignore[no-untyped-call]
            None,
            InputGradient.apply(g, gradient, x, ctx.to) if of_x else None,  # type: ignore[no-untyped-call]
            None,
        )


def weight_gradient(g: Tensor, weight: Tensor, x: Tensor, to: Geometry) -> Tensor | None:
    """The gradient by the weight, where it is asked for."""
    if _weights_are_constant:
        return None
    return cast(Tensor, WeightGradient.apply(g, weight, x, to))  # type: ignore[no-untyped-call]


def derive(g: Tensor, x: Tensor, weight: Tensor, to: Geometry, which: int) -> Tensor:
    """One of a convolution's gradients: by x (0) or by the weight (1)."""
    stride, padding, groups = to
    gradients = torch.ops.aten.convolution_backward(
        *(g, x, weight, None),
        *([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups),
        [which == 0, which == 1, False],
    )
    return cast(Tensor, gradients[which])
