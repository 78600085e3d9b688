"""Which images of a run are mirrored: left and right exchanged, as in the papers' doubled data.

Papers that mirror add each image's mirror image to the data set, and shuffle all of them together.
Here each image comes as it is in one of two epochs and mirrored in the other, whichever is first by
chance. What decides is the run's seed, the pair of epochs and the image's index, so a resumed run,
each of several processes and every format mirror the same images.
"""

from functools import lru_cache

import torch
from torch import Tensor

from facegan.data.dataset import random_numbers

MIRROR = 4  # what an epoch's random numbers are for; streamed.py has 2 and 3


def mirrored_in_step(seed: int, first: int, indices: Tensor, length: int) -> Tensor:
    """Return which images of a step are to be mirrored, as booleans (N,).

    Args:
        seed: The run's.
        first: How many images came before.
        indices: The step's images in the order of the run, of all processes (N,).
        length: How many images there are.
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
    """Return images (N, C, H, W), mirrored where booleans (N,) say so; strides stay."""
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)
