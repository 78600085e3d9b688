"""Exponential moving average (EMA) of a player's weights, which is served instead of them."""

from copy import deepcopy

import torch
from torch import Tensor, nn

RUNNING = ("running_mean", "running_var")  # batch norm's names


class Averaged(nn.Module):
    """A copy of a player, with the names of its tensors in checkpoints."""

    def __init__(self, player: nn.Module) -> None:
        super().__init__()
        self.module = deepcopy(player)
        # Unused; it is in the checkpoints of earlier versions, which used torch's AveragedModel.
        self.register_buffer("n_averaged", torch.tensor(1))
        self.requires_grad_(False).eval()


class MovingAverage:
    """An exponential moving average of weights, with a half-life counted in images.

    Buffers are copied: averages of spectral norm's vectors would not belong to any weight. Batch
    norm's running statistics are averaged like weights.

    Args:
        player: The player to average.
        half_life_kimg: Thousands of images after which half of a weight is new.
        ramp_up: Limits the half-life to this share of the images seen so far, so that the first
            ticks do not show the initial weights. None: no limit.
    """

    def __init__(
        self, player: nn.Module, half_life_kimg: float, ramp_up: float | None = None
    ) -> None:
        self.half_life_images = half_life_kimg * 1000
        self.ramp_up = ramp_up
        self.averaged = Averaged(player)

    @property
    def module(self) -> nn.Module:
        """The averaged copy, in eval mode."""
        return self.averaged.module

    def follow(self, half_life_kimg: float) -> None:
        """Set a scheduled half-life, which needs no ramp-up."""
        self.half_life_images, self.ramp_up = half_life_kimg * 1000, None

    @torch.no_grad()
    def update(self, player: nn.Module, batch_size: int, images_seen: int) -> None:
        """Move towards the player's weights after a step.

        Args:
            player: The trained player.
            batch_size: Images of the step.
            images_seen: Images of the run before the step.
        """
        horizon = self.half_life_images
        if self.ramp_up is not None:
            horizon = min(horizon, images_seen * self.ramp_up)
        share = 1 - 0.5 ** (batch_size / horizon) if horizon > 0 else 1.0
        moving, weights = averaged_tensors(self.module), averaged_tensors(player)
        torch._foreach_lerp_(moving, weights, share)
        theirs = dict(player.named_buffers())
        for name, buffer in self.module.named_buffers():
            if not is_running(name):
                buffer.copy_(theirs[name])


def is_running(name: str) -> bool:
    """Return whether a buffer of that name is a running statistic of batch norm."""
    return name.rpartition(".")[2] in RUNNING


def averaged_tensors(player: nn.Module) -> list[Tensor]:
    """Return a player's weights, and the running statistics of its batch norm."""
    running = [buffer for name, buffer in player.named_buffers() if is_running(name)]
    return [*player.parameters(), *running]
