"""What a discriminator sees, jittered, so that it cannot learn few pictures by heart.

DiffAugment (Zhao et al., arXiv:2006.10738): the same random operations on reals and fakes, in both
players' updates, and differentiable, so that the generator learns through them and penalties are
taken through them. Applied as a hook in front of a discriminator, any family can have it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facegan.errors import ConfigError, nearest
from facegan.gans import sharing

Operation = Callable[[Tensor], Tensor]


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """One random number an image, (N, 1, 1, 1), on the images' device."""
    return sharing.rand(len(images), 1, 1, 1, device=images.device) * (high - low) + low


def jitter_colour(images: Tensor) -> Tensor:
    """Brightness ± 0.5, saturation x 0 … 2, contrast x 0.5 … 1.5, an image at a time."""
    images = images + uniform(images, -0.5, 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * uniform(images, 0, 2) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * uniform(images, 0.5, 1.5) + level


def translate(images: Tensor, share: float = 0.125) -> Tensor:
    """Shift by up to an eighth of each side; what comes in from outside is 0."""
    count, _, height, width = images.shape
    rows = shifted_places(count, height, share, images.device)[:, None, :, None]
    columns = shifted_places(count, width, share, images.device)[:, None, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    picture = torch.arange(count, device=images.device)[:, None, None]
    taken = images.permute(0, 2, 3, 1)[
        picture, rows[:, 0].clamp(0, height - 1), columns[:, 0].clamp(0, width - 1)
    ]
    return taken.permute(0, 3, 1, 2) * inside


def shifted_places(count: int, side: int, share: float, device: torch.device) -> Tensor:
    """For each image, which row (or column) comes to stand at each place: (N, side)."""
    most = int(side * share + 0.5)
    shift = sharing.randint(-most, most + 1, count, 1, device=device)
    return torch.arange(side, device=device) - shift


def cut_out(images: Tensor, share: float = 0.5) -> Tensor:
    """Blank a square of half the side, anywhere, also reaching over the edge."""
    count, _, height, width = images.shape
    hidden = (
        hidden_places(count, height, share, images.device)[:, None, :, None]
        & (hidden_places(count, width, share, images.device)[:, None, None, :])
    )
    return images * ~hidden


def hidden_places(count: int, side: int, share: float, device: torch.device) -> Tensor:
    """For each image, which rows (or columns) the square covers: booleans (N, side)."""
    size = int(side * share + 0.5)
    first = sharing.randint(0, side + 1 - size % 2, count, 1, device=device) - size // 2
    place = torch.arange(side, device=device)
    return (place >= first) & (place < first + size)


OPERATIONS: dict[str, Operation] = {
    "color": jitter_colour,  # the paper's names
    "translation": translate,
    "cutout": cut_out,
}


class Augment:
    """A policy: some operations, in the paper's order, each image with a probability.

    Args:
        policy: Names in ``OPERATIONS``, parted by commas: "color,translation,cutout".
        probability: How likely each image is augmented at all, 0 to 1.

    Raises:
        ConfigError: an unknown operation; the nearest are offered.
    """

    def __init__(self, policy: str, probability: float = 1.0) -> None:
        names = [name.strip() for name in policy.split(",") if name.strip()]
        for name in names:
            if name not in OPERATIONS:
                hint = nearest(name, tuple(OPERATIONS), "operations")
                raise ConfigError(f"augment names an unknown operation {name!r}.", hint)
        self.operations = [OPERATIONS[name] for name in OPERATIONS if name in names]
        self.probability = probability

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), augmented; float in, the same float type out."""
        augmented = images
        for operation in self.operations:
            augmented = operation(augmented)
        if self.probability >= 1 or not self.operations:
            return augmented
        chosen = uniform(images, 0, 1) < self.probability
        return torch.where(chosen, augmented, images)

    def stand_before(self, discriminator: nn.Module) -> None:
        """Augment whatever the discriminator is shown, while it trains."""

        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            images, *rest = inputs
            return (self(images) if module.training else images, *rest)

        if self.operations:
            discriminator.register_forward_pre_hook(hook)
