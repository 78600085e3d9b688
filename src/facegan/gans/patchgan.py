"""PatchGAN: a discriminator that judges patches instead of whole images (arXiv:1611.07004)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from facegan.gans.layers import HalvingConv2d, channels_last, initialise_normal
from facegan.gans.norms import has_shift, normalised

WIDEST = 8  # times the width of the first layer


class PatchDiscriminator(nn.Module):
    """Images (N, 3, H, W) → logits (N, h, w), one per patch, higher for real images.

    4x4 convolutions: `halvings` of stride 2, two of stride 1; norms after all but the first and the
    last. Without halvings it is the paper's 1x1 "PixelGAN" (arXiv:1611.07004, section 6.1.2).
    A conditional one judges pairs: its forward takes the condition too, a float map
    (N, channels - 3, H, W).
    """

    def __init__(self, channels: int, width: int, halvings: int, norm: str) -> None:
        super().__init__()
        widths = [width * min(2**stage, WIDEST) for stage in range(max(halvings, 1) + 1)]
        biased, is_patch = not has_shift(norm), halvings > 0
        first = HalvingConv2d(channels, widths[0]) if is_patch else keep(channels, widths[0], False)
        layers: list[nn.Module] = [first]
        for stage, (narrow, wide) in enumerate(pairwise(widths), start=1):
            if stage < halvings:
                layer: nn.Module = HalvingConv2d(narrow, wide, biased)
            else:
                layer = keep(narrow, wide, is_patch, biased)
            layers += [nn.LeakyReLU(0.2), *normalised(layer, norm)]
        # The authors' PixelGAN has a bias here only where its other layers have one.
        layers += [nn.LeakyReLU(0.2), keep(widths[-1], 1, is_patch, is_patch or biased)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_normal)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        pairs = images if condition is None else torch.cat([images, condition.to(images.dtype)], 1)
        logits: Tensor = self.layers(channels_last(pairs))  # (N, 1, h, w)
        return logits[:, 0].float()  # losses are summed in float32 under autocast too


def keep(channels_in: int, channels_out: int, is_patch: bool, bias: bool = True) -> nn.Module:
    """Return a convolution of stride 1: 4x4, which takes a pixel from the sides, or 1x1."""
    kernel, padding = (4, 1) if is_patch else (1, 0)
    return nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=bias)
