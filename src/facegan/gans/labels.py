"""Classes of pictures: what a conditional game is told of them, and how its fakes share them out.

``classes`` is everywhere a mapping from a class's name to how many pictures of the data are of it;
a label is a class's place in that order. An unconditional game has no classes: an empty mapping.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def draw_labels(classes: Mapping[str, int], count: int, generator: torch.Generator) -> Tensor:
    """Random labels (N,), int64, each class as likely as it is frequent in the data."""
    ladder = torch.tensor(list(classes.values()), dtype=torch.float64).cumsum(0)
    heights = torch.rand(count, generator=generator, dtype=torch.float64) * ladder[-1]
    return torch.bucketize(heights, ladder, right=True).clamp_(max=len(classes) - 1)


def uniform_labels(classes: Mapping[str, int], count: int) -> Tensor:
    """Labels (N,), int64: every class equally often, one class after the other."""
    return torch.arange(count) * len(classes) // max(count, 1)


def one_hot(labels: Tensor | None, classes: int) -> Tensor:
    """Labels (N,) → float32 (N, classes), 1 at the label and 0 elsewhere.

    Raises:
        TypeError: there are none; a conditional network cannot do without.
    """
    if labels is None:
        raise TypeError("A conditional network was called without labels.")
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()
