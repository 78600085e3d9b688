"""StyleGAN2's generator and discriminator, sized by a preset and the image shape.

The generator has output skips, the discriminator is residual (arXiv:1912.04958, figure 7).
"""

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from facegan.gans import data_parallel
from facegan.gans.autocast import without_autocast
from facegan.gans.resampling import Resample
from facegan.gans.shapes import pyramid
from facegan.gans.stylegan2.layers import (
    ACTIVATION_GAIN,
    EqualConv2d,
    EqualLinear,
    ModulatedConv2d,
    activate,
    append_minibatch_stddev,
)
from facegan.gans.stylegan2.mapping import LabelMapping, Mapping
from facegan.gans.stylegan2.presets import Stylegan2Preset

SMALLEST = 4  # side of the first map
MEAN_W_DECAY = 0.995  # a training batch's weight in the mean of w is 1 minus this


class SynthesisLayer(nn.Module):
    """A modulated convolution, then noise and bias, then the activation (figure 2c).

    The noise is new in every training step and fixed in eval mode; a preset can switch it off.
    """

    noise: Tensor

    def __init__(
        self, preset: Stylegan2Preset, narrow: int, wide: int, side: int, doubles: bool = False
    ) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(preset.style_dim, narrow, wide, 3, doubles=doubles)
        self.noise_strength = nn.Parameter(torch.zeros(())) if preset.noise_inputs else None
        self.bias = nn.Parameter(torch.zeros(wide))
        if preset.noise_inputs:
            self.register_buffer("noise", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x, demodulation = self.convolution.modulate(x, w)
        scales, bias = (
            (part * ACTIVATION_GAIN).to(x.dtype)
            for part in (cast(Tensor, demodulation), self.bias[:, None, None])
        )
        if self.noise_strength is None:
            return activate(torch.addcmul(bias, x, scales))
        noise = self.noise
        if self.training:
            noise = data_parallel.randn(len(x), 1, *noise.shape, device=x.device)
        noise = (noise * self.noise_strength * ACTIVATION_GAIN).to(x.dtype)
        return activate(torch.addcmul(noise, x, scales).add_(bias))


class ToRGB(nn.Module):
    """Features (N, C, H, W) and w → float32 (N, 3, H, W), which is added to the image."""

    def __init__(self, preset: Stylegan2Preset, width: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(preset.style_dim, width, 3, 1, demodulates=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        image: Tensor = self.convolution(x, w).float()
        return image + self.bias[:, None, None]


class SynthesisBlock(nn.Module):
    """Doubles the sides of features and image; ws (N, 3, style_dim) has one w per layer."""

    def __init__(self, preset: Stylegan2Preset, narrow: int, wide: int, side: int) -> None:
        super().__init__()
        self.enlarge = SynthesisLayer(preset, narrow, wide, side, doubles=True)
        self.refine = SynthesisLayer(preset, wide, wide, side)
        self.to_rgb = ToRGB(preset, wide)
        self.enlarge_image = Resample(up=2)

    def forward(self, x: Tensor, image: Tensor, ws: Tensor) -> tuple[Tensor, Tensor]:
        x = self.refine(self.enlarge(x, ws[:, 0]), ws[:, 1])
        return x, self.enlarge_image(image) + self.to_rgb(x, ws[:, 2])


class Synthesis(nn.Module):
    """One w per layer, (N, layers, style_dim) → images (N, 3, H, W)."""

    def __init__(self, preset: Stylegan2Preset, sides: list[int]) -> None:
        super().__init__()
        widths = [preset.width_at(side) for side in sides]
        self.layers = 2 * len(sides)  # a block's last w is the first one of the next block
        self.constant = nn.Parameter(torch.randn(1, widths[0], SMALLEST, SMALLEST))
        self.first = SynthesisLayer(preset, widths[0], widths[0], SMALLEST)
        self.to_rgb = ToRGB(preset, widths[0])
        self.blocks = nn.ModuleList(
            SynthesisBlock(preset, narrow, wide, side)
            for narrow, wide, side in zip(widths, widths[1:], sides[1:], strict=False)
        )

    def forward(self, ws: Tensor) -> Tensor:
        # Not len(ws), which torch.export would make a constant.
        x = self.first(self.constant.expand(ws.shape[0], -1, -1, -1), ws[:, 0])
        image: Tensor = self.to_rgb(x, ws[:, 1])
        for index, block in enumerate(self.blocks):
            x, image = block(x, image, ws[:, 2 * index + 1 : 2 * index + 4])
        return image


class Generator(nn.Module):
    """Latents (N, latent_dim) → images (N, 3, H, W), float32, near [-1, 1] without a tanh.

    It has two running means: of w, towards which truncation moves, and of the path lengths, the
    target of their regularisation.
    """

    mean_w: Tensor
    mean_path_length: Tensor

    def __init__(self, preset: Stylegan2Preset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mapping = Mapping(preset)
        self.synthesis = Synthesis(preset, pyramid("stylegan2", SMALLEST, image_shape))
        self.register_buffer("mean_w", torch.zeros(preset.style_dim))
        self.register_buffer("mean_path_length", torch.zeros(()))

    def forward(
        self, latents: Tensor, labels: Tensor | None = None, truncation_psi: float = 1.0
    ) -> Tensor:
        return cast(Tensor, self.synthesis(self.styles(latents, labels, truncation_psi)))

    def styles(
        self, latents: Tensor, labels: Tensor | None = None, truncation_psi: float = 1.0
    ) -> Tensor:
        """Map z (N, latent_dim), and labels (N,) if conditional, to one w per layer."""
        w = self.map(latents, labels)
        if truncation_psi != 1.0:
            w = self.mean_w.lerp(w, truncation_psi)  # arXiv:1812.04948, appendix B
        return w[:, None].expand(-1, self.synthesis.layers, -1)

    def map(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z (N, latent_dim) to w (N, style_dim); while training, update the mean of w.

        There is one mean over all classes.
        """
        w: Tensor = self.mapping(latents, labels)
        if self.training:
            data_parallel.update_running_mean(self.mean_w, w.detach().mean(0), 1 - MEAN_W_DECAY)
        return w


class DiscriminatorBlock(nn.Module):
    """(N, C, H, W) → (N, C', H/2, W/2): the sum of two branches, one linear, over sqrt(2).

    The root divides the weights of both branches' last layers.
    """

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        root = math.sqrt(0.5)
        self.refine = EqualConv2d(narrow, narrow, 3, padding=1, activates=True)
        self.smooth = Resample(padding=2)
        self.halve = EqualConv2d(narrow, wide, 3, stride=2, activates=True, gain=root)
        self.halve_skip = Resample(down=2)
        self.skip = EqualConv2d(narrow, wide, 1, bias=False, gain=root)

    def forward(self, x: Tensor) -> Tensor:
        around: Tensor = self.skip(self.halve_skip(x))
        return cast(Tensor, around + self.halve(self.smooth(self.refine(x))))


class Discriminator(nn.Module):
    """Images (N, 3, H, W) → logits (N,), higher for real images.

    A conditional one takes labels (N,) too, and projects: a logit is the product of the image's
    features with its mapped label (arXiv:1802.05637, equation 3, without the unconditional term),
    over the root of their width.
    """

    def __init__(self, preset: Stylegan2Preset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        widths = [
            preset.width_at(side) for side in reversed(pyramid("stylegan2", SMALLEST, image_shape))
        ]
        self.from_rgb = EqualConv2d(3, widths[0], 1, activates=True)
        pairs = pairwise(widths)
        self.blocks = nn.Sequential(*(DiscriminatorBlock(*pair) for pair in pairs))
        self.group = preset.minibatch_stddev_group
        self.last = EqualConv2d(widths[-1] + 1, widths[-1], 3, padding=1, activates=True)
        self.hidden = EqualLinear(widths[-1] * SMALLEST**2, widths[-1], activates=True)
        self.head = EqualLinear(widths[-1], widths[-1] if preset.classes else 1)
        self.map_label = LabelMapping(preset, widths[-1]) if preset.classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        # Channels-last like the data, whatever their origin: the filters are faster on it.
        images = images.contiguous(memory_format=torch.channels_last)
        x = self.blocks(self.from_rgb(images))
        with without_autocast(x.device):  # the last stage is float32, as in the ADA paper's code
            x = self.last(append_minibatch_stddev(x.float(), self.group))
            logits: Tensor = self.head(self.hidden(x.flatten(1)))  # (N, 1 or C)
        if self.map_label is not None:
            logits = (logits * self.map_label(labels)).sum(1) / math.sqrt(logits.shape[1])
        return logits.flatten()
