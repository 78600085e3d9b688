"""Presets of Pix2Pix: the paper's, and small ones for CPUs."""

from dataclasses import dataclass

from facegan.gans.shapes import check_multiple
from facegan.hyperparameters.setting import Preset, setting

MOST_HALVINGS = 8


@dataclass(frozen=True, kw_only=True)
class Pix2pixPreset(Preset):
    """Hyperparameters of a Pix2Pix."""

    map_classes: int = 0
    halvings: int = setting(
        "halvings of the U-Net; 0: as often as the side can be halved, at most 8 times",
        default=0,
        low=0,
        high=MOST_HALVINGS,
    )
    width: int = setting(
        "channels of the generator next to the image", default=64, low=1, high=1024
    )
    norm: str = setting(
        "normalise maps over the batch; each image by itself (instance); or by itself with a "
        "learnt scale (own)",
        default="batch",
        choices=("batch", "instance", "own"),
    )
    resampling: str = setting(
        "double maps by transposed convolutions (paper), or by nearest neighbours and a "
        "convolution, without checkerboards (smooth)",
        default="smooth",
        choices=("paper", "smooth"),
    )
    dropout: float = setting(
        "share of the innermost maps' numbers set to 0 in training; never when served",
        default=0.5,
        low=0,
        high=0.95,
    )


def count_halvings(preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> int:
    """Return the halvings of the U-Net for a shape.

    Raises:
        ConfigError: it cannot take images of that shape; the sides that it can take are named.
    """
    halvings, side = preset.halvings, image_shape[-1]
    if not halvings:
        halvings = max(it for it in range(3, MOST_HALVINGS + 1) if it == 3 or side % 2**it == 0)
    check_multiple("pix2pix", f"a U-Net of {halvings} halvings", 2**halvings, image_shape)
    return halvings
