"""Layers that families share: convolutions that halve or double the sides and train fast on CPUs.

On CPUs oneDNN's backward passes for 4x4 convolutions of stride 2 are several times slower than
their arithmetic (docs/results.md, "Where a step's time goes"). Here all three passes are a gather
of the 4x4 patches and one matrix product. Parameters and their names are those of torch's layers,
and so are the results, up to rounding.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias


class Gather(torch.autograd.Function):
    """:func:`gather_patches`, with the scatter as its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        count, height, width, channels = x.shape
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        patches = padded.unfold(1, 4, 2).unfold(2, 4, 2).permute(0, 1, 2, 4, 5, 3)
        return patches.reshape(count, height // 2, width // 2, 16 * channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return scatter_patches(gradient.contiguous())


class Scatter(torch.autograd.Function):
    """:func:`scatter_patches`, with the gather as its gradient."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor) -> Tensor:
        # A patch spans two rows and two columns of 2x2 blocks: four sums of whole blocks.
        count, h, w, depth = patches.shape
        blocks = patches.view(count, h, w, 2, 2, 2, 2, depth // 16)  # row, half, column, half
        total = patches.new_zeros(count, h + 1, 2, w + 1, 2, depth // 16)
        for i in (0, 1):
            for j in (0, 1):
                part = blocks[:, :, :, i, :, j].permute(0, 1, 3, 2, 4, 5)
                total[:, i : i + h, :, j : j + w].add_(part)
        inner = total.view(count, 2 * h + 2, 2 * w + 2, depth // 16)[:, 1:-1, 1:-1]
        return inner.contiguous()  # strided memory would make the next operation slow

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gather_patches(gradient)


def gather_patches(x: Tensor) -> Tensor:
    """Gather the 4x4 patch under each output: (N, H, W, C) → (N, H/2, W/2, 4*4*C), zero-padded."""
    return cast(Tensor, Gather.apply(x))  # type: ignore[no-untyped-call]


def scatter_patches(patches: Tensor) -> Tensor:
    """Add up overlapping patches, the adjoint: (N, h, w, 4*4*C) → (N, 2h, 2w, C)."""
    return cast(Tensor, Scatter.apply(patches))  # type: ignore[no-untyped-call]


class RowwiseLinear(nn.Linear):
    """torch's Linear; without gradients, a row's result does not depend on the number of rows.

    CPU kernels compute rows in groups of four or eight, and round the remaining ones differently.
    So the rows are padded to sixteen.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            return super().forward(x)
        parts = [self.forward_padded(part) for part in x.split(16)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def forward_padded(self, x: Tensor) -> Tensor:
        """Compute up to sixteen rows as sixteen."""
        return super().forward(F.pad(x, (0, 0, 0, 16 - len(x))))[: len(x)]


def is_faster_as_product(x: Tensor) -> bool:
    """Return whether the matrix product is faster than torch's layer: in training on a CPU."""
    return x.device.type == "cpu" and torch.is_grad_enabled()


def to_autocast_dtype(x: Tensor) -> Tensor:
    """Cast to autocast's type, if it is enabled; before a gather, which copies each number."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


class HalvingConv2d(nn.Conv2d):
    """(N, C, H, W) → (N, C', H/2, W/2): torch's Conv2d(C, C', 4, stride=2, padding=1)."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not is_faster_as_product(x):
            return super().forward(x)
        x, weight = to_autocast_dtype(x), to_autocast_dtype(self.weight)
        if x.shape[-2:] == (2, 2):  # one patch, of which only the middle is not padding
            middle = weight[:, :, 1:3, 1:3].flatten(1)
            return F.linear(x.flatten(1), middle, self.bias)[:, :, None, None]
        patches = gather_patches(x.permute(0, 2, 3, 1))
        kernel = weight.permute(0, 2, 3, 1).flatten(1)  # (C', 4*4*C)
        return F.linear(patches, kernel, self.bias).permute(0, 3, 1, 2)


class DoublingConv2d(nn.ConvTranspose2d):
    """(N, C, H, W) → (N, C', 2H, 2W): torch's ConvTranspose2d(C, C', 4, stride=2, padding=1)."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not is_faster_as_product(x):
            return super().forward(x, output_size)
        return double_sides(x, self.weight, self.bias)


class ResizingConv2d(nn.Conv2d):
    """(N, C, H, W) → (N, C', 2H, 2W): nearest neighbours, then torch's Conv2d(C, C', 3, padding=1).

    Unlike transposed convolutions it makes no checkerboards (Odena, Dumoulin & Olah, "Deconvolution
    and checkerboard artifacts", Distill 2016). Each pixel is repeated in 2x2, so the 3x3 kernel
    meets it four times: the result is that of a 4x4 transposed convolution whose kernel sums four
    shifted copies of the 3x3 one, with 16 products per pixel of x instead of 36.
    """

    def __init__(self, channels_in: int, channels_out: int, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not is_faster_as_product(x):
            return super().forward(F.interpolate(x, scale_factor=2.0))
        flipped = self.weight.flip(2, 3).transpose(0, 1)  # (C, C', 3, 3)
        wide = F.pad(flipped, (1, 1, 1, 1))
        rows = wide[:, :, 1:] + wide[:, :, :-1]
        return double_sides(x, rows[..., 1:] + rows[..., :-1], self.bias)


def double_sides(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a transposed 4x4 convolution of stride 2 as a product; weight (C, C', 4, 4)."""
    x, weight = to_autocast_dtype(x), to_autocast_dtype(weight)
    kernel = weight.permute(0, 2, 3, 1).flatten(1)  # (C, 4*4*C')
    maps = scatter_patches(x.permute(0, 2, 3, 1) @ kernel)
    if bias is not None:
        maps = maps + bias.to(maps.dtype)
    return maps.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """Lay out (N, C, H, W) with channels last in memory, in which layers are fastest."""
    return x.contiguous(memory_format=torch.channels_last)


def initialise_normal(module: nn.Module) -> None:
    """Initialise weights from N(0, 0.02), norms' gains from N(1, 0.02), biases with 0.

    arXiv:1511.06434, section 4; arXiv:1611.07004, section 6.2; arXiv:1703.10593, section 4.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
