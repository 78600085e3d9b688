"""CycleGAN's generators, of residual blocks, and its discriminators with a pool of earlier fakes.

arXiv:1703.10593, section 4 and appendix 7.2. The generator is that of Johnson, Alahi & Fei-Fei
(arXiv:1603.08155).
"""

from torch import Tensor, nn

from facegan.gans.cyclegan.presets import CycleganPreset, check_sides
from facegan.gans.image_pool import ImagePool
from facegan.gans.layers import HalvingConv2d, ResizingConv2d, channels_last, initialise_normal
from facegan.gans.norms import has_shift, normalised
from facegan.gans.patchgan import PatchDiscriminator

HALVINGS = 2


class Generator(nn.Module):
    """Images (N, 3, H, W) of one set → images (N, 3, H, W) of the other, in [-1, 1].

    A wide convolution, two halvings, residual blocks, two doublings, a wide convolution; the paper
    pads by reflection, so that borders have no dark frame. It is convolutional throughout, and
    draws no random numbers.
    """

    def __init__(self, preset: CycleganPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        check_sides(preset, image_shape)
        width, norm, pad = preset.width, preset.norm, preset.kernel // 2
        biased = not has_shift(norm)
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(pad),
            *normalised(nn.Conv2d(3, width, preset.kernel, bias=biased), norm),
            nn.ReLU(),
        ]
        for _ in range(HALVINGS):
            layers += [*normalised(halve(preset, width, biased), norm), nn.ReLU()]
            width *= 2
        layers += [ResidualBlock(width, norm) for _ in range(preset.blocks)]
        for _ in range(HALVINGS):
            layers += [*normalised(double(preset, width, biased), norm), nn.ReLU()]
            width //= 2
        layers += [nn.ReflectionPad2d(pad), nn.Conv2d(width, 3, preset.kernel)]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_normal)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.layers(channels_last(images))
        return x.float().tanh()


def halve(preset: CycleganPreset, width: int, bias: bool) -> nn.Module:
    """Return a layer that halves the sides and doubles the channels."""
    if preset.resampling == "smooth":
        return HalvingConv2d(width, 2 * width, bias)
    return nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias)


def double(preset: CycleganPreset, width: int, bias: bool) -> nn.Module:
    """Return a layer that doubles the sides and halves the channels."""
    if preset.resampling == "smooth":
        return ResizingConv2d(width, width // 2, bias)
    return nn.ConvTranspose2d(
        width, width // 2, 3, stride=2, padding=1, output_padding=1, bias=bias
    )


class ResidualBlock(nn.Module):
    """Adds to its input what two 3x3 convolutions make of it (arXiv:1512.03385)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        bias = not has_shift(norm)
        self.branch = nn.Sequential(
            nn.ReflectionPad2d(1),
            *normalised(nn.Conv2d(channels, channels, 3, bias=bias), norm),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            *normalised(nn.Conv2d(channels, channels, 3, bias=bias), norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.branch(x)
        return total


class Discriminator(PatchDiscriminator):
    """A PatchGAN with the pool of earlier fakes that it is trained on."""

    def __init__(self, preset: CycleganPreset, image_shape: tuple[int, ...]) -> None:
        check_sides(preset, image_shape)
        super().__init__(3, preset.discriminator_width, preset.patch_halvings, preset.norm)
        self.pool = ImagePool(preset.pool_size, image_shape)
