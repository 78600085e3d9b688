"""Up- and downsampling by the binomial filter [1, 3, 3, 1], as a depthwise convolution.

StyleGAN2 and R3GAN double and halve their maps with it. The result has the size of a strided
convolution's with zero padding; sums are float32 whatever the map's type.

On CPUs the result is channels-last, and so is the input, converted if necessary: a depthwise
convolution is then 2 to 10 times as fast as on contiguous maps, and 2 to 5 times as fast as sums of
slices (docs/results.md, "Faster steps"). On GPUs a map keeps its layout.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import without_autocast

TAPS = (1.0, 3.0, 3.0, 1.0)  # arXiv:1812.04948's binomial filter, one tap longer


class Resample(nn.Module):
    """Filters every channel, and doubles, halves or keeps the sides.

    Doubling and halving need a padding of 1; otherwise the sides become 3 smaller, plus twice the
    padding. A constant is multiplied by `gain`, which is 4 after pixels were spread over zeros.
    """

    kernel: Tensor

    def __init__(self, up: int = 1, down: int = 1, padding: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        taps = torch.tensor(TAPS) / sum(TAPS)
        kernel = torch.outer(taps, taps) * gain * up**2
        self.register_buffer("kernel", kernel, persistent=False)
        self.up, self.down, self.padding = up, down, padding

    def forward(self, x: Tensor) -> Tensor:
        arguments = self.kernel, self.up, self.down, self.padding
        return cast(Tensor, Filter.apply(x, *arguments))  # type: ignore[no-untyped-call]


class Filter(torch.autograd.Function):
    """One small kernel over every channel; its gradient is its adjoint, which is a filter too.

    torch computes second derivatives of a depthwise convolution channel by channel, 20 times as
    slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, up: int, down: int, padding: int) -> Tensor:
        ctx.kernel, ctx.up, ctx.down, ctx.padding = kernel, up, down, padding
        with without_autocast(x.device):
            return convolve_depthwise(x, kernel, up, down, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # The adjoint: up and down are exchanged; the kernel is symmetric.
        resampled = ctx.up * ctx.down > 1
        padding = ctx.padding if resampled else len(ctx.kernel) - 1 - ctx.padding
        adjoint = Filter.apply(gradient, ctx.kernel, ctx.down, ctx.up, padding)  # type: ignore[no-untyped-call]
        return adjoint, None, None, None, None


def convolve_depthwise(x: Tensor, kernel: Tensor, up: int, down: int, padding: int) -> Tensor:
    """Convolve every channel of (N, C, H, W) with one kernel (k, k); transposed if up > 1."""
    channels, dtype = x.shape[1], x.dtype
    if x.device.type == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)
        # In bf16, CPUs compute a transposed convolution channel by channel, 20 times as slow.
        x = x.float() if up > 1 and dtype is torch.bfloat16 else x
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    if up > 1:
        return F.conv_transpose2d(x, weight, None, up, padding, groups=channels).to(dtype)
    return F.conv2d(x, weight, None, down, padding, groups=channels)
