"""SPADE's patch discriminators, and OASIS's segmenting one.

Both take images and their one-hot label maps (N, classes, H, W), so that augmentation can move the
two together. The segmenting one does not look at the label maps, but returns them as they came.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.norms import InstanceNorm2d
from facegan.gans.spade.blocks import activate, initialise
from facegan.gans.spade.presets import SpadePreset
from facegan.gans.spectral_norm import SpectralConv2d

WIDEST = 8  # times the first width
SMALLEST = 4  # side of the segmenting discriminator's innermost maps
MAX_HALVINGS = 6

Features = list[Tensor]  # the maps after each layer, the logits last


class PatchDiscriminator(nn.Module):
    """Images and one-hot label maps, concatenated → maps after each layer, the logits last.

    Convolutions of 4x4, padded by 2, spectrally and instance-normalised between the first and the
    last (arXiv:1903.07291, figure 13); a leaky ReLU after each but the last.
    """

    def __init__(self, preset: SpadePreset) -> None:
        super().__init__()
        halvings, width = preset.discriminator_halvings, preset.discriminator_width
        widths = [width * min(2**stage, WIDEST) for stage in range(halvings + 1)]
        self.first = nn.Conv2d(3 + preset.map_classes, width, 4, stride=2, padding=2)
        strides = [2] * (halvings - 1) + [1]
        self.convolutions = nn.ModuleList(
            SpectralConv2d(before, after, 4, stride, padding=2, bias=False)
            for (before, after), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.norms = nn.ModuleList(InstanceNorm2d(width) for width in widths[1:])
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> Features:
        features = [activate(self.first(x))]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features.append(activate(norm(convolution(features[-1]))))
        return [*features, self.last(features[-1])]


class PatchDiscriminators(nn.Module):
    """Images and one-hot label maps → the features of each of several discriminators.

    The second sees images of half the side, the third of a quarter (arXiv:1711.11585, section 3.2).
    """

    def __init__(self, preset: SpadePreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(preset) for _ in range(preset.discriminator_scales)
        )
        self.apply(initialise)

    def forward(self, images: Tensor, label_maps: Tensor) -> list[Features]:
        x = torch.cat([images, label_maps.to(images.dtype)], dim=1)
        found = []
        for index, discriminator in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            found.append(discriminator(x))
        return found


class ResidualBlock(nn.Module):
    """Two spectrally normalised 3x3 convolutions, then or before them the sides halve or double."""

    def __init__(
        self, channels_in: int, channels_out: int, resize: str, activates_first: bool = True
    ) -> None:
        super().__init__()
        self.resize, self.activates_first = resize, activates_first
        self.conv_in = SpectralConv2d(channels_in, channels_out, 3, padding=1)
        self.conv_out = SpectralConv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut: nn.Module | None = None
        if channels_in != channels_out:
            self.shortcut = SpectralConv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.resize == "double":
            x = F.interpolate(x, scale_factor=2.0)
        inner = self.conv_in(activate(x) if self.activates_first else x)
        inner = self.conv_out(activate(inner))
        total = inner + (x if self.shortcut is None else self.shortcut(x))
        return F.avg_pool2d(total, 2) if self.resize == "halve" else cast(Tensor, total)


class SegmentingDiscriminator(nn.Module):
    """Images → logits (N, map_classes + 1, H, W): each pixel's class, or "fake" as the last.

    A U-Net of residual blocks (arXiv:2012.04781, table A in the appendix): down to maps of 4x4, six
    halvings at 256 px, and up again, each level joined by the maps of its side.
    """

    def __init__(self, preset: SpadePreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        width = preset.discriminator_width
        halvings = min((image_shape[-1] // SMALLEST).bit_length() - 1, MAX_HALVINGS)
        down = [min(2 ** (1 + stage // 2), WIDEST) * width for stage in range(halvings)]
        up = [*down[-2::-1], width]
        joined = [0, *down[-2::-1]]  # channels of the maps that join each level on the way up
        self.down = nn.ModuleList(
            ResidualBlock(before, after, "halve", activates_first=index > 0)
            for index, (before, after) in enumerate(zip([3, *down], down, strict=False))
        )
        self.up = nn.ModuleList(
            ResidualBlock(before + join, after, "double")
            for before, join, after in zip([down[-1], *up], joined, up, strict=False)
        )
        self.to_classes = nn.Conv2d(width, preset.map_classes + 1, 1)
        self.apply(initialise)

    def forward(self, images: Tensor, label_maps: Tensor) -> tuple[Tensor, Tensor]:
        x, levels = images, []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for index, block in enumerate(self.up):
            x = block(x if index == 0 else torch.cat([x, levels[-1 - index]], dim=1))
        return self.to_classes(x).float(), label_maps
