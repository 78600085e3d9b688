"""R3GAN (Huang, Gokaslan, Kuleshov & Tompkin, arXiv:2501.05441): a modern GAN baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facegan.gans.family import Adam, Family, Phase
from facegan.gans.r3gan.presets import PRESETS, R3ganPreset, widths_from

if TYPE_CHECKING:
    from torch import nn

# Imports inside functions: presets are checked without torch (1.6 s).


class R3gan(Family):
    """R3GAN: residual networks without normalisation, a regularised relativistic loss."""

    name = "r3gan"
    paper = "Huang, Gokaslan, Kuleshov & Tompkin 2024, arXiv:2501.05441"
    presets = PRESETS
    default_presets = {32: "faces32", 64: "paper64", 128: "faces128", 256: "paper256"}
    has_classes = True

    def check_shape(self, preset: R3ganPreset, image_shape: tuple[int, ...]) -> None:
        widths_from(preset, image_shape)

    def build_players(
        self, preset: R3ganPreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.r3gan.networks import Discriminator, Generator

        return {
            "generator": Generator(preset, image_shape),
            "discriminator": Discriminator(preset, image_shape),
        }

    def build_generator(self, preset: R3ganPreset, image_shape: tuple[int, ...]) -> nn.Module:
        from facegan.gans.r3gan.networks import Generator

        return Generator(preset, image_shape)

    def optimizers(self, preset: R3ganPreset, kimg: float = 0.0) -> dict[str, Adam]:
        adam = Adam(preset.learning_rate(kimg), 0.0, preset.beta2(kimg))  # no momentum
        return {"generator": adam, "discriminator": adam}

    def ema_half_life_kimg(self, preset: R3ganPreset, kimg: float) -> float | None:
        return preset.ema_half_life(kimg)

    def augment_probability(self, preset: R3ganPreset, kimg: float) -> float | None:
        return preset.augment_probability(kimg)

    def phases(self, preset: R3ganPreset) -> tuple[Phase, ...]:
        from facegan.gans.r3gan.loss import PHASES

        return PHASES


FAMILY = R3gan()
