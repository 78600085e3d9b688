"""Halving and doubling convolutions (4x4, stride 2), quick to train on CPUs.

On a CPU, oneDNN's backward passes for these shapes take several times what their arithmetic needs
(docs/results.md, "Where a step's time goes"). Written as a gather of the 4x4 patches and one matrix
product, all three passes become matrix products. The layers are torch's own in every other way:
same parameters, same names, same results up to rounding.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias


def gather_patches(x: Tensor) -> Tensor:
    """(N, H, W, C) → the 4x4 patch under each output, (N, H/2, W/2, 4*4*C); zeros outside."""
    count, height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    patches = padded.unfold(1, 4, 2).unfold(2, 4, 2).permute(0, 1, 2, 4, 5, 3)
    return patches.reshape(count, height // 2, width // 2, 16 * channels)


def scatter_patches(patches: Tensor) -> Tensor:
    """The adjoint: (N, h, w, 4*4*C) → (N, 2h, 2w, C), overlapping patches summed.

    A patch spans two rows of 2x2 blocks and two columns of them: four sums of whole blocks.
    """
    count, h, w, depth = patches.shape
    blocks = patches.view(count, h, w, 2, 2, 2, 2, depth // 16)  # row, its half, column, its half
    total = patches.new_zeros(count, h + 1, 2, w + 1, 2, depth // 16)
    for i in (0, 1):
        for j in (0, 1):
            part = blocks[:, :, :, i, :, j].permute(0, 1, 3, 2, 4, 5)
            total[:, i : i + h, :, j : j + w].add_(part)
    inner = total.view(count, 2 * h + 2, 2 * w + 2, depth // 16)[:, 1:-1, 1:-1]
    return inner.contiguous()  # dense, or what follows takes its slow path


class Gather(torch.autograd.Function):
    """:func:`gather_patches`, whose gradient is the scatter, at any order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return gather_patches(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return scatter(gradient.contiguous())


class Scatter(torch.autograd.Function):
    """:func:`scatter_patches`, whose gradient is the gather, at any order."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor) -> Tensor:
        return scatter_patches(patches)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gather(gradient)


def gather(x: Tensor) -> Tensor:
    """:func:`gather_patches`, differentiable."""
    return cast(Tensor, Gather.apply(x))  # type: ignore[no-untyped-call]


def scatter(patches: Tensor) -> Tensor:
    """:func:`scatter_patches`, differentiable."""
    return cast(Tensor, Scatter.apply(patches))  # type: ignore[no-untyped-call]


class RowwiseLinear(nn.Linear):
    """torch's Linear whose rows, while it serves, come out the same however many there are.

    A matrix product on a CPU parts its rows among threads and takes them by fours or eights, those
    left over by a path that rounds differently. So there are always sixteen.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            return super().forward(x)
        parts = [self.sixteen(part) for part in x.split(16)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def sixteen(self, x: Tensor) -> Tensor:
        """Up to sixteen rows, computed as sixteen."""
        return super().forward(F.pad(x, (0, 0, 0, 16 - len(x))))[: len(x)]


def is_quicker_as_product(x: Tensor) -> bool:
    """Whether to take the matrix product: while training on a CPU."""
    return x.device.type == "cpu" and torch.is_grad_enabled()


def in_autocast_type(x: Tensor) -> Tensor:
    """Cast before the gather, which makes four numbers of each."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


class HalvingConv2d(nn.Conv2d):
    """(N, C, H, W) → (N, C', H/2, W/2): torch's Conv2d(C, C', 4, stride=2, padding=1)."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not is_quicker_as_product(x):
            return super().forward(x)
        x, weight = in_autocast_type(x), in_autocast_type(self.weight)
        if x.shape[-2:] == (2, 2):  # one patch, of which all but the middle lies outside
            middle = weight[:, :, 1:3, 1:3].flatten(1)
            return F.linear(x.flatten(1), middle, self.bias)[:, :, None, None]
        patches = gather(x.permute(0, 2, 3, 1))
        kernel = weight.permute(0, 2, 3, 1).flatten(1)  # (C', 4*4*C)
        return F.linear(patches, kernel, self.bias).permute(0, 3, 1, 2)


class DoublingConv2d(nn.ConvTranspose2d):
    """(N, C, H, W) → (N, C', 2H, 2W): torch's ConvTranspose2d(C, C', 4, stride=2, padding=1)."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not is_quicker_as_product(x):
            return super().forward(x, output_size)
        x, weight = in_autocast_type(x), in_autocast_type(self.weight)
        kernel = weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4*4*C')
        images = scatter(x.permute(0, 2, 3, 1) @ kernel)
        if self.bias is not None:
            images = images + self.bias.to(images.dtype)
        return images.permute(0, 3, 1, 2)
