"""A run's augmentation policy: operations of DiffAugment and ADA, hooked before discriminators."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facegan.hyperparameters.augment_policy import parse_policy
from facegan.training.augment.ada import BLIT, GEOM, move, recolor
from facegan.training.augment.diff_augment import cut_out, jitter_colour, per_image, translate
from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import WARPS, Warp

Chances = Mapping[str, Tensor]  # an operation's name → its probability, without dimensions
Stage = Callable[[Tensor, Draws, Chances], Tensor]
COLOURS = 3  # channels of an image; further ones are those of aligned maps


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


def of_colours(stage: Stage) -> Stage:
    """Return a stage that changes red, green and blue only, not the channels after them."""

    def colours(images: Tensor, draws: Draws, chances: Chances) -> Tensor:
        if images.shape[1] == COLOURS:
            return stage(images, draws, chances)
        rgb, rest = images[:, :COLOURS], images[:, COLOURS:]
        return torch.cat([stage(rgb, draws, chances), rest], 1)

    return colours


def stages(warp: Warp) -> dict[tuple[str, ...], Stage]:
    """Return the stages by the names of their operations, in the papers' order."""
    return {
        ("color",): of_colours(by_chance("color", jitter_colour)),
        ("translation",): by_chance("translation", translate),
        ("blit", "geom"): move_once(warp),
        ("recolor",): of_colours(
            lambda images, draws, chances: recolor(images, draws, chances["recolor"])
        ),
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
        return self.together(images)[0]

    def together(self, images: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Augment images (N, 3, H, W), and maps (N, C, H, W) that are aligned with them.

        The maps are moved and cut exactly as their images are; colours change in the images alone.
        """
        draws = Draws.of(images)
        chances = {name: self.probability * share for name, share in self.shares.items()}
        augmented = torch.cat([images, *maps], 1) if maps else images
        augmented = augmented if augmented.dtype == torch.float64 else augmented.float()
        for stage in self.stages:
            augmented = stage(augmented, draws, chances)
        parts = augmented.split([len(part[0]) for part in (images, *maps)], 1)
        return tuple(part.to(it.dtype) for part, it in zip(parts, (images, *maps), strict=True))

    def hook_before(self, discriminator: nn.Module) -> None:
        """Augment the discriminator's images in training mode, with the maps that condition it.

        Its first argument is the images; maps are arguments with the images' four dimensions.
        """

        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            if not module.training:
                return inputs
            aligned = [index for index, it in enumerate(inputs) if is_map(it)]
            augmented = self.together(*(inputs[index] for index in aligned))
            given = list(inputs)
            for index, it in zip(aligned, augmented, strict=True):
                given[index] = it
            return tuple(given)

        if self.stages:
            discriminator.register_forward_pre_hook(hook)


def is_map(given: Any) -> bool:
    """Return whether an argument of a discriminator is images or aligned maps.

    Raises:
        TypeError: it is label maps (N, H, W), which cannot be moved between pixels.
    """
    dimensions = given.ndim if isinstance(given, Tensor) else 0
    if dimensions == 3:
        raise TypeError("A discriminator takes label maps one-hot: float (N, classes, H, W).")
    return dimensions == 4
