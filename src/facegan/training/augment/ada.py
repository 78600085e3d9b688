"""ADA's transformations, as one matrix per image (Karras et al., arXiv:2006.06676, appendix B).

The geometric transformations of an image are multiplied into one matrix, so that it is resampled
once; so are its colour transformations. Resampling needs the inverse, from the result to the
original; each transformation is as likely as its inverse, so the inverse is sampled directly.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor

from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import Warp, warp_bicubic

# → matrices (N, 3, 3) over (x, y, 1) in pixels, or (N, 4, 4) over (red, green, blue, 1).
Transformation = Callable[[Draws], Tensor]

MAX_SHIFT = 1 / 8  # of each side
SCALE_OCTAVES, CONTRAST_OCTAVES, SATURATION_OCTAVES = 0.2, 0.5, 1.0
BRIGHTNESS = 0.2


def matrix(like: Tensor, *rows: Sequence[Tensor | int]) -> Tensor:
    """Build matrices (N, rows, columns) from rows of 0, 1 and tensors (N,)."""
    constants = torch.zeros_like(like), torch.ones_like(like)
    entries = [e if isinstance(e, Tensor) else constants[e] for row in rows for e in row]
    return torch.stack(entries, 1).view(len(like), len(rows), -1)


# --- pixel blitting: moves whole pixels ----------------------------------------------------------


def flip_x(draws: Draws) -> Tensor:
    """Exchange left and right, in half of the images."""
    sign = 1.0 - 2 * draws.whole(0, 1)
    return scaling(sign, torch.ones_like(sign))


def rotate_by_quarters(draws: Draws) -> Tensor:
    """Rotate by 0 to 3 times 90 degrees."""
    angle = draws.whole(0, 3) * (math.pi / 2)
    return rotation(angle.cos().round(), angle.sin().round())


def translate_by_pixels(draws: Draws) -> Tensor:
    """Translate by whole pixels, up to an eighth of each side."""
    x, y = draws.uniform(-MAX_SHIFT, MAX_SHIFT), draws.uniform(-MAX_SHIFT, MAX_SHIFT)
    return translation((x * draws.width).round(), (y * draws.height).round())


# --- general geometry ----------------------------------------------------------------------------


def scale(draws: Draws) -> Tensor:
    """Scale both sides by one factor."""
    factor = draws.factor(SCALE_OCTAVES)
    return scaling(factor, factor)


def rotate(draws: Draws) -> Tensor:
    """Rotate by any angle."""
    angle = draws.uniform(-math.pi, math.pi)
    return rotation(angle.cos(), angle.sin())


def stretch(draws: Draws) -> Tensor:
    """Scale one side by a factor, the other by its inverse."""
    factor = draws.factor(SCALE_OCTAVES)
    return scaling(factor, 1 / factor)


def translate(draws: Draws) -> Tensor:
    """Translate by fractions of pixels, with an eighth of each side as standard deviation."""
    x, y = draws.normal(MAX_SHIFT), draws.normal(MAX_SHIFT)
    return translation(x * draws.width, y * draws.height)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return matrix(x, (x, 0, 0), (0, y, 0), (0, 0, 1))


def rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    return matrix(sine, (cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1))


def translation(x: Tensor, y: Tensor) -> Tensor:
    return matrix(x, (1, 0, x), (0, 1, y), (0, 0, 1))


# --- colours: -1 is black, 1 is white, and v = (1, 1, 1) / sqrt(3) the axis of greys -------------


def brightness(draws: Draws) -> Tensor:
    """Add a number to all channels."""
    by = draws.normal(BRIGHTNESS)
    return matrix(by, (1, 0, 0, by), (0, 1, 0, by), (0, 0, 1, by), (0, 0, 0, 1))


def contrast(draws: Draws) -> Tensor:
    """Scale all channels about middle grey."""
    by = draws.factor(CONTRAST_OCTAVES)
    return mixing(by, torch.zeros_like(by), torch.zeros_like(by))


def luma_flip(draws: Draws) -> Tensor:
    """Invert brightness and keep hues, in half of the images: I - 2 v vᵀ."""
    double = 2.0 * draws.whole(0, 1)
    return mixing(1 - double / 3, -double / 3, -double / 3)


def hue(draws: Draws) -> Tensor:
    """Rotate about v by any angle (Rodrigues' formula)."""
    angle = draws.uniform(-math.pi, math.pi)
    even, odd = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    return mixing(angle.cos() + even, even - odd, even + odd)


def saturation(draws: Draws) -> Tensor:
    """Scale colours about their greys: v vᵀ + s (I - v vᵀ)."""
    by = draws.factor(SATURATION_OCTAVES)
    return mixing((1 + 2 * by) / 3, (1 - by) / 3, (1 - by) / 3)


def mixing(own: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
    """Build matrices that make each channel a sum of itself, the next and the previous one."""
    return matrix(
        own,
        (own, following, preceding, 0),
        (preceding, own, following, 0),
        (following, preceding, own, 0),
        (0, 0, 0, 1),
    )


# --- composition ---------------------------------------------------------------------------------

BLIT = (flip_x, rotate_by_quarters, translate_by_pixels)
GEOM = (scale, rotate, stretch, rotate, translate)
COLOR = (brightness, contrast, luma_flip, hue, saturation)


def sample(transformation: Transformation, p: Tensor, draws: Draws) -> Tensor:
    """Return a transformation's matrices with probability p, else the identity.

    There are two rotations, before and after the stretch; together they have probability p.
    """
    likely = 1 - (1 - p).sqrt() if transformation is rotate else p
    matrices = transformation(draws)
    identity = torch.eye(matrices.shape[1], device=draws.device)
    return torch.where(draws.chosen(likely)[:, None, None], matrices, identity)


def product(matrices: Iterable[Tensor]) -> Tensor:
    """Multiply matrices (N, k, k) in order; unlike `@`, always in full precision."""
    return reduce(lambda left, right: (left[:, :, :, None] * right[:, None]).sum(2), matrices)


def where_changed(matrices: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """Return the changed images, or the original where a matrix is the identity."""
    identity = torch.eye(matrices.shape[1], device=images.device)
    differs = (matrices != identity).any(2).any(1)
    return torch.where(differs[:, None, None, None], changed, images)


def move(
    images: Tensor,
    draws: Draws,
    chances: Sequence[tuple[Transformation, Tensor]],
    warp: Warp = warp_bicubic,
) -> Tensor:
    """Apply geometric transformations to images (N, 3, H, W), each with its probability."""
    matrices = product([sample(transformation, p, draws) for transformation, p in chances])
    return where_changed(matrices, warp(images, matrices), images)


def recolor(images: Tensor, draws: Draws, p: Tensor) -> Tensor:
    """Apply the colour transformations to images (N, 3, H, W), each with probability p."""
    matrices = product(reversed([sample(transformation, p, draws) for transformation in COLOR]))
    weights = matrices.to(images.dtype)[:, :3, :, None, None]  # (N, 3, 4, 1, 1)
    red, green, blue = images.split(1, 1)
    changed = weights[:, :, 0] * red + weights[:, :, 1] * green + weights[:, :, 2] * blue
    return where_changed(matrices, changed + weights[:, :, 3], images)
