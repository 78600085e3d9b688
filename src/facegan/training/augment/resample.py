"""Resamples images by affine matrices, with gradients of any order.

Sampling is linear in the image, so its gradient is the adjoint map, and the gradient of that is
sampling again. torch differentiates ``grid_sample`` only once; gradient penalties need it twice.

There are two filters. Images are padded by reflection, without repeating the edge.

* ``bicubic``: cubic convolution of 4x4 pixels. Exact at pixel centres; a smaller image aliases. At
  32 px its images differ from the paper's by 4 % rms if each operation has a probability of 0.3,
  by 6 % if 1 (docs/results.md).
* ``wavelet``: the paper's (arXiv:2006.06676, appendix B). The image is doubled by the low-pass
  filter of the wavelet sym6, read bilinearly at twice the result's resolution, and halved by the
  same filter reversed. Doubling and halving are products with small matrices.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import without_autocast

MODES = {"bilinear": 0, "bicubic": 2}  # as torch numbers them
REFLECTION = 2
# The low-pass filter of sym6, the least asymmetric of Daubechies' wavelets with six vanishing
# moments (Daubechies, Ten Lectures on Wavelets, table 6.3): its squares sum to 1.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
TAPS, CENTRE = len(SYM6), 5  # the tap about which they are nearly symmetric
Warp = Callable[[Tensor, Tensor], Tensor]


class Read(torch.autograd.Function):
    """``grid_sample``, whose gradient is :class:`Write`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor, mode: str) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape, ctx.mode = images.shape, mode
        return F.grid_sample(images, grid, mode, "reflection", align_corners=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return write(gradient, grid, ctx.mode, ctx.shape), None, None


class Write(torch.autograd.Function):
    """The adjoint of :class:`Read`: adds every pixel to those it would be read from."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, grid: Tensor, mode: str, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.mode = mode
        like = pixels.new_empty(shape)  # only its shape is used
        images, _ = torch.ops.aten.grid_sampler_2d_backward(
            pixels.contiguous(), like, grid, MODES[mode], REFLECTION, True, (True, False)
        )
        return cast(Tensor, images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (grid,) = ctx.saved_tensors
        return read(gradient, grid, ctx.mode), None, None, None


def read(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample images (N, C, H, W) at a grid (N, h, w, 2), padded by reflection.

    Args:
        images: Float.
        grid: x and y, -1 and 1 at the centres of the first and the last pixel.
        mode: ``bilinear`` or ``bicubic``.
    """
    return cast(Tensor, Read.apply(images, grid, mode))  # type: ignore[no-untyped-call]


def write(pixels: Tensor, grid: Tensor, mode: str, shape: torch.Size) -> Tensor:
    """Apply the adjoint of :func:`read`, for images of a shape."""
    return cast(Tensor, Write.apply(pixels, grid, mode, shape))  # type: ignore[no-untyped-call]


def places(matrices: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Transform the points of a grid by matrices (N, 3, 3), to x and y (N, len(y), len(x)).

    Points are (x, y, 1), in pixels from the centre, x to the right, y down.
    """
    across, down = (
        row[:, 0] * x + row[:, 1] * y[:, None] + row[:, 2]
        for row in matrices[:, :2, :, None, None].unbind(1)
    )
    return across, down


def warp_bicubic(images: Tensor, matrices: Tensor) -> Tensor:
    """Sample images (N, C, H, W) where matrices (N, 3, 3) send each pixel of the result."""
    height, width = images.shape[2:]
    x, y = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height))
    across, down = places(matrices, x, y)
    grid = torch.stack([across / (width - 1), down / (height - 1)], 3) * 2
    return read(images, grid.to(images.dtype), "bicubic")


def warp_wavelet(images: Tensor, matrices: Tensor) -> Tensor:
    """Do the same as :func:`warp_bicubic` with the wavelet's filter."""
    height, width = images.shape[2:]
    x, y = (half_pixels(side, images.device) for side in (width, height))
    across, down = places(matrices, x, y)
    with without_autocast(images.device):  # a product of matrices would be rounded to bf16
        doubled = along_both(images, doubling, height, width)
        ends = doubled.shape[3] - 1, doubled.shape[2] - 1  # each half a pixel from the next
        grid = torch.stack([mirrored(across, width) / ends[0], mirrored(down, height) / ends[1]], 3)
        moved = read(doubled, (grid * 4).to(images.dtype), "bilinear")
        return along_both(moved, halving, height, width)


WARPS: dict[str, Warp] = {"bicubic": warp_bicubic, "wavelet": warp_wavelet}


# --- the wavelet's filter ------------------------------------------------------------------------


def half_pixels(side: int, device: torch.device) -> Tensor:
    """Return the positions, in pixels from the centre, that :func:`halving` reduces to a side."""
    return (torch.arange(2 * side + TAPS - 2, device=device) - CENTRE - (side - 1)) / 2


def mirrored(place: Tensor, side: int) -> Tensor:
    """Reflect positions beyond a side's margin into it."""
    middle, period = (side - 1) / 2, 2 * (side - 1)
    turn = (place + middle) % period
    within = torch.minimum(turn, period - turn) - middle
    return torch.where(place.abs() > middle + margin(side), within, place)


def margin(side: int) -> int:
    """Return how many reflected pixels are doubled with a side; few positions lie beyond."""
    return side // 2


def along_both(
    images: Tensor,
    matrix: Callable[[int, torch.device, torch.dtype], Tensor],
    height: int,
    width: int,
) -> Tensor:
    """Multiply images' columns and rows by the matrices for their height and width."""
    rows, columns = (matrix(side, images.device, images.dtype) for side in (height, width))
    return rows @ (images @ columns.T)


@lru_cache(maxsize=16)
def doubling(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix that doubles a line of pixels and its reflected margins.

    The results, 2 side - 1 + 4 margins, are at the centres of pixels and half-way between them.
    """
    first = -2 * margin(side)
    last_tap = torch.arange(first, 2 * side - 1 - first) + CENTRE
    taps = 2 * torch.arange(TAPS // 2) + (last_tap % 2)[:, None]
    pixel = (last_tap // 2)[:, None] - torch.arange(TAPS // 2)
    turn = pixel % (2 * (side - 1))  # the mirrored line repeats
    pixel = torch.minimum(turn, 2 * (side - 1) - turn)
    weights = torch.tensor(SYM6, dtype=torch.float64)[taps] * math.sqrt(2)
    matrix = torch.zeros(len(last_tap), side, dtype=torch.float64)
    return matrix.scatter_add_(1, pixel, weights).to(device, dtype)


@lru_cache(maxsize=16)
def halving(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix (side, 2 side + 10) that halves a line, and undoes a doubling."""
    taps = 2 * torch.arange(side)[:, None] + torch.arange(TAPS)
    weights = torch.tensor(SYM6, dtype=torch.float64).expand(side, -1) / math.sqrt(2)
    matrix = torch.zeros(side, 2 * side + TAPS - 2, dtype=torch.float64)
    return matrix.scatter_(1, taps, weights).to(device, dtype)
