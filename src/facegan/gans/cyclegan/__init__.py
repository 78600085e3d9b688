"""CycleGAN (Zhu, Park, Isola & Efros, arXiv:1703.10593): translates between two sets of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facegan.gans.cyclegan.presets import DISCRIMINATORS, PRESETS, CycleganPreset, check_sides
from facegan.gans.family import Adam, Family, Phase
from facegan.model_inputs import DIRECTIONS, IMAGES, ModelInput

if TYPE_CHECKING:
    from torch import nn

# Imports inside functions: presets are checked without torch (1.6 s).


class Cyclegan(Family):
    """CycleGAN: two generators, each the way back of the other, trained without pairs."""

    name = "cyclegan"
    paper = "Zhu, Park, Isola & Efros 2017, arXiv:1703.10593"
    presets = PRESETS
    smallest_batch = 1
    default_presets = {32: "toy32", 64: "toy64", 128: "paper128", 256: "paper256"}
    generators = DIRECTIONS
    discriminators = DISCRIMINATORS

    def inputs(self, preset: CycleganPreset) -> tuple[ModelInput, ...]:
        return (IMAGES,)

    def companions(self, preset: CycleganPreset) -> tuple[str, ...]:
        return ("unpaired",)

    def directions(self, preset: CycleganPreset) -> tuple[str, ...]:
        return DIRECTIONS

    def target(self, preset: CycleganPreset) -> str:
        return "unpaired"

    def served(self, preset: CycleganPreset) -> tuple[str, ...]:
        return DIRECTIONS

    def check_shape(self, preset: CycleganPreset, image_shape: tuple[int, ...]) -> None:
        check_sides(preset, image_shape)

    def build_players(
        self, preset: CycleganPreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.cyclegan.networks import Discriminator

        self.check_shape(preset, image_shape)
        discriminators = {name: Discriminator(preset, image_shape) for name in DISCRIMINATORS}
        return self.build_served(preset, image_shape) | discriminators

    def build_generator(self, preset: CycleganPreset, image_shape: tuple[int, ...]) -> nn.Module:
        from facegan.gans.cyclegan.networks import Generator

        return Generator(preset, image_shape)

    def optimizers(self, preset: CycleganPreset, kimg: float = 0.0) -> dict[str, Adam]:
        share = preset.rate_left(kimg)
        rates = dict.fromkeys(DIRECTIONS, preset.learning_rate)
        rates |= dict.fromkeys(DISCRIMINATORS, preset.discriminator_learning_rate)
        return {
            name: Adam(rate * share, preset.beta1, preset.beta2) for name, rate in rates.items()
        }

    def needs_whole_batch(self, preset: CycleganPreset) -> str:
        if preset.norm == "batch":
            return "its batch norm takes mean and variance of all images of a batch at once"
        if preset.pool_size:
            return "a batch's fakes enter the pool of earlier ones together (pool_size is not 0)"
        return ""

    def phases(self, preset: CycleganPreset) -> tuple[Phase, ...]:
        from facegan.gans.cyclegan.loss import PHASES

        return PHASES


FAMILY = Cyclegan()
