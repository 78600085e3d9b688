"""R3GAN's generator and discriminator: mirrored stacks of residual blocks without normalisation.

arXiv:2501.05441, the roadmap's last configuration: blocks that are wide and grouped in the middle,
biases only before an activation, Fix-up's initialisation, resampling by a small filter. There is no
tanh: generated images may leave [-1, 1], and are clamped when pixels are made.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from facegan.gans.autocast import without_autocast
from facegan.gans.convolution import convolve
from facegan.gans.labels import one_hot
from facegan.gans.layers import channels_last, to_autocast_dtype
from facegan.gans.r3gan.presets import SMALLEST, R3ganPreset, widths_from
from facegan.gans.resampling import Resample

SLOPE = 0.2  # of the leaky ReLU below zero
LOW_PRECISION_STAGES = 4  # the largest stages, computed in autocast's type, as in the paper's code


# --- layers -----------------------------------------------------------------------------------


def initialise(weight: Tensor, gain: float = 1.0) -> None:
    """Initialise a weight from N(0, gain² / fan_in); a gain of 0 makes it 0."""
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))


def block_gain(blocks: int) -> float:
    """Return the gain inside residual branches: He's for the leaky ReLU, reduced by the depth.

    Fix-up (arXiv:1901.09321, section 3.1) scales by L^(-1 / (2m - 2)): L is the number of branches
    and m = 3 the layers in each, the last of which starts at 0.
    """
    layers = 3
    return math.sqrt(2 / (1 + SLOPE**2)) * math.pow(blocks, -1 / (2 * layers - 2))


class Conv(nn.Conv2d):
    """A convolution that is initialised with a gain; by default it keeps the map's size."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        bias: bool = False,
        gain: float = 1.0,
    ) -> None:
        padding = size // 2 if padding is None else padding
        super().__init__(channels_in, channels_out, size, 1, padding, groups=groups, bias=bias)
        initialise(self.weight, gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, 1, int(self.padding[0]), self.groups)


