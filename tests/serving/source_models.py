"""Models of images and label maps whose result is plain arithmetic, which a test can foretell."""

from dataclasses import replace

import numpy as np
from source_files import CLASSES

from facegan.model_files import ModelCard
from facegan.model_inputs import IMAGES, LABEL_MAPS, LATENTS, STYLES
from facegan.synthesis import InputBatch, Synthesizer
from facegan.synthesis.batch_sizes import BatchSizes
from facegan.wire import Images

SIDE = 16
LATENT_DIM = 4


class ArithmeticBackend:
    """Translates an image to its negative, or back to itself; paints a class in shades of grey.

    A shade is the class's number times 40, plus 16 where the latent's first number is positive; a
    style adds its first pixel.
    """

    has_truncation = False
    style_layers = 0
    batch_sizes = BatchSizes((1, 4))

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def enable_concurrency(self) -> int:
        return 2

    def generate(self, batch: InputBatch) -> Images:
        arrays = batch.arrays
        if "images" in arrays:
            return arrays["images"] if batch.direction == "BtoA" else 255 - arrays["images"]
        shades = arrays["label_maps"] * 40
        if "styles" in arrays:
            return shades[..., None] + arrays["styles"][:, :1, :1]
        if "latents" in arrays:
            shades = shades + 16 * (arrays["latents"][:, 0] > 0).astype(np.uint8)[:, None, None]
        return np.repeat(shades[..., None], 3, axis=3)


TRANSLATING = ModelCard(
    family="pix2pix",
    preset="tiny",
    settings={},
    image_shape=(3, SIDE, SIDE),
    latent_dim=0,
    weights_sha256="ab" * 32,
    network_inputs=(IMAGES,),
)
CYCLING = replace(TRANSLATING, family="cyclegan", directions=("AtoB", "BtoA"))
PAINTING = replace(
    TRANSLATING,
    family="spade",
    latent_dim=LATENT_DIM,
    network_inputs=(LABEL_MAPS, LATENTS, STYLES),
    map_classes=CLASSES,
)
LABELLING = replace(TRANSLATING, network_inputs=(LABEL_MAPS,), map_classes=CLASSES)


def arithmetic(card: ModelCard) -> Synthesizer:
    """Return a model with a card."""
    return Synthesizer(ArithmeticBackend(card))
