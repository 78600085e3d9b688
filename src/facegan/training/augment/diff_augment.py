"""DiffAugment's operations (Zhao et al., arXiv:2006.10738): colour, translation, cutout."""

import torch
from torch import Tensor

from facegan.training.augment.draws import Draws


def an_image(numbers: Tensor) -> Tensor:
    """Numbers (N,) as (N, 1, 1, 1)."""
    return numbers[:, None, None, None]


def jitter_colour(images: Tensor, draws: Draws) -> Tensor:
    """Brightness ± 0.5, saturation x 0 … 2, contrast x 0.5 … 1.5, an image at a time."""
    images = images + an_image(draws.uniform(-0.5, 0.5))
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * an_image(draws.uniform(0, 2)) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * an_image(draws.uniform(0.5, 1.5)) + level


def translate(images: Tensor, draws: Draws, share: float = 0.125) -> Tensor:
    """Shift by up to an eighth of each side; what comes in from outside is 0."""
    rows = shifted_places(draws, draws.height, share)[:, None, :, None]
    columns = shifted_places(draws, draws.width, share)[:, None, None, :]
    inside = (rows >= 0) & (rows < draws.height) & (columns >= 0) & (columns < draws.width)
    picture = torch.arange(draws.count, device=draws.device)[:, None, None]
    taken = images.permute(0, 2, 3, 1)[
        picture, rows[:, 0].clamp(0, draws.height - 1), columns[:, 0].clamp(0, draws.width - 1)
    ]
    return taken.permute(0, 3, 1, 2) * inside


def shifted_places(draws: Draws, side: int, share: float) -> Tensor:
    """For each image, which row (or column) comes to stand at each place: (N, side)."""
    most = int(side * share + 0.5)
    return torch.arange(side, device=draws.device) - draws.whole(-most, most)[:, None]


def cut_out(images: Tensor, draws: Draws, share: float = 0.5) -> Tensor:
    """Blank a square of half the side, anywhere, also reaching over the edge."""
    rows = hidden_places(draws, draws.height, share)[:, None, :, None]
    columns = hidden_places(draws, draws.width, share)[:, None, None, :]
    return images * ~(rows & columns)


def hidden_places(draws: Draws, side: int, share: float) -> Tensor:
    """For each image, which rows (or columns) the square covers: booleans (N, side)."""
    size = int(side * share + 0.5)
    first = draws.whole(0, side - size % 2)[:, None] - size // 2
    place = torch.arange(side, device=draws.device)
    return (place >= first) & (place < first + size)
