"""StyleGAN2's mapping networks: of latents (and labels) to w, of labels to vectors."""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from facegan.gans.autocast import without_autocast
from facegan.gans.labels import one_hot
from facegan.gans.stylegan2.layers import EPSILON, EqualLinear
from facegan.gans.stylegan2.presets import Stylegan2Preset

LABEL_LAYERS = 8  # of the discriminator's mapping, in every configuration of the ADA paper's code


def normalise(x: Tensor) -> Tensor:
    """Scale each row of (N, C) to a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()


class LabelEmbedding(nn.Module):
    """Labels (N,) → (N, width), one normalised vector per class."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes, self.layer = classes, EqualLinear(classes, width)

    def forward(self, labels: Tensor | None) -> Tensor:
        return normalise(self.layer(one_hot(labels, self.classes)))


class Mapping(nn.Module):
    """Latents z (N, latent_dim) → w (N, style_dim), in float32 despite autocast.

    A conditional one takes labels (N,) too: z and the class's vector, both normalised, are
    concatenated (arXiv:2006.06676).
    """

    def __init__(self, preset: Stylegan2Preset) -> None:
        super().__init__()
        width_in = preset.latent_dim + (preset.style_dim if preset.classes else 0)
        self.layers = mapping_layers(
            width_in, preset.style_dim, preset.mapping_layers, preset.mapping_rate
        )
        self.embed = LabelEmbedding(preset.classes, preset.style_dim) if preset.classes else None

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        with without_autocast(latents.device):
            x = normalise(latents.float())
            if self.embed is not None:
                x = torch.cat([x, self.embed(labels)], 1)
            return cast(Tensor, self.layers(x))


class LabelMapping(nn.Module):
    """Labels (N,) → vectors (N, width) that the discriminator's features are projected on."""

    def __init__(self, preset: Stylegan2Preset, width: int) -> None:
        super().__init__()
        self.embed = LabelEmbedding(preset.classes, width)
        self.layers = mapping_layers(width, width, LABEL_LAYERS, preset.mapping_rate)

    def forward(self, labels: Tensor | None) -> Tensor:
        with without_autocast(self.embed.layer.weight.device):
            return cast(Tensor, self.layers(self.embed(labels)))


def mapping_layers(width_in: int, width: int, count: int, rate: float) -> nn.Sequential:
    """Build `count` activated layers with a learning rate multiplied by `rate`."""
    widths = pairwise([width_in] + [width] * count)
    return nn.Sequential(*(EqualLinear(*pair, rate=rate, activates=True) for pair in widths))
