"""Pix2Pix (Isola, Zhu, Zhou & Efros, arXiv:1611.07004): images from images or label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facegan.gans.family import Adam, Family, Phase
from facegan.gans.pix2pix.presets import PRESETS, Pix2pixPreset, check_sides
from facegan.model_inputs import IMAGES, LABEL_MAPS, ModelInput

if TYPE_CHECKING:
    from torch import nn

# Imports inside functions: presets are checked without torch (1.6 s).


class Pix2pix(Family):
    """Pix2Pix: a U-Net, trained with pairs by a discriminator of patches and the L1 distance.

    It learns the way from the companions of a data set (paired images, or label maps) to the
    images, or with `direction` AtoB that from the images to the paired ones.
    """

    name = "pix2pix"
    paper = "Isola, Zhu, Zhou & Efros 2016, arXiv:1611.07004"
    presets = PRESETS
    smallest_batch = 1
    default_presets = {16: "toy32", 32: "toy32", 64: "toy64", 256: "paper256"}

    def inputs(self, preset: Pix2pixPreset) -> tuple[ModelInput, ...]:
        return (LABEL_MAPS,) if preset.source == "label_maps" else (IMAGES,)

    def companions(self, preset: Pix2pixPreset) -> tuple[str, ...]:
        return ("label_maps",) if preset.source == "label_maps" else ("paired",)

    def source(self, preset: Pix2pixPreset, name: str) -> str:
        if preset.source == "label_maps":
            return "label_maps"
        return "paired" if preset.direction == "BtoA" else "reals"

    def target(self, preset: Pix2pixPreset) -> str:
        return "reals" if preset.direction == "BtoA" else "paired"

    def check_shape(self, preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> None:
        check_sides(preset, image_shape)

    def build_players(
        self, preset: Pix2pixPreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.patchgan import PatchDiscriminator

        self.check_shape(preset, image_shape)
        return {
            "generator": self.build_generator(preset, image_shape),
            "discriminator": PatchDiscriminator(
                3 + preset.source_channels,
                preset.discriminator_width,
                preset.patch_halvings,
                preset.norm,
            ),
        }

    def build_generator(self, preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> nn.Module:
        from facegan.gans.pix2pix.networks import UNet

        return UNet(preset, image_shape)

    def optimizers(self, preset: Pix2pixPreset, kimg: float = 0.0) -> dict[str, Adam]:
        share = preset.rate_left(kimg)
        return {
            "generator": Adam(preset.learning_rate * share, preset.beta1, preset.beta2),
            "discriminator": Adam(
                preset.discriminator_learning_rate * share, preset.beta1, preset.beta2
            ),
        }

    def needs_whole_batch(self, preset: Pix2pixPreset) -> str:
        if preset.norm == "batch":
            return "its batch norm takes mean and variance of all images of a batch at once"
        return ""

    def phases(self, preset: Pix2pixPreset) -> tuple[Phase, ...]:
        from facegan.gans.pix2pix.loss import PHASES

        return PHASES


FAMILY = Pix2pix()
