"""The normalisations of feature maps that image-to-image families choose between.

A setting names one of them:

``batch``     mean and variance of the batch, learnt scale and shift; running statistics when served
``instance``  mean and variance of each image by itself (arXiv:1607.08022), nothing learnt
``own``       each image's own statistics as well, with batch norm's learnt scale and shift: what
              batch norm computes for a batch of one image, in training and when served
"""

from typing import Any

import torch
from torch import Tensor, nn

from facegan.gans.batch_norm import BatchNorm2d
from facegan.gans.layers import channels_last


class InstanceNorm2d(nn.InstanceNorm2d):
    """torch's, whose result is channels-last, like the maps of the other layers."""

    def forward(self, x: Tensor) -> Tensor:
        return channels_last(super().forward(x))


def make_norm(kind: str, channels: int) -> nn.Module:
    """Build a normalisation of maps (N, C, H, W); `kind` is batch, instance or own."""
    if kind == "batch":
        return BatchNorm2d(channels)
    return InstanceNorm2d(channels, affine=has_shift(kind))


def has_shift(kind: str) -> bool:
    """Return whether a norm learns a shift, so that a convolution before it needs no bias."""
    return kind != "instance"


def normalised(convolution: Any, kind: str) -> list[nn.Module]:
    """Return a convolution and the norm of its result.

    Instance norm subtracts a bias again, so the bias's gradient is rounding alone, which Adam would
    enlarge to whole steps. Here it is 0: the bias keeps its initial value.
    """
    if convolution.bias is not None:
        convolution.bias.register_hook(torch.zeros_like)
    return [convolution, make_norm(kind, convolution.out_channels)]
