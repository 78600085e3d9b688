"""DCGAN (Radford, Metz & Chintala, arXiv:1511.06434): the article's network and faster ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facegan.gans.dcgan.presets import PRESETS, DcganPreset
from facegan.gans.family import Adam, Family, Phase

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# Imports inside functions: presets are checked without torch (1.6 s).


class Dcgan(Family):
    """DCGAN: a generator of transposed convolutions, a discriminator of strided ones."""

    name = "dcgan"
    paper = "Radford, Metz & Chintala 2015, arXiv:1511.06434"
    presets = PRESETS
    default_presets = dict.fromkeys((8, 16, 32, 64), "toy32")

    def build_players(
        self, preset: DcganPreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.dcgan.networks import Discriminator, Generator

        return {
            "generator": Generator(preset, image_shape),
            "discriminator": Discriminator(preset, image_shape),
        }

    def build_generator(self, preset: DcganPreset, image_shape: tuple[int, ...]) -> nn.Module:
        from facegan.gans.dcgan.networks import Generator

        return Generator(preset, image_shape)

    def optimizers(self, preset: DcganPreset, kimg: float = 0.0) -> dict[str, Adam]:
        return {
            "generator": Adam(preset.generator_learning_rate, preset.beta1, preset.beta2),
            "discriminator": Adam(preset.discriminator_learning_rate, preset.beta1, preset.beta2),
        }

    def needs_whole_batch(self, preset: DcganPreset) -> str:
        return "its batch norm takes mean and variance of all images of a batch at once"

    def phases(self, preset: DcganPreset) -> tuple[Phase, ...]:
        from facegan.gans.dcgan.loss import phases_of

        return phases_of(preset)

    def sample_latents(self, preset: Any, count: int, generator: torch.Generator) -> Tensor:
        import torch

        if preset.latent_distribution == "normal":
            return super().sample_latents(preset, count, generator)
        return torch.rand(count, preset.latent_dim, generator=generator) * 2 - 1


FAMILY = Dcgan()
