"""What kind of face each toy face is, as the numbers it is drawn from know: labels at no cost."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from facegan.data.toy_faces.parameters import ToyFace
from facegan.data.toy_faces.random_face import draw_parameters
from facegan.data.toy_faces.render import chunk_size
from facegan.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Factor:
    """One way to sort faces into classes: its classes, and each face's, as a scalar of the face."""

    classes: tuple[str, ...]
    of: Callable[[ToyFace], Tensor]  # (N, 1, 1), whole numbers


def kind_of_hair(face: ToyFace) -> Tensor:
    """0 on a shaven head or with a wreath of hair only, 1 for short hair, 2 for long hair."""
    is_bald = (face.hair.opacity == 0) | (face.hair.crown > -1)
    return torch.where(is_bald, 0, 1 + face.hair.long)


def kind_of_glasses(face: ToyFace) -> Tensor:
    """0 for none, 1 for clear ones, 2 for dark ones."""
    return face.glasses.worn * (1 + (face.glasses.tint > 0.5))


def age(face: ToyFace) -> Tensor:
    """0 for a child, 1 for an adult, 2 for an old face."""
    return 1 - face.head.child + face.head.old


FACTORS: dict[str, Factor] = {
    "hair": Factor(("bald", "short", "long"), kind_of_hair),
    "glasses": Factor(("none", "clear", "dark"), kind_of_glasses),
    "age": Factor(("child", "adult", "old"), age),
}


def find_factor(name: str) -> Factor:
    """The factor of that name.

    Raises:
        ConfigError: there is none; the message offers the nearest names.
    """
    if name not in FACTORS:
        raise ConfigError(f"labels is {name!r}.", did_you_mean(name, tuple(FACTORS), "factors"))
    return FACTORS[name]


@torch.inference_mode()
def labels_of_faces(factor: str, images: int, resolution: int, seed: int) -> list[int]:
    """The label of each of a data set's first faces, by its place in the factor's classes."""
    of, size = find_factor(factor).of, chunk_size(resolution)
    kinds = [of(draw_parameters(first, size, seed)) for first in range(0, images, size)]
    return [int(kind) for kind in torch.cat(kinds).flatten()[:images]]
