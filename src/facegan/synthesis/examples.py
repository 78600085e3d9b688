"""Example inputs of a model, for measuring batch sizes and for warming up."""

import numpy as np

from facegan.model_files import ModelCard
from facegan.model_inputs import CLASS, IMAGE, LATENT, ModelInput
from facegan.synthesis.input_batch import Array, InputBatch
from facegan.synthesis.latents import latents_of_seeds
from facegan.synthesis.mt19937 import raw_words

BLOCKS = 4  # per side of an image or a label map; the smallest image has as many pixels


def example_batch(card: ModelCard, count: int) -> InputBatch:
    """Return N rows of all inputs that a model needs, in its first direction; always the same.

    Latents are those of the seeds 0 … N - 1, labels are 0, images and label maps are made of blocks
    of random colours and classes.
    """
    first = card.networks[0]
    return InputBatch(example_arrays(card, first, count), direction=first_direction(card))


def first_direction(card: ModelCard) -> str | None:
    """Return the direction of requests that name none; None if the model has one way."""
    return next(iter(card.directions), None)


def example_arrays(card: ModelCard, network: str, count: int) -> dict[str, Array]:
    """Return N rows of what one of a model's networks takes, by name, in order."""
    return {given.name: example_of(card, given, count) for given in card.arguments(network)}


def example_of(card: ModelCard, given: ModelInput, count: int) -> Array:
    """Return N rows of one input."""
    if given.kind == LATENT:
        return latents_of_seeds(card, range(count))
    if given.kind == CLASS:
        return np.zeros(count, np.int64)
    channels, levels = (3, 256) if given.kind == IMAGE else (1, len(card.map_classes))
    words = raw_words(range(count), BLOCKS * BLOCKS * channels)
    blocks = (words % np.uint64(levels)).astype(np.uint8).reshape(count, BLOCKS, BLOCKS, channels)
    side = card.resolution // BLOCKS
    pixels = blocks.repeat(side, axis=1).repeat(side, axis=2)
    return pixels if given.kind == IMAGE else pixels[..., 0]
