"""The canvas that parts are painted on, and the distance fields that give parts their outlines.

A part is a signed distance field: negative inside, positive outside, in units of half the frame.
Its coverage of a pixel follows from the distance at the pixel's centre, and parts are painted back
to front. The method is Inigo Quilez's, https://iquilezles.org/articles/distfunctions2d/.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

LABELS: tuple[str, ...] = (
    "background",
    "body",
    "neck",
    "hair",
    "ear",
    "skin",
    "eye",
    "iris",
    "brow",
    "nose",
    "lip",
    "teeth",
    "beard",
    "glasses",
)
LABEL_INDEX = {name: index for index, name in enumerate(LABELS)}


@dataclass
class Canvas:
    """A batch of images under the brush, and what is on top at each of their pixels.

    Frame coordinates run from -1 to 1 to the right and down. Head coordinates are the same turned,
    scaled and moved with each head: (0, 0) is the middle of the face.

    Attributes:
        image: (N, 3, H, W) float, nominally in [0, 1].
        labels: (N, H, W) uint8, indices into ``LABELS``.
        frame_x, frame_y: (1, 1, W) and (1, H, 1) frame coordinates of the pixels' centres.
        x, y: (N, H, W) head coordinates of the same.
        pixel: (N, 1, 1) side of a pixel in head coordinates.
    """

    image: Tensor
    labels: Tensor
    frame_x: Tensor
    frame_y: Tensor
    x: Tensor
    y: Tensor
    pixel: Tensor

    def window(self, left: float, top: float, right: float, bottom: float) -> Self:
        """The part of this canvas inside a box in frame coordinates; it shares the pixels.

        Most parts touch a fraction of the frame: their fields need not be computed beyond it.
        """
        side = self.image.shape[-1]

        def span(low: float, high: float) -> slice:
            first, last = int((low + 1) / 2 * side), -int(-(high + 1) / 2 * side // 1)
            return slice(max(first, 0), min(last, side))

        rows, columns = span(top, bottom), span(left, right)
        return type(self)(
            self.image[:, :, rows, columns],
            self.labels[:, rows, columns],
            self.frame_x[:, :, columns],
            self.frame_y[:, rows],
            self.x[:, rows, columns].contiguous(),
            self.y[:, rows, columns].contiguous(),
            self.pixel,
        )

    def cover(self, distance: Tensor, softness: Tensor | float = 0.0) -> Tensor:
        """Coverage in [0, 1] of pixels at a distance from an edge ``softness`` wide."""
        return torch.clamp(0.5 - distance / (self.pixel + softness), 0, 1)

    def paint(self, alpha: Tensor, colour: Tensor, label: str | None = None) -> None:
        """Lay a colour over the images.

        Args:
            alpha: (N, H, W) coverage times opacity.
            colour: (N, 3, 1, 1) or (N, 3, H, W).
            label: The part this is, which owns each pixel where ``alpha`` is half or more. None is
                a tint, thinner than half everywhere: what lies beneath keeps its name.
        """
        self.image.lerp_(colour.expand_as(self.image), alpha.unsqueeze(1).expand_as(self.image))
        if label is not None:
            self.labels.masked_fill_(alpha >= 0.5, LABEL_INDEX[label])


def ellipse(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """Distance to an ellipse about the origin, exact along its shorter axis and softer along it."""
    shorter = torch.minimum(torch.as_tensor(rx), torch.as_tensor(ry))
    return ((x / rx).square() + (y / ry).square()).sqrt().sub_(1).mul_(shorter)


def rounded_box(
    x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor, radius: Tensor
) -> Tensor:
    """Distance to a box about the origin with rounded corners."""
    across, down = x.abs() - half_width + radius, y.abs() - half_height + radius
    outside = torch.hypot(across.clamp(min=0), down.clamp(min=0))
    return outside + torch.maximum(across, down).clamp(max=0) - radius


def smooth_union(first: Tensor, second: Tensor, width: float) -> Tensor:
    """Distance to two shapes melted together over a seam ``width`` wide."""
    seam = (0.5 + (second - first) / (2 * width)).clamp_(0, 1)
    return torch.lerp(second, first, seam) - width * seam * (1 - seam)


def smooth_intersection(first: Tensor, second: Tensor, width: float) -> Tensor:
    """Distance to what two shapes share, its corners rounded over ``width``."""
    return -smooth_union(-first, -second, width)


def hump(x: Tensor, half_width: Tensor | float) -> Tensor:
    """A round hump over [-half_width, half_width]: 1 in the middle, 0 at the ends and beyond."""
    return (1 - (x / half_width).square()).clamp_(min=0).sqrt_()
