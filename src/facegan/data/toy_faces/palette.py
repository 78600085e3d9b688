"""The colours faces are drawn in, and arithmetic on them. A colour is (N, 3, 1, 1) in [0, 1]."""

import torch
from torch import Tensor

WHITE = torch.tensor([0.97, 0.97, 0.96]).view(1, 3, 1, 1)
BLACK = torch.tensor([0.06, 0.05, 0.06]).view(1, 3, 1, 1)
MOUTH_INSIDE = torch.tensor([0.42, 0.10, 0.12]).view(1, 3, 1, 1)
TONGUE = torch.tensor([0.83, 0.38, 0.40]).view(1, 3, 1, 1)

SKIN_TONES = torch.tensor(
    [
        [1.00, 0.87, 0.78],
        [0.97, 0.80, 0.67],
        [0.90, 0.69, 0.53],
        [0.79, 0.56, 0.39],
        [0.62, 0.41, 0.27],
        [0.46, 0.29, 0.19],
        [0.38, 0.24, 0.165],
    ]
)

# Colour, then how often on the lightest and on the darkest skin. The last two are dyes.
HAIR_COLOURS = torch.tensor(
    [
        [0.12, 0.10, 0.11, 0.16, 0.62],  # black
        [0.25, 0.16, 0.11, 0.20, 0.24],  # dark brown
        [0.42, 0.26, 0.16, 0.20, 0.06],  # brown
        [0.58, 0.31, 0.15, 0.08, 0.02],  # chestnut
        [0.74, 0.36, 0.16, 0.08, 0.00],  # ginger
        [0.86, 0.67, 0.36, 0.14, 0.01],  # blonde
        [0.92, 0.80, 0.55, 0.08, 0.00],  # light blonde
        [0.86, 0.45, 0.60, 0.03, 0.02],  # pink
        [0.30, 0.50, 0.68, 0.03, 0.03],  # blue
    ]
)
GREYS = torch.tensor([[0.52, 0.51, 0.51], [0.84, 0.83, 0.81]])
IRIS_COLOURS = torch.tensor(
    [[0.30, 0.18, 0.10], [0.45, 0.28, 0.13], [0.28, 0.45, 0.28], [0.25, 0.47, 0.68]]
)


def colour_of_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """RGB (N, 3, 1, 1) of hue, saturation and value (Smith 1978); the hue wraps around."""

    def channel(offset: float) -> Tensor:
        k = (offset + hue * 6) % 6
        return value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5.0), channel(3.0), channel(1.0)], 1)


def shade(colour: Tensor, red: float, green: float, blue: float) -> Tensor:
    """A colour with its channels scaled, within [0, 1]."""
    return (colour * torch.tensor([red, green, blue]).view(1, 3, 1, 1)).clamp(0, 1)


def pick(table: Tensor, index: Tensor) -> Tensor:
    """The colours of a (K, 3) table at (N,) indices."""
    return table[index].view(-1, 3, 1, 1)


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Two colours blended; ``share`` of the second, (N, 1, 1)."""
    return torch.lerp(first, second, share.unsqueeze(1))
