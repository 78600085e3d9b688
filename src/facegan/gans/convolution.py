"""A grouped convolution with fast second derivatives, for gradient penalties.

torch computes a grouped convolution's second derivatives with one convolution per group and a
kernel as large as the image: 1,536 of the 2,191 kernels of r3gan's discriminator phase at paper32
on a GPU. Here each derivative, of any order, is one call; a step on a CPU is a quarter faster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.layers import to_autocast_dtype

Geometry = tuple[int, int, int]  # stride, padding, groups: the same for rows and columns
_weights_are_constant = False  # not a ContextVar: on a GPU autograd runs in another thread


@contextmanager
def constant_weights() -> Iterator[None]:
    """Skip the weights' gradients within the block, when only those of the images are needed."""
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
    """Compute torch's conv2d, in autocast's type, with fast second derivatives."""
    x, weight = to_autocast_dtype(x), to_autocast_dtype(weight)
    bias = None if bias is None else bias.to(x.dtype)
    if not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)
    geometry = stride, padding, groups
    return cast(Tensor, Convolution.apply(x, weight, bias, geometry))  # type: ignore[no-untyped-call]


class Convolution(torch.autograd.Function):
    """conv2d of x with a weight."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        stride, padding, groups = geometry
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            InputGradient.apply(g, weight, x, ctx.geometry) if of_x else None,  # type: ignore[no-untyped-call]
            weight_gradient(g, weight, x, ctx.geometry) if of_weight else None,
            g.sum((0, 2, 3)) if of_bias and not _weights_are_constant else None,
            None,
        )


class InputGradient(torch.autograd.Function):
    """A convolution's gradient with respect to x, given the result's gradient g.

    Only the shape of x is used.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.geometry = geometry
        return compute_gradient(g, x, weight, geometry, 0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        g, weight = ctx.saved_tensors
        of_g, of_weight, _, _ = ctx.needs_input_grad
        return (
            Convolution.apply(gradient, weight, None, ctx.geometry) if of_g else None,  # type: ignore[no-untyped-call]
            weight_gradient(g, weight, gradient, ctx.geometry) if of_weight else None,
            None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """A convolution's gradient with respect to the weight, of which only the shape is used."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.geometry = geometry
        return compute_gradient(g, x, weight, geometry, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved_tensors
        of_g, _, of_x, _ = ctx.needs_input_grad
        return (
            Convolution.apply(x, gradient, None, ctx.geometry) if of_g else None,  # type: ignore[no-untyped-call]
            None,
            InputGradient.apply(g, gradient, x, ctx.geometry) if of_x else None,  # type: ignore[no-untyped-call]
            None,
        )


def weight_gradient(g: Tensor, weight: Tensor, x: Tensor, geometry: Geometry) -> Tensor | None:
    """Return the weight's gradient; None within :func:`constant_weights`."""
    if _weights_are_constant:
        return None
    return cast(Tensor, WeightGradient.apply(g, weight, x, geometry))  # type: ignore[no-untyped-call]


def compute_gradient(
    g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, which: int
) -> Tensor:
    """Return a convolution's gradient with respect to x (`which` = 0) or to the weight (1)."""
    stride, padding, groups = geometry
    gradients = torch.ops.aten.convolution_backward(
        *(g, x, weight, None),
        *([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups),
        [which == 0, which == 1, False],
    )
    return cast(Tensor, gradients[which])
