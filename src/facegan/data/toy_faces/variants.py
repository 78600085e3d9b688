"""Other images of the same faces: at night, as a sketch, with or without glasses."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from facegan.data.toy_faces.canvas import Canvas
from facegan.data.toy_faces.parameters import ToyFace
from facegan.data.toy_faces.random_draw import MAX_SEED
from facegan.errors import ConfigError, did_you_mean

# How much of each channel night leaves, and the colour of the darkness that it adds: a dark sky,
# and moonlight on everything before it.
SKY = torch.tensor([[0.10, 0.15, 0.36], [0.01, 0.01, 0.05]]).view(2, 3, 1, 1)
MOONLIGHT = torch.tensor([[0.56, 0.62, 0.80], [0.02, 0.03, 0.09]]).view(2, 3, 1, 1)

INK = 1.4  # A line covers half a pixel: above 1, so that it is darker than grey.
PENCIL = 0.6  # How much of a part's brightness a line has that is drawn in its colour.


class NightCanvas(Canvas):
    """A canvas that lays on every colour as it is seen at night."""

    def paint(self, alpha: Tensor, colour: Tensor, label: str | None = None) -> None:
        """Lay a colour over the images, dark and blue."""
        left, added = SKY if label == "background" else MOONLIGHT
        super().paint(alpha, colour * left + added, label)


def unchanged(face: ToyFace) -> ToyFace:
    """The face as it was drawn."""
    return face


def with_glasses(face: ToyFace) -> ToyFace:
    """The face with its glasses on: every face has some, which a fifth of them wears."""
    worn = torch.ones_like(face.glasses.worn)
    return replace(face, glasses=replace(face.glasses, worn=worn))


def without_glasses(face: ToyFace) -> ToyFace:
    """The face with its glasses off."""
    worn = torch.zeros_like(face.glasses.worn)
    return replace(face, glasses=replace(face.glasses, worn=worn))


def painted(canvas: Canvas, supersampling: int) -> Tensor:
    """(N, 3, R, R) in [0, 1]: the image that was painted."""
    return avg_pool2d(canvas.image, supersampling).clamp_(0, 1)


def outlined(canvas: Canvas, supersampling: int) -> Tensor:
    """(N, 3, R, R) in [0, 1]: lines on white where parts meet, in darker colours of them.

    Of black lines no model could tell the colours, so none could come near the true image.
    """
    labels = canvas.labels
    edges = torch.zeros(labels.shape)
    edges[:, :, 1:] += labels[:, :, 1:] != labels[:, :, :-1]
    edges[:, 1:] += labels[:, 1:] != labels[:, :-1]
    drawn = avg_pool2d(edges.clamp_(max=1).unsqueeze(1), supersampling)
    return 1 - (INK * drawn).clamp_(max=1) * (1 - PENCIL * painted(canvas, supersampling))


@dataclass(frozen=True)
class Variant:
    """How a face is changed, on which canvas it is painted, and what image comes of that."""

    change: Callable[[ToyFace], ToyFace] = unchanged
    canvas: type[Canvas] = Canvas
    image: Callable[[Canvas, int], Tensor] = painted


PLAIN = "plain"
VARIANTS: dict[str, Variant] = {
    PLAIN: Variant(),
    "sketch": Variant(image=outlined),
    "night": Variant(canvas=NightCanvas),
    "glasses": Variant(change=with_glasses),
    "no glasses": Variant(change=without_glasses),
}
PAIRED_KINDS = ("sketch", "night")  # variants of the same faces, to be written beside them
DOMAINS: dict[str, tuple[str, str]] = {  # variants in which a data set and its other domain are
    "night": (PLAIN, "night"),
    "glasses": ("no glasses", "glasses"),
}


def other_seed(seed: int) -> int:
    """The seed of the other domain's faces: seeds are given out from 0, and these from the end."""
    return MAX_SEED - seed


def find_variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        ConfigError: there is none; the message offers the nearest names.
    """
    if name not in VARIANTS:
        raise ConfigError(f"variant is {name!r}.", did_you_mean(name, tuple(VARIANTS), "variants"))
    return VARIANTS[name]
