"""A run's augmentation policy: operations of DiffAugment and ADA, hooked before discriminators."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from facegan.hyperparameters.augment_policy import parse_policy
from facegan.training.augment.ada import BLIT, GEOM, move, recolor
from facegan.training.augment.diff_augment import cut_out, jitter_colour, per_image, translate
from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import WARPS, Warp

Chances = Mapping[str, Tensor]  # an operation's name → its probability, without dimensions
Stage = Callable[[Tensor, Draws, Chances], Tensor]


def by_chance(name: str, operation: Callable[[Tensor, Draws], Tensor]) -> Stage:
    """Return a stage that applies an operation to each image with its probability."""

    def stage(images: Tensor, draws: Draws, chances: Chances) -> Tensor:
        chosen = per_image(draws.chosen(chances[name]))
        return torch.where(chosen, operation(images, draws), images)

    return stage


def move_once(warp: Warp) -> Stage:
    """Return the stage of blitting and geometry, which resamples an image once."""

    def stage(images: Tensor, draws: Draws, chances: Chances) -> Tensor:
        groups = {"blit": BLIT, "geom": GEOM}
        moves = [(t, chances[name]) for name in groups if name in chances for t in groups[name]]
        return move(images, draws, moves, warp)

    return stage


def stages(warp: Warp) -> dict[tuple[str, ...], Stage]:
    """Return the stages by the names of their operations, in the papers' order."""
    return {
        ("color",): by_chance("color", jitter_colour),
        ("translation",): by_chance("translation", translate),
        ("blit", "geom"): move_once(warp),
        ("recolor",): lambda images, draws, chances: recolor(images, draws, chances["recolor"]),
        ("cutout",): by_chance("cutout", cut_out),
    }


class Augment:
    """A policy, which applies each operation to each image with the same probability.

    Args:
        policy: A text that :func:`parse_policy` parses.
        probability: A tensor without dimensions, on the images' device; its owner may change it.
        filter: Interpolates between pixels, a name in ``resample.WARPS``.
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
        """Augment images (N, 3, H, W) of any float type."""
        draws = Draws.of(images)
        chances = {name: self.probability * share for name, share in self.shares.items()}
        augmented = images if images.dtype == torch.float64 else images.float()
        for stage in self.stages:
            augmented = stage(augmented, draws, chances)
        return augmented.to(images.dtype)

    def hook_before(self, discriminator: nn.Module) -> None:
        """Augment the discriminator's input in training mode."""

        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            images, *rest = inputs
            return (self(images) if module.training else images, *rest)

        if self.stages:
            discriminator.register_forward_pre_hook(hook)