class ResidualBlock(nn.Module):
    """x + Conv1x1(lrelu(GroupedConv3x3(lrelu(Conv1x1(x))))); the identity at initialisation."""

    def __init__(self, channels: int, preset: R3ganPreset, gain: float) -> None:
        super().__init__()
        wide = channels * preset.expansion
        groups = wide // preset.group_width
        # The paper adds biases in the activations; here they are those of the convolutions before.
        self.branch = nn.Sequential(
            Conv(channels, wide, bias=True, gain=gain),
            nn.LeakyReLU(SLOPE, inplace=True),
            Conv(wide, wide, 3, groups=groups, bias=True, gain=gain),
            nn.LeakyReLU(SLOPE, inplace=True),
            Conv(wide, channels, gain=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch(x)
        out += x  # in place: nothing else needs the branch's result
        return out


class Upsample(nn.Module):
    """Doubles the side; a 1x1 convolution before it, on the smaller map, changes the width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.change = change_width(channels_in, channels_out)
        self.resample = Resample(up=2)

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.resample(self.change(to_autocast_dtype(x)))
        return doubled


class Downsample(nn.Module):
    """Halves the side; a 1x1 convolution after it, on the smaller map, changes the width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.change = change_width(channels_in, channels_out)
        self.resample = Resample(down=2)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.change(self.resample(x))
        return changed


def change_width(channels_in: int, channels_out: int) -> nn.Module:
    """Return a 1x1 convolution, or the identity if the widths are equal."""
    return nn.Identity() if channels_in == channels_out else Conv(channels_in, channels_out)


def blocks_of(preset: R3ganPreset, width: int, stages: int) -> list[nn.Module]:
    """Build one stage's residual blocks, in a network of `stages`."""
    gain = block_gain(stages * preset.blocks_per_stage)
    return [ResidualBlock(width, preset, gain) for _ in range(preset.blocks_per_stage)]


def count_float32_layers(preset: R3ganPreset, stages: int) -> int:
    """Return how many of the layers between the 4x4 stage and the images compute in float32.

    They are those of the smaller maps: below 32 px at 256 px, 8 px at 128 px, none up to 64 px.
    """
    return max(0, stages - 1 - LOW_PRECISION_STAGES) * (1 + preset.blocks_per_stage)


class LabelEmbedding(nn.Linear):
    """Labels (N,) → (N, width): one vector per class, initialised from N(0, gain² / classes)."""

    def __init__(self, classes: int, width: int, gain: float = 1.0) -> None:
        super().__init__(classes, width, bias=False)
        initialise(self.weight, gain)

    def forward(self, labels: Tensor | None) -> Tensor:
        return super().forward(one_hot(labels, self.in_features))


# --- players ----------------------------------------------------------------------------------


class Generator(nn.Module):
    """Latents (N, latent_dim) → images (N, 3, H, W), about [-1, 1] without a tanh.

    A conditional one takes labels (N,) too; a class vector is concatenated to the latent.
    """

    def __init__(self, preset: R3ganPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        widths = widths_from(preset, image_shape)
        self.basis = nn.Parameter(torch.randn(widths[0], SMALLEST, SMALLEST))
        parts = 2 if preset.classes else 1
        self.project = nn.Linear(parts * preset.latent_dim, widths[0], bias=False)
        initialise(self.project.weight)
        self.start = nn.Sequential(*blocks_of(preset, widths[0], len(widths)))
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [Upsample(before, after), *blocks_of(preset, after, len(widths))]
        self.layers = nn.Sequential(*layers)
        self.float32_layers = count_float32_layers(preset, len(widths))
        self.to_rgb = Conv(widths[-1], 3)
        self.embed = LabelEmbedding(preset.classes, preset.latent_dim) if preset.classes else None

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        with without_autocast(latents.device):
            x = latents.float()
            if self.embed is not None:
                x = torch.cat([x, self.embed(labels)], 1)
            strengths = self.project(x)[:, :, None, None]
            x = self.start(channels_last(strengths * self.basis))  # (N, C, 4, 4)
            x = self.layers[: self.float32_layers](x)
        images: Tensor = self.to_rgb(self.layers[self.float32_layers :](x))
        return images.float()


class Discriminator(nn.Module):
    """Images (N, 3, H, W) → logits (N,), higher for real images, up to a constant.

    A conditional one takes labels (N,) too, and projects: a logit is the product of the image's
    features with its class's vector (arXiv:1802.05637, equation 3, without the unconditional term).
    """

    def __init__(self, preset: R3ganPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        widths = widths_from(preset, image_shape)[::-1]
        self.from_rgb = Conv(3, widths[0])
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [*blocks_of(preset, before, len(widths)), Downsample(before, after)]
        self.layers = nn.Sequential(*layers)
        self.first_float32_layer = len(layers) - count_float32_layers(preset, len(widths))
        self.end = nn.Sequential(*blocks_of(preset, widths[-1], len(widths)))
        # The adjoint of the generator's basis: one 4x4 kernel per channel, over the whole map.
        self.basis = Conv(widths[-1], widths[-1], SMALLEST, padding=0, groups=widths[-1])
        # No bias: the relativistic loss uses only differences of logits.
        self.head = nn.Linear(widths[-1], widths[-1] if preset.classes else 1, bias=False)
        initialise(self.head.weight)
        # Not named `embed`: facegan 0.1 multiplied vectors of that name by 1 / sqrt(width).
        self.class_vectors = (
            LabelEmbedding(preset.classes, widths[-1], gain=1 / math.sqrt(widths[-1]))
            if preset.classes
            else None
        )

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.layers[: self.first_float32_layer](self.from_rgb(channels_last(images)))
        with without_autocast(images.device):
            x = self.layers[self.first_float32_layer :](x.float())  # (N, C, 4, 4)
            strengths = self.basis(self.end(x)).flatten(1)
            logits: Tensor = self.head(strengths)  # (N, 1), or features (N, C)
            if self.class_vectors is not None:
                logits = (logits * self.class_vectors(labels)).sum(1)
        return logits.flatten()
