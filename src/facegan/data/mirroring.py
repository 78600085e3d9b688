"""Mirrors images left to right, as papers do by doubling the data.

Papers that mirror add each image's mirror image to the data set and shuffle them all. Here, in each
pair of epochs, an image is mirrored in one and not in the other, in random order. That order
depends only on the run's seed, the pair of epochs and the image's index, so a resumed run, every
process and every format mirror the same images.
"""

from functools import lru_cache

import torch
from torch import Tensor

from facegan.data.dataset import random_numbers

MIRROR = 4  # the purpose of an epoch's random numbers; streamed.py uses 2 and 3


def mirrored_in_step(seed: int, first: int, indices: Tensor, length: int) -> Tensor:
    """Return which images of a step to mirror, as booleans (N,).

    Args:
        seed: The run's seed.
        first: The number of images before this step.
        indices: The step's images (N,) in the order of the run, of all processes.
        length: The number of images in the data set.
    """
    epochs = torch.arange(first, first + len(indices)) // length
    mirrored = torch.empty(len(indices), dtype=torch.bool)
    for epoch in epochs.unique().tolist():
        rows = epochs == epoch
        mirrored[rows] = mirrored_first(seed, epoch // 2, length)[indices[rows]] ^ (epoch % 2 == 1)
    return mirrored


@lru_cache(maxsize=2)
def mirrored_first(seed: int, pair: int, length: int) -> Tensor:
    """Return which images (length,) are mirrored in the first of a pair of epochs."""
    return torch.rand(length, generator=random_numbers(seed, pair, MIRROR)) < 0.5


def mirror_rows(images: Tensor, mirrored: Tensor) -> Tensor:
    """Return images (N, C, H, W), those mirrored that booleans (N,) select; strides are kept."""
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)
