"""A step whose numbers are not finite, where the family goes on after it, as StyleGAN2 does."""

from collections.abc import Iterable

import torch
from torch import Tensor

LARGEST = 1e5  # what an infinite gradient becomes, as in NVIDIA's code


def replace_broken_gradients(gradients: Iterable[Tensor]) -> None:
    """Replace NaN by 0 and infinity by a large number, in place and without waiting for a GPU."""
    for gradient in gradients:
        gradient.nan_to_num_(nan=0.0, posinf=LARGEST, neginf=-LARGEST)


def add_without_broken(value: Tensor, total: Tensor, count: int) -> Tensor:
    """Return the sum of count + 1 terms, those that are not finite taken as the others' mean.

    It is NaN while all have been broken: a run of which no step is whole does not go on.

    Args:
        value: The new term.
        total: The sum so far, as returned by this function.
        count: How many terms it has.
    """
    if count == 0:
        return torch.where(value.isfinite(), value, torch.nan)
    value = torch.where(value.isfinite(), value, total / count)
    return torch.where(total.isfinite(), total, value * count) + value
