"""Resampling by the binomial filter [1, 3, 3, 1]: a depthwise convolution and its derivatives.

Both StyleGAN2 and R3GAN double and halve their maps with it. The result is as large as a strided
convolution of every channel makes it, zeros lie outside, and sums are taken in float32 whatever the
map's type is.

On CPUs maps are laid out channels-last first, as the result is: there a depthwise convolution is
2 to 10 times as fast as on contiguous maps, and 2 to 5 times as fast as sums of slices
(docs/results.md, "Faster steps"). On GPUs a map keeps its layout.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import in_own_type

TAPS = (1.0, 3.0, 3.0, 1.0)  # arXiv:1812.04948's binomial filter, one tap longer


class Resample(nn.Module):
    """Filters every channel, while it doubles, halves or keeps the sides.

    Doubling and halving take a padding of 1; keeping loses 3 and adds twice the padding. A constant
    stays what it is, times `gain`: four where a step before has spread the pixels over zeros.
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
    """One small kernel over every channel. Its gradient is its adjoint, which is such a filter too.

    torch derives a depthwise convolution twice channel by channel, which takes twenty times longer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, up: int, down: int, padding: int) -> Tensor:
        ctx.kernel, ctx.up, ctx.down, ctx.padding = kernel, up, down, padding
        with in_own_type(x.device):
            return convolve_depthwise(x, kernel, up, down, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint: up and down change places; the kernel is its own mirror image."""
        resampled = ctx.up * ctx.down > 1
        padding = ctx.padding if resampled else len(ctx.kernel) - 1 - ctx.padding
        adjoint = Filter.apply(gradient, ctx.kernel, ctx.down, ctx.up, padding)  # type: ignore[no-untyped-call]
        return adjoint, None, None, None, None


def convolve_depthwise(x: Tensor, kernel: Tensor, up: int, down: int, padding: int) -> Tensor:
    """(N, C, H, W) → the same kernel (k, k) over every channel; transposed where it doubles."""
    channels, dtype = x.shape[1], x.dtype
    if x.device.type == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)
        # A CPU takes the transposed convolution channel by channel in bf16: 20 times the time.
        x = x.float() if up > 1 and dtype is torch.bfloat16 else x
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    if up > 1:
        return F.conv_transpose2d(x, weight, None, up, padding, groups=channels).to(dtype)
    return F.conv2d(x, weight, None, down, padding, groups=channels)
