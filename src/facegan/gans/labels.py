"""Class labels of conditional GANs: random, uniform and one-hot.

``classes`` maps a class's name to its number of images in the data; a label is an index in that
order. An unconditional GAN has an empty mapping.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def draw_labels(classes: Mapping[str, int], count: int, generator: torch.Generator) -> Tensor:
    """Draw labels (N,), int64, with the data's class frequencies."""
    totals = torch.tensor(list(classes.values()), dtype=torch.float64).cumsum(0)
    points = torch.rand(count, generator=generator, dtype=torch.float64) * totals[-1]
    return torch.bucketize(points, totals, right=True).clamp_(max=len(classes) - 1)


def uniform_labels(classes: Mapping[str, int], count: int) -> Tensor:
    """Return sorted labels (N,), int64, with equally many of each class."""
    return torch.arange(count) * len(classes) // max(count, 1)


def one_hot(labels: Tensor | None, classes: int) -> Tensor:
    """Encode labels (N,) as float32 (N, classes); raise TypeError if labels are missing."""
    if labels is None:
        raise TypeError("A conditional network was called without labels.")
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def one_hot_maps(label_maps: Tensor, classes: int) -> Tensor:
    """Encode label maps (N, H, W), int64, as float32 (N, classes, H, W), channels last in memory.

    Pixels of a class that does not exist are 0 in every channel.
    """
    known = torch.arange(classes, device=label_maps.device)
    return (label_maps[..., None] == known).float().permute(0, 3, 1, 2)
