"""Random jitter of aligned images: both are enlarged a little, and cut to size at the same place.

arXiv:1611.07004, section 6.2: 256 x 256 images are resized to 286 x 286 and randomly cropped.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from facegan.gans import data_parallel

ENLARGED = 286 / 256


def jitter_together(*sides: Tensor) -> tuple[Tensor, ...]:
    """Enlarge aligned images (N, C, H, W) or label maps (N, H, W), and crop them to their size.

    Images are resized bilinearly, label maps (integers) to the nearest pixel. Each row has a place
    of its own, drawn from torch's global generator, which the trainer seeds for every step.
    """
    count, (height, width) = len(sides[0]), sides[0].shape[-2:]
    tall, wide = round(height * ENLARGED), round(width * ENLARGED)
    device = sides[0].device
    top = data_parallel.randint(0, tall - height + 1, count, device=device)
    left = data_parallel.randint(0, wide - width + 1, count, device=device)
    rows = top[:, None] + torch.arange(height, device=device)
    columns = left[:, None] + torch.arange(width, device=device)
    row = torch.arange(count, device=device)
    places = row[:, None, None], rows[:, :, None], columns[:, None, :]
    return tuple(crop(enlarge(side, tall, wide), places) for side in sides)


def enlarge(side: Tensor, tall: int, wide: int) -> Tensor:
    """Resize images bilinearly, label maps to the nearest pixel."""
    if side.is_floating_point():
        return interpolate(side, (tall, wide), mode="bilinear", antialias=False)
    height, width = side.shape[-2:]
    rows = torch.arange(tall, device=side.device) * height // tall
    columns = torch.arange(wide, device=side.device) * width // wide
    return side[:, rows[:, None], columns]


def crop(side: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the pixels at places (N, H, W) of images (N, C, H, W) or label maps (N, H, W)."""
    if side.ndim == 3:
        return side[places]
    return side.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)
