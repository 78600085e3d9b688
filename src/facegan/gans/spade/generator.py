"""SPADE's generator and its style encoder (arXiv:1903.07291, figures 4, 11 and 14).

OASIS's generator (arXiv:2012.04781) is the same with one block less, and with its latent repeated
at every pixel of the label map. Maps are channels-last in memory throughout.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.data_parallel import randn_like
from facegan.gans.labels import one_hot_maps
from facegan.gans.layers import RowwiseLinear
from facegan.gans.norms import InstanceNorm2d
from facegan.gans.spade.blocks import Block, Convolution, activate, initialise
from facegan.gans.spade.presets import SpadePreset, check_side
from facegan.gans.spectral_norm import SpectralConv2d

ENCODED_SIDE = 4  # of the encoder's last maps
MAX_HALVINGS = 6  # of the encoder; larger images are reduced to 256 px first


def block_widths(preset: SpadePreset) -> list[tuple[int, bool]]:
    """Return the channels of each block, and whether the sides double before it."""
    widths = [min(preset.width * 2**stage, preset.widest) for stage in range(preset.doublings)]
    widest, *narrower = widths[::-1]
    middle = [(widest, index == 0) for index in range(preset.middle_blocks)]
    return [(widest, False), *middle, *((width, True) for width in narrower)]


class Generator(nn.Module):
    """Label maps (N, H, W) and latents (N, latent_dim) → images (N, 3, H, W) in [-1, 1].

    Args:
        preset: Sizes; its `map_classes` is the number of classes of label maps.
        image_shape: (3, H, W).
        convolution: Of the blocks: spectrally normalised, or plain for saved weights.
    """

    def __init__(
        self,
        preset: SpadePreset,
        image_shape: tuple[int, ...],
        convolution: Convolution = SpectralConv2d,
    ) -> None:
        super().__init__()
        self.classes, condition = preset.map_classes, preset.condition_channels
        side, widths = check_side(preset, image_shape), block_widths(preset)
        self.base = (side, side, widths[0][0])
        self.takes_latents = preset.latent_dim > 0
        self.repeats_latents = self.takes_latents and preset.latent_at == "pixels"
        self.start: nn.Module
        if self.takes_latents and not self.repeats_latents:
            self.start = RowwiseLinear(preset.latent_dim, math.prod(self.base))
        else:
            self.start = nn.Conv2d(condition, self.base[2], 3, padding=1)
        self.doubles = [doubles for _, doubles in widths]
        channels = [self.base[2], *(width for width, _ in widths)]
        self.blocks = nn.ModuleList(
            Block(before, after, condition, preset.hidden, convolution)
            for before, after in pairwise(channels)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        self.apply(initialise)

    def forward(self, label_maps: Tensor, latents: Tensor | None = None) -> Tensor:
        condition = one_hot_maps(label_maps, self.classes)
        if self.takes_latents and latents is None:
            raise TypeError("The generator takes latents, and was called without them.")
        if self.repeats_latents and latents is not None:
            sides = condition.shape[2:]
            repeated = latents[:, None, None].expand(-1, *sides, -1).permute(0, 3, 1, 2)
            condition = torch.cat([condition, repeated], dim=1)
        x = self.first_maps(condition, latents)
        for block, doubles in zip(self.blocks, self.doubles, strict=True):
            if doubles:
                x = F.interpolate(x, scale_factor=2.0)
            x = block(x, shrink(condition, x.shape[-1]))
        return torch.tanh(self.to_rgb(activate(x)).float())

    def first_maps(self, condition: Tensor, latents: Tensor | None) -> Tensor:
        """Return the maps (N, C, side, side) that the first block starts with."""
        if isinstance(self.start, nn.Linear):
            started: Tensor = self.start(latents).view(-1, *self.base).permute(0, 3, 1, 2)
        else:
            started = self.start(shrink(condition, self.base[0]))
        return started


def shrink(condition: Tensor, side: int) -> Tensor:
    """Return a condition (N, C, H, W) at a smaller side, by nearest neighbours."""
    step = condition.shape[-1] // side
    return condition[:, :, ::step, ::step]


class Encoder(nn.Module):
    """Style images (N, 3, H, W) → mean and log-variance of their latents, (N, latent_dim) each.

    In eval mode the mean alone, which is the latent of an image's style. Convolutions of stride 2
    lead to maps of 4x4: five at 128 px, six at 256 px and above, as in the paper.
    """

    def __init__(
        self,
        preset: SpadePreset,
        image_shape: tuple[int, ...],
        convolution: Convolution = SpectralConv2d,
    ) -> None:
        super().__init__()
        side = image_shape[-1]
        halvings = min(max(math.ceil(math.log2(side / ENCODED_SIDE)), 1), MAX_HALVINGS)
        self.side = ENCODED_SIDE * 2**halvings
        widths = [preset.encoder_width * min(2**stage, 8) for stage in range(halvings)]
        self.convolutions = nn.ModuleList(
            convolution(before, after, 3, stride=2, padding=1, bias=not preset.encoder_norm)
            for before, after in zip([3, *widths], widths, strict=False)
        )
        norm = InstanceNorm2d if preset.encoder_norm else nn.Identity
        self.norms = nn.ModuleList(map(norm, widths))
        features = widths[-1] * ENCODED_SIDE**2
        self.mean = RowwiseLinear(features, preset.latent_dim)
        self.log_variance = RowwiseLinear(features, preset.latent_dim)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = images
        if images.shape[-1] != self.side:
            x = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = activate(norm(convolution(x)))
        features = x.permute(0, 2, 3, 1).flatten(1)
        mean: Tensor = self.mean(features).float()
        return (mean, self.log_variance(features).float()) if self.training else mean


def draw_styles(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Draw latents from the encoder's normal distributions, differentiably."""
    return mean + randn_like(mean) * torch.exp(0.5 * log_variance)
