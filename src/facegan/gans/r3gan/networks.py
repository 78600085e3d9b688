"""The two players of R3GAN: mirrored stacks of residual blocks without normalisation.

arXiv:2501.05441, the roadmap's last configuration: blocks that are wide and grouped in the middle,
biases only under an activation, Fix-up's initialisation, resampling by a small filter. There is no
tanh: a generator's images may leave [-1, 1], and whoever makes pixels of them clamps.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from facegan.gans.autocast import in_own_type
from facegan.gans.convolution import convolve
from facegan.gans.labels import one_hot
from facegan.gans.layers import in_autocast_type
from facegan.gans.r3gan.presets import SMALLEST, R3ganPreset, widths_from
from facegan.gans.resampling import Resample

SLOPE = 0.2  # of the leaky ReLU below zero
LOW_PRECISION_STAGES = 4  # at most so many, the largest, compute in autocast's type; as the paper's


def channels_last(x: Tensor) -> Tensor:
    """(N, C, H, W) with channels last in memory; layers keep that, and compute fastest in it."""
    return x.contiguous(memory_format=torch.channels_last)


# --- layers -----------------------------------------------------------------------------------


def initialise(weight: Tensor, gain: float = 1.0) -> None:
    """Weights from N(0, gain² / fan_in); a gain of 0 makes them 0."""
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))


def block_gain(blocks: int) -> float:
    """The gain inside residual branches: He's for the leaky ReLU, tamed for the depth.

    Fix-up (arXiv:1901.09321, section 3.1) scales by L^(-1 / (2m - 2)): L is the number of branches
    and m = 3 the layers in each, the last of which starts at 0.
    """
    layers = 3
    return math.sqrt(2 / (1 + SLOPE**2)) * math.pow(blocks, -1 / (2 * layers - 2))


class Conv(nn.Conv2d):
    """A convolution that keeps the map's size unless told a padding, initialised with a gain."""

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
    """x + Conv1x1(lrelu(GroupedConv3x3(lrelu(Conv1x1(x))))); at first x itself."""

    def __init__(self, channels: int, preset: R3ganPreset, gain: float) -> None:
        super().__init__()
        wide = channels * preset.expansion
        groups = wide // preset.group_width
        # The paper's biases lie inside the activations: a convolution's own bias, just before one.
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
    """Twice the side. A 1x1 convolution first, on the small map, where the width changes."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.change = change_width(channels_in, channels_out)
        self.resample = Resample(up=2)

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.resample(self.change(in_autocast_type(x)))
        return doubled


class Downsample(nn.Module):
    """Half the side. A 1x1 convolution last, on the small map, where the width changes."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.change = change_width(channels_in, channels_out)
        self.resample = Resample(down=2)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.change(self.resample(x))
        return changed


def change_width(channels_in: int, channels_out: int) -> nn.Module:
    """Nothing where the widths agree."""
    return nn.Identity() if channels_in == channels_out else Conv(channels_in, channels_out)


def blocks_of(preset: R3ganPreset, width: int, stages: int) -> list[nn.Module]:
    """One stage's residual blocks, in a network of so many stages."""
    gain = block_gain(stages * preset.blocks_per_stage)
    return [ResidualBlock(width, preset, gain) for _ in range(preset.blocks_per_stage)]


def count_float32_layers(preset: R3ganPreset, stages: int) -> int:
    """How many of the layers between the 4x4 stage and the images compute in float32.

    They are those of the smaller maps: below 32 px at 256 px, 8 px at 128 px, none up to 64 px.
    """
    return max(0, stages - 1 - LOW_PRECISION_STAGES) * (1 + preset.blocks_per_stage)


class LabelEmbedding(nn.Linear):
    """Labels (N,) → (N, width): one vector per class, at first N(0, gain² / classes)."""

    def __init__(self, classes: int, width: int, gain: float = 1.0) -> None:
        super().__init__(classes, width, bias=False)
        initialise(self.weight, gain)

    def forward(self, labels: Tensor | None) -> Tensor:
        return super().forward(one_hot(labels, self.in_features))


# --- players ----------------------------------------------------------------------------------


class Generator(nn.Module):
    """Latents (N, latent_dim) → images (N, 3, H, W), about [-1, 1] and not squashed into it.

    A conditional one takes labels (N,) too; each class has a vector as wide as a latent beside it.
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
        with in_own_type(latents.device):
            x = latents.float()
            if self.embed is not None:
                x = torch.cat([x, self.embed(labels)], 1)
            strengths = self.project(x)[:, :, None, None]
            x = self.start(channels_last(strengths * self.basis))  # (N, C, 4, 4)
            x = self.layers[: self.float32_layers](x)
        images: Tensor = self.to_rgb(self.layers[self.float32_layers :](x))
        return images.float()


class Discriminator(nn.Module):
    """Images (N, 3, H, W) → logits (N,): how real each looks, up to a constant.

    A conditional one takes labels (N,) too, and projects: a logit is the product of the image's
    features with its class's vector (arXiv:1802.05637, equation 3, without the part that no label
    enters).
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
        # The adjoint of the generator's basis: a 4x4 kernel a channel, over the whole map.
        self.basis = Conv(widths[-1], widths[-1], SMALLEST, padding=0, groups=widths[-1])
        # No bias: the relativistic loss sees differences of logits only.
        self.head = nn.Linear(widths[-1], widths[-1] if preset.classes else 1, bias=False)
        initialise(self.head.weight)
        # Not named `embed`: vectors of that name, in runs of 0.1, were used times 1 / sqrt(width).
        self.class_vectors = (
            LabelEmbedding(preset.classes, widths[-1], gain=1 / math.sqrt(widths[-1]))
            if preset.classes
            else None
        )

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.layers[: self.first_float32_layer](self.from_rgb(channels_last(images)))
        with in_own_type(images.device):
            x = self.layers[self.first_float32_layer :](x.float())  # (N, C, 4, 4)
            strengths = self.basis(self.end(x)).flatten(1)
            logits: Tensor = self.head(strengths)  # (N, 1), or features (N, C)
            if self.class_vectors is not None:
                logits = (logits * self.class_vectors(labels)).sum(1)
        return logits.flatten()
