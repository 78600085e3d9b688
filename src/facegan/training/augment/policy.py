"""Which operations a run takes from DiffAugment and ADA, and the hook that puts them in place."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from facegan.hyperparameters.augment_policy import parse_policy
from facegan.training.augment.ada import BLIT, GEOM, move, recolor
from facegan.training.augment.diff_augment import an_image, cut_out, jitter_colour, translate
from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import WARPS, Warp

Chances = Mapping[str, Tensor]  # an operation's name → its probability, without dimensions
Stage = Callable[[Tensor, Draws, Chances], Tensor]


def on_some(name: str, operation: Callable[[Tensor, Draws], Tensor]) -> Stage:
    """An operation on images, done to those that chance chooses."""

    def stage(images: Tensor, draws: Draws, chances: Chances) -> Tensor:
        chosen = an_image(draws.chosen(chances[name]))
        return torch.where(chosen, operation(images, draws), images)

    return stage


def move_once(warp: Warp) -> Stage:
    """Blitting and geometry, in one reading of the picture."""

    def stage(images: Tensor, draws: Draws, chances: Chances) -> Tensor:
        groups = {"blit": BLIT, "geom": GEOM}
        moves = [(t, chances[name]) for name in groups if name in chances for t in groups[name]]
        return move(images, draws, moves, warp)

    return stage


def stages(warp: Warp) -> dict[tuple[str, ...], Stage]:
    """Return what is done, by the operations that it does, in the papers' orders.

    The operations are those that augment_policy.py names.
    """
    return {
        ("color",): on_some("color", jitter_colour),
        ("translation",): on_some("translation", translate),
        ("blit", "geom"): move_once(warp),
        ("recolor",): lambda images, draws, chances: recolor(images, draws, chances["recolor"]),
        ("cutout",): on_some("cutout", cut_out),
    }


class Augment:
    """A policy: each operation is done to each image with the same probability, independently.

    Args:
        policy: What :func:`parse_policy` reads.
        probability: A tensor without dimensions, on the images' device; its owner may change it.
        filter: What reads between pixels, a name in ``resample.WARPS``.

    Raises:
        ConfigError: the policy cannot be read.
    """

    def __init__(self, policy: str, probability: Tensor, filter: str = "bicubic") -> None:
        self.shares = parse_policy(policy)
        self.probability = probability
        self.stages = [
            stage
            for names, stage in stages(WARPS[filter]).items()
            if not self.shares.keys().isdisjoint(names)
        ]

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), augmented; float in, the same float type out."""
        draws = Draws.of(images)
        chances = {name: self.probability * share for name, share in self.shares.items()}
        augmented = images if images.dtype == torch.float64 else images.float()
        for stage in self.stages:
            augmented = stage(augmented, draws, chances)
        return augmented.to(images.dtype)

    def stand_before(self, discriminator: nn.Module) -> None:
        """Augment whatever the discriminator is shown, while it trains."""

        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            images, *rest = inputs
            return (self(images) if module.training else images, *rest)

        if self.stages:
            discriminator.register_forward_pre_hook(hook)
