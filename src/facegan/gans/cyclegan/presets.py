"""Presets of CycleGAN: the paper's, and small ones for CPUs."""

from dataclasses import dataclass

from facegan.gans.shapes import check_multiple
from facegan.hyperparameters.setting import Preset, setting


@dataclass(frozen=True, kw_only=True)
class CycleganPreset(Preset):
    """Hyperparameters of a CycleGAN."""

    width: int = setting(
        "channels of the generators next to the image", default=64, low=1, high=1024
    )
    blocks: int = setting("residual blocks of each generator", default=9, low=1, high=64)
    kernel: int = setting(
        "side of the generators' first and last convolutions, odd", default=7, low=1, high=15
    )
    norm: str = setting(
        "normalise each image by itself (instance), with a learnt scale (own), or maps over the "
        "batch",
        default="instance",
        choices=("instance", "own", "batch"),
    )
    resampling: str = setting(
        "halve and double maps by 3x3 convolutions, transposed ones to double (paper), or by 4x4 "
        "convolutions and by nearest neighbours, without checkerboards (smooth)",
        default="smooth",
        choices=("paper", "smooth"),
    )
    discriminator_width: int = setting(
        "channels of the discriminators next to the image", default=64, low=1, high=1024
    )
    patch_halvings: int = setting(
        "halvings of the discriminators, which judge patches of 1, 16, 34, 70, 142 or 286 px",
        default=3,
        low=0,
        high=5,
    )
    pool_size: int = setting(
        "earlier fakes of each direction that the discriminators are trained on, too; 0: none",
        default=50,
        low=0,
        high=10_000,
    )


def check_sides(preset: CycleganPreset, image_shape: tuple[int, ...]) -> None:
    """Raise ConfigError for a shape that the generators cannot take."""
    check_multiple("cyclegan", "a ResNet generator of two halvings", 4, image_shape)
