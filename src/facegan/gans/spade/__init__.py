"""SPADE, called GauGAN in its demonstrations, and OASIS: images painted from label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facegan.gans.family import Adam, Family, Phase
from facegan.gans.shapes import check_multiple
from facegan.gans.spade.presets import PRESETS, SpadePreset
from facegan.model_inputs import LABEL_MAPS, LATENTS, STYLES, ModelInput

if TYPE_CHECKING:
    from torch import nn

# Imports inside functions: presets are checked without torch (1.6 s).


class Spade(Family):
    """GauGAN (SPADE): paints an image of a label map, in the style of a seed or of an image.

    Label maps modulate every layer of the generator. With `encoder` a second network learns the
    styles of images. `discriminator` segmenting is OASIS.
    """

    name = "spade"
    paper = (
        "Park, Liu, Wang & Zhu 2019, arXiv:1903.07291; OASIS: Sushko et al. 2020, arXiv:2012.04781"
    )
    presets = PRESETS
    smallest_batch = 1
    default_presets = {16: "toy32", 32: "toy32", 64: "toy64", 256: "paper256"}
    generators = ("generator", "encoder")

    def inputs(self, preset: SpadePreset) -> tuple[ModelInput, ...]:
        latents = (LATENTS,) if preset.latent_dim else ()
        return (LABEL_MAPS, *latents, *((STYLES,) if preset.encoder else ()))

    def companions(self, preset: SpadePreset) -> tuple[str, ...]:
        return ("label_maps",)

    def served(self, preset: SpadePreset) -> tuple[str, ...]:
        return self.generators if preset.encoder else self.generators[:1]

    def check_shape(self, preset: SpadePreset, image_shape: tuple[int, ...]) -> None:
        what = f"a generator of {preset.doublings} doublings"
        check_multiple(self.name, what, 2**preset.doublings, image_shape)

    def build_players(
        self, preset: SpadePreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from facegan.gans.spade import discriminators
        from facegan.gans.spade.generator import Encoder, Generator

        discriminator = {
            "patch": discriminators.PatchDiscriminators,
            "segmenting": discriminators.SegmentingDiscriminator,
        }[preset.discriminator]
        encoder = {"encoder": Encoder(preset, image_shape)} if preset.encoder else {}
        return {
            "generator": Generator(preset, image_shape),
            **encoder,
            "discriminator": discriminator(preset, image_shape),
        }

    def build_generator(self, preset: SpadePreset, image_shape: tuple[int, ...]) -> nn.Module:
        return self.build_served(preset, image_shape)["generator"]

    def build_served(
        self, preset: SpadePreset, image_shape: tuple[int, ...]
    ) -> dict[str, nn.Module]:
        from torch.nn import Conv2d  # saved weights are already divided by their singular values

        from facegan.gans.spade.generator import Encoder, Generator

        networks = {"generator": Generator, "encoder": Encoder}
        return {name: networks[name](preset, image_shape, Conv2d) for name in self.served(preset)}

    def optimizers(self, preset: SpadePreset, kimg: float = 0.0) -> dict[str, Adam]:
        share, betas = preset.rate_left(kimg), (preset.beta1, preset.beta2)
        adam = Adam(preset.generator_learning_rate * share, *betas)
        return {
            **dict.fromkeys(self.served(preset), adam),
            "discriminator": Adam(preset.discriminator_learning_rate * share, *betas),
        }

    def needs_whole_batch(self, preset: SpadePreset) -> str:
        return "its batch norm takes mean and variance of all images of a batch at once"

    def phases(self, preset: SpadePreset) -> tuple[Phase, ...]:
        from facegan.gans.spade.loss import phases_of

        return phases_of(preset)


FAMILY = Spade()
