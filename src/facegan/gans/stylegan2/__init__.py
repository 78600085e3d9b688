"""StyleGAN2 (Karras et al., arXiv:1912.04958), written from the papers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facegan.gans.family import Adam, Family, Phase
from facegan.gans.stylegan2.presets import (
    PATH_BATCH_SHRINK,
    PRESETS,
    Stylegan2Preset,
    largest_group,
)

if TYPE_CHECKING:
    from torch import nn

# Imports inside functions: presets are checked without torch (1.6 s).


class Stylegan2(Family):
    """StyleGAN2: a style-based generator, a residual discriminator."""

    name = "stylegan2"
    paper = "Karras, Laine, Aittala, Hellsten, Lehtinen & Aila 2020, arXiv:1912.04958"
    presets = PRESETS
    default_presets = {side: f"paper{side}" for side in (32, 64, 128, 256)}
    has_truncation = True
    ema_ramp_up = 0.05  # as the ADA paper's code (arXiv:2006.06676, appendix B)
    replaces_nan_gradients = True
    has_classes = True
    has_style_mixing = True

    def build_players(
        self, preset: Stylegan2Preset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.stylegan2.networks import Discriminator, Generator

        return {
            "generator": Generator(preset, image_shape),
            "discriminator": Discriminator(preset, image_shape),
        }

    def build_generator(self, preset: Stylegan2Preset, image_shape: tuple[int, ...]) -> nn.Module:
        from facegan.gans.stylegan2.networks import Generator

        return Generator(preset, image_shape)

    def optimizers(self, preset: Stylegan2Preset, kimg: float = 0.0) -> dict[str, Adam]:
        path_interval = preset.path_length_interval if preset.path_length_weight else None
        return {
            "generator": lazily_regularised(preset, path_interval),
            "discriminator": lazily_regularised(preset, preset.r1_interval),
        }

    def images_together(self, preset: Stylegan2Preset, batch_size: int) -> int:
        # Whole groups for the minibatch stddev, and an even number for the path lengths.
        shrink = PATH_BATCH_SHRINK if preset.path_length_weight else 1
        return math.lcm(largest_group(batch_size, preset.minibatch_stddev_group), shrink)

    def phases(self, preset: Stylegan2Preset) -> tuple[Phase, ...]:
        from facegan.gans.stylegan2.loss import phases_of

        return phases_of(preset)


def lazily_regularised(preset: Stylegan2Preset, interval: int | None) -> Adam:
    """Return Adam for a player with an additional regularisation step every n = `interval` steps.

    The rate is multiplied by r = n / (n + 1), and the betas are raised to the power r
    (arXiv:1912.04958, appendix B, "Lazy regularization").
    """
    r = interval / (interval + 1) if interval else 1.0
    return Adam(preset.learning_rate * r, preset.beta1**r, preset.beta2**r)


FAMILY = Stylegan2()
