"""The normalisations of feature maps that image-to-image families choose between.

A setting names one of them:

``batch``     mean and variance of the batch, learnt scale and shift; running statistics when served
``instance``  mean and variance of each image by itself (arXiv:1607.08022), nothing learnt
``own``       each image's own statistics as well, with batch norm's learnt scale and shift: what
              batch norm computes for a batch of one image, in training and when served
"""

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
