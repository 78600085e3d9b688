"""DCGAN's generator and discriminator, sized by a preset and the image shape.

The article's networks and the paper's differ in their first layer, normalisation and
initialisation; each difference is one field of the preset. Feature maps are channels-last in memory
throughout: kernels whose inputs have different layouts are ten times slower.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from facegan.gans.batch_norm import BatchNorm2d
from facegan.gans.dcgan.presets import DcganPreset
from facegan.gans.layers import DoublingConv2d, HalvingConv2d, RowwiseLinear, initialise_normal
from facegan.gans.shapes import pyramid

WIDEST = 8  # times conv_dim, the paper's 1024 = 8 x 128


def widths_from(conv_dim: int, stages: int, widest: int = WIDEST) -> list[int]:
    """Return the channels per stage, from the image inwards: conv_dim, doubled at each stage."""
    return [conv_dim * min(2**stage, widest) for stage in range(stages)]


class Generator(nn.Module):
    """Latents (N, latent_dim) → images (N, 3, H, W) in [-1, 1] (arXiv:1511.06434, figure 1)."""

    def __init__(self, preset: DcganPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        stages = len(pyramid("dcgan", preset.base_size, image_shape)) - 1
        widths = widths_from(preset.conv_dim, stages)[::-1]
        self.base = (preset.base_size, preset.base_size, widths[0])
        bias = preset.layout == "article"
        self.project = RowwiseLinear(preset.latent_dim, math.prod(self.base), bias=bias)
        # The article has no norm or activation between the projection and the first convolution.
        first = [] if bias else [BatchNorm2d(widths[0]), nn.ReLU()]
        self.start = nn.Sequential(*first)
        blocks: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            blocks += [
                DoublingConv2d(wide, narrow, bias),
                BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.to_rgb = DoublingConv2d(widths[-1], 3, bias)
        norms = [layer for layer in (*first, *blocks) if isinstance(layer, BatchNorm2d)]
        self.modulations = nn.ModuleList(
            SelfModulation(preset.latent_dim, norm.num_features)
            for norm in norms
            if preset.self_modulation
        )
        self.apply(INITIALISERS[preset.layout])

    def forward(self, latents: Tensor) -> Tensor:
        x = self.project(latents).view(-1, *self.base).permute(0, 3, 1, 2)  # (N, C, base, base)
        modulations = iter(self.modulations)
        for layer in (*self.start, *self.blocks):
            x = layer(x)
            if self.modulations and isinstance(layer, BatchNorm2d):
                x = next(modulations)(x, latents)
        return torch.tanh(self.to_rgb(x).float())  # (N, 3, H, W)


class SelfModulation(nn.Module):
    """Scales and shifts normalised maps by the latent (arXiv:1810.01365, equation 3).

    The paper's two small networks are one linear layer here; its gains are added to 1.
    """

    def __init__(self, latent_dim: int, channels: int) -> None:
        super().__init__()
        self.linear = RowwiseLinear(latent_dim, 2 * channels)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        gains, shifts = self.linear(latents)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = x * (1 + gains) + shifts
        return modulated


class Discriminator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] → logits (N,), higher for real images."""

    def __init__(self, preset: DcganPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        article = preset.layout == "article"
        head_size = 1 if article else 4
        stages = len(pyramid("dcgan", head_size, image_shape)) - 1
        widths = widths_from(preset.discriminator_conv_dim, stages, 2 * WIDEST)
        normalised = range(1, stages - 1 if article else stages)
        bias = not article and not preset.discriminator_batch_norm
        blocks: list[nn.Module] = []
        for stage, (narrow, wide) in enumerate(zip([3, *widths], widths, strict=False)):
            blocks.append(HalvingConv2d(narrow, wide, bias))
            if preset.discriminator_batch_norm and stage in normalised:
                blocks.append(BatchNorm2d(wide))
            blocks.append(nn.LeakyReLU(0.2))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1] * head_size**2, 1, bias=article or bias)
        self.apply(INITIALISERS[preset.layout])

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(images).permute(0, 2, 3, 1)
        logits: Tensor = self.head(features.flatten(1))  # (N, 1)
        return logits.flatten().float()  # losses are summed in float32 under autocast too


def initialise_as_article(module: nn.Module) -> None:
    """Initialise convolutions and linear layers by He's uniform rule (arXiv:1502.01852).

    That is what the article's code does, and its transposed convolutions keep torch's default; its
    docstring says N(0, 0.02).
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_uniform_(module.weight)


INITIALISERS = {"article": initialise_as_article, "paper": initialise_normal}
