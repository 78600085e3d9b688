"""DiffAugment's operations (Zhao et al., arXiv:2006.10738): colour, translation, cutout."""

import torch
from torch import Tensor

from facegan.training.augment.draws import Draws


def per_image(numbers: Tensor) -> Tensor:
    """Reshape numbers (N,) to (N, 1, 1, 1)."""
    return numbers[:, None, None, None]


def jitter_colour(images: Tensor, draws: Draws) -> Tensor:
    """Change brightness by ± 0.5, saturation x 0 … 2 and contrast x 0.5 … 1.5, per image."""
    images = images + per_image(draws.uniform(-0.5, 0.5))
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * per_image(draws.uniform(0, 2)) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * per_image(draws.uniform(0.5, 1.5)) + level


def translate(images: Tensor, draws: Draws, share: float = 0.125) -> Tensor:
    """Shift by up to an eighth of each side, and fill with 0."""
    rows = shifted_indices(draws, draws.height, share)[:, None, :, None]
    columns = shifted_indices(draws, draws.width, share)[:, None, None, :]
    inside = (rows >= 0) & (rows < draws.height) & (columns >= 0) & (columns < draws.width)
    image = torch.arange(draws.count, device=draws.device)[:, None, None]
    shifted = images.permute(0, 2, 3, 1)[
        image, rows[:, 0].clamp(0, draws.height - 1), columns[:, 0].clamp(0, draws.width - 1)
    ]
    return shifted.permute(0, 3, 1, 2) * inside


def shifted_indices(draws: Draws, side: int, share: float) -> Tensor:
    """Return, per image, which row or column is moved to each index: (N, side)."""
    most = int(side * share + 0.5)
    return torch.arange(side, device=draws.device) - draws.whole(-most, most)[:, None]


def cut_out(images: Tensor, draws: Draws, share: float = 0.5) -> Tensor:
    """Blank a square of half the side, anywhere, even partly outside."""
    rows = hidden_indices(draws, draws.height, share)[:, None, :, None]
    columns = hidden_indices(draws, draws.width, share)[:, None, None, :]
    return images * ~(rows & columns)


def hidden_indices(draws: Draws, side: int, share: float) -> Tensor:
    """Return, per image, which rows or columns the square covers: booleans (N, side)."""
    size = int(side * share + 0.5)
    first = draws.whole(0, side - size % 2)[:, None] - size // 2
    index = torch.arange(side, device=draws.device)
    return (index >= first) & (index < first + size)
