"""StyleGAN2's layers in plain PyTorch, without custom kernels and with second derivatives.

Weights are drawn from N(0, 1) and scaled when used, so that Adam's step has the same effect in
every layer (equalised learning rate, arXiv:1710.10196, section 4.1). Under autocast convolutions
run in its type; styles and demodulation are float32.

An activation is a leaky ReLU times sqrt(2). A leaky ReLU is homogeneous, so the factor is applied
to its input (weights, biases, demodulation), and the activation is one in-place operation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import without_autocast
from facegan.gans.resampling import Resample
from facegan.gans.stylegan2.presets import largest_group

EPSILON = 1e-8
SLOPE = 0.2  # of the leaky ReLU below zero
ACTIVATION_GAIN = math.sqrt(2)  # so that a unit variance stays near one


def activate(x: Tensor) -> Tensor:
    """Apply the leaky ReLU in place; x was already multiplied by ACTIVATION_GAIN."""
    return F.leaky_relu_(x, SLOPE)


class EqualLinear(nn.Module):
    """(..., C) → (..., C'): weights from N(0, 1) / rate, multiplied by rate / sqrt(C) when used.

    Args:
        channels_in: C.
        channels_out: C'.
        bias: Initial bias, as used.
        rate: Multiplier of the learning rate; the initial function does not depend on it.
        activates: Whether an activation follows.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        bias: float = 0.0,
        rate: float = 1.0,
        activates: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in) / rate)
        self.bias = nn.Parameter(torch.full((channels_out,), bias / rate))
        self.activates = activates
        self.bias_gain = rate * (ACTIVATION_GAIN if activates else 1.0)
        self.gain = self.bias_gain / math.sqrt(channels_in)

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * self.gain, self.bias * self.bias_gain)
        return activate(x) if self.activates else x


class EqualConv2d(nn.Module):
    """(N, C, H, W) → (N, C', H', W'): weights from N(0, 1), multiplied by 1 / sqrt(C k²) when used.

    Args:
        channels_in: C.
        channels_out: C'.
        kernel_size: k.
        stride: 2 halves the sides.
        padding: Zeros on every side.
        bias: Whether there are biases.
        activates: Whether an activation follows.
        gain: Factor of the result.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        activates: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.activates = activates
        self.bias_gain = gain * (ACTIVATION_GAIN if activates else 1.0)
        self.gain = self.bias_gain / math.sqrt(channels_in * kernel_size**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.bias_gain
        x = F.conv2d(x, self.weight * self.gain, bias, self.stride, self.padding)
        return activate(x) if self.activates else x


class ModulatedConv2d(nn.Module):
    """(N, C, H, W) and w (N, style_dim) → (N, C', H, W), or (N, C', 2H, 2W) if it doubles.

    A sample's weights are w'_oik = s_i w_oik, divided by their norm over i and k if it demodulates
    (arXiv:1912.04958, equations 1 to 3). A convolution is linear, so s scales the inputs and the
    norms divide the outputs. The result is that of a grouped convolution with one group per sample,
    but one dense convolution for the batch is several times faster.
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
        x, scales = self.modulate(x, w)
        return x if scales is None else x * scales.to(x.dtype)

    def modulate(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the convolution of the scaled inputs, and its demodulation, float32 (N, C', 1, 1).

        The second is None if the layer does not demodulate.
        """
        weight, scales = self.weight * self.gain, None
        with without_autocast(x.device):
            styles = self.to_style(w.float())  # (N, C)
            if self.demodulates:
                norms = F.linear(styles.square(), weight.square().sum((2, 3)))  # (N, C')
                scales = (norms + EPSILON).rsqrt()[:, :, None, None]
        x = x * styles.to(x.dtype)[:, :, None, None]
        if self.smooth is None:
            return F.conv2d(x, weight, padding=self.padding), scales
        doubled = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # (N, C', 2H + 1, 2W + 1)
        return self.smooth(doubled), scales


def append_minibatch_stddev(x: Tensor, limit: int) -> Tensor:
    """Append a channel with the variation within a group: (N, C, H, W) → (N, C + 1, H, W).

    It is the standard deviation over the group, averaged over channels and positions
    (arXiv:1710.10196, section 3). A group has consecutive images, so that each process holds whole
    groups.
    """
    count, _, height, width = x.shape
    group = largest_group(count, limit)
    members = x.float().reshape(count // group, group, -1)
    deviations = (members.var(1, unbiased=False) + EPSILON).sqrt().mean(1)  # (N / group,)
    channel = deviations.repeat_interleave(group).to(x.dtype).view(count, 1, 1, 1)
    return torch.cat([x, channel.expand(count, 1, height, width)], 1)
