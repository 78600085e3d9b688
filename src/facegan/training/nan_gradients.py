"""Replaces NaN and infinite gradients and loss terms, for families that train on."""

from collections.abc import Iterable

import torch
from torch import Tensor

LARGEST = 1e5  # replaces an infinite gradient, as in NVIDIA's StyleGAN2 code


def replace_nan_gradients(gradients: Iterable[Tensor]) -> None:
    """Replace NaN by 0 and infinity by a large number, in place and without waiting for a GPU."""
    for gradient in gradients:
        gradient.nan_to_num_(nan=0.0, posinf=LARGEST, neginf=-LARGEST)


def add_finite(value: Tensor, total: Tensor, count: int) -> Tensor:
    """Return the sum of count + 1 terms; those that are not finite count as the others' mean.

    The sum is NaN while no term has been finite, which stops the run.

    Args:
        value: The new term.
        total: The sum so far, as returned by this function.
        count: The number of terms in it.
    """
    if count == 0:
        return torch.where(value.isfinite(), value, torch.nan)
    value = torch.where(value.isfinite(), value, total / count)
    return torch.where(total.isfinite(), total, value * count) + value
