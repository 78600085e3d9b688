"""The layers StyleGAN2 is made of, in plain PyTorch: nothing to compile, and twice derivable.

Weights are drawn from N(0, 1) and scaled when used, so that Adam's step means the same in every
layer (equalised learning rate, arXiv:1710.10196, section 4.1). Under autocast the convolutions run
in its type; styles, demodulation and the filter's own arithmetic keep float32 or their input's.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import in_own_type
from facegan.gans.resampling import Resample
from facegan.gans.stylegan2.presets import largest_group

EPSILON = 1e-8


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times sqrt(2) so that a unit variance stays near one."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class EqualLinear(nn.Module):
    """(..., C) → (..., C'): weights N(0, 1) / rate, used times rate / sqrt(C).

    Args:
        channels_in: C.
        channels_out: C'.
        bias: What every bias starts from, as used.
        rate: The learning rate's multiplier; the function drawn at the start does not depend on it.
    """

    def __init__(
        self, channels_in: int, channels_out: int, bias: float = 0.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in) / rate)
        self.bias = nn.Parameter(torch.full((channels_out,), bias / rate))
        self.gain, self.rate = rate / math.sqrt(channels_in), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class EqualConv2d(nn.Module):
    """(N, C, H, W) → (N, C', H', W'): weights N(0, 1), used times 1 / sqrt(C k²)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.gain = 1 / math.sqrt(channels_in * kernel_size**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.gain, self.bias, self.stride, self.padding)


class ModulatedConv2d(nn.Module):
    """(N, C, H, W) and w (N, style_dim) → (N, C', H, W), or (N, C', 2H, 2W) where it doubles.

    A sample's weights are w'_oik = s_i w_oik, divided by their norm over i and k where it
    demodulates (arXiv:1912.04958, equations 1 to 3). A convolution is linear, so s scales the
    inputs and the norms divide the outputs: the same numbers as a grouped convolution with weights
    of every sample's own, but one dense convolution for the batch, several times quicker.
    """

    def __init__(
        self,
        style_dim: int,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        *,
        demodulates: bool = True,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.to_style = EqualLinear(style_dim, channels_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel_size, kernel_size))
        self.gain = 1 / math.sqrt(channels_in * kernel_size**2)
        self.padding = kernel_size // 2
        self.demodulates = demodulates
        self.smooth = Resample(padding=1, gain=4) if doubles else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self.weight * self.gain
        with in_own_type(x.device):
            styles = self.to_style(w.float())  # (N, C)
            norms = F.linear(styles.square(), weight.square().sum((2, 3)))  # (N, C')
        x = self.convolve(x * styles.to(x.dtype)[:, :, None, None], weight)
        if not self.demodulates:
            return x
        return x * (norms + EPSILON).rsqrt().to(x.dtype)[:, :, None, None]

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution all samples share."""
        if self.smooth is None:
            return F.conv2d(x, weight, padding=self.padding)
        # (N, C', 2H + 1, 2W + 1), of which the filter takes one off.
        return cast(Tensor, self.smooth(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)))


def append_minibatch_stddev(x: Tensor, limit: int) -> Tensor:
    """(N, C, H, W) → (N, C + 1, H, W): how much the images of a group differ, as a channel.

    The standard deviation over the group at every place, averaged over all places
    (arXiv:1710.10196, section 3). A group is a run of neighbours, so that a process that holds a
    part of the batch holds whole groups.
    """
    count, _, height, width = x.shape
    group = largest_group(count, limit)
    members = x.float().reshape(count // group, group, -1)
    deviations = (members.var(1, unbiased=False) + EPSILON).sqrt().mean(1)  # (N / group,)
    channel = deviations.repeat_interleave(group).to(x.dtype).view(count, 1, 1, 1)
    return torch.cat([x, channel.expand(count, 1, height, width)], 1)
