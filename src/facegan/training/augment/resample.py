"""Pictures read at other places than their pixels', derivable in the pictures at any order.

Reading is linear in the picture, so its gradient is the adjoint map, and the gradient of that is
reading again. torch derives ``grid_sample`` once only; penalties on gradients need it twice.

Between pixels a cubic convolution weighs 4x4 of them: exact at the pixels themselves, and sharper
than bilinear interpolation. The paper (arXiv:2006.06676, appendix B) doubles the resolution with a
wavelet's low-pass filter before and filters again after, which costs several times as much. The
difference is in pictures made smaller, where the finest details alias: seldom by more than a third.
Outside a picture lies its mirror image.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

BICUBIC, REFLECTION = 2, 2  # as torch numbers "bicubic" and "reflection"


class Read(torch.autograd.Function):
    """``grid_sample``, whose gradient is :class:`Write`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        return F.grid_sample(images, grid, "bicubic", "reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return write(gradient, grid), None


class Write(torch.autograd.Function):
    """The adjoint: every pixel is added to those it would be read from."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        like = pixels  # pictures keep their shape, and nothing else of them is asked for
        images, _ = torch.ops.aten.grid_sampler_2d_backward(
            pixels.contiguous(), like, grid, BICUBIC, REFLECTION, False, (True, False)
        )
        return cast(Tensor, images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return read(gradient, grid), None


def read(images: Tensor, grid: Tensor) -> Tensor:
    """Images (N, C, H, W) at the places of a grid (N, H, W, 2): x and y, -1 and 1 at the edges."""
    return cast(Tensor, Read.apply(images, grid))  # type: ignore[no-untyped-call]


def write(pixels: Tensor, grid: Tensor) -> Tensor:
    """The adjoint of :func:`read`, of the same shapes."""
    return cast(Tensor, Write.apply(pixels, grid))  # type: ignore[no-untyped-call]


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Images (N, C, H, W) read where matrices (N, 3, 3) send each pixel of the result.

    Places are (x, y, 1), in pixels from the middle, x to the right, y down.
    """
    height, width = images.shape[2:]
    x, y = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height))
    across, down = (
        row[:, 0] * x + row[:, 1] * y[:, None] + row[:, 2]  # (N, H, W)
        for row in matrices[:, :2, :, None, None].unbind(1)
    )
    grid = torch.stack([across / (width / 2), down / (height / 2)], 3)
    return read(images, grid.to(images.dtype))
