"""The moving average of a player's weights: what is served is smoother than what is trained."""

import math

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

# The half-life is never longer than this share of the run so far; otherwise the first ticks would
# show the initial weights. (The ADA paper's ramp-up, arXiv:2006.06676, appendix B, is 0.05 of runs
# of 25,000 kimg; runs of minutes gain by looking back further.)
RAMP_UP = 0.2


class MovingAverage:
    """An exponential moving average with a half-life counted in images, buffers included."""

    def __init__(self, player: nn.Module, half_life_kimg: float) -> None:
        self.half_life_images = half_life_kimg * 1000
        self.ramp_up = RAMP_UP
        self.averaged = AveragedModel(player, use_buffers=True)
        self.averaged.requires_grad_(False).eval()

    @property
    def module(self) -> nn.Module:
        """The averaged copy, in eval mode."""
        module: nn.Module = self.averaged.module
        return module

    def follow(self, half_life_kimg: float) -> None:
        """Take a schedule's half-life, which needs no ramp-up of ours."""
        self.half_life_images, self.ramp_up = half_life_kimg * 1000, math.inf

    def update(self, player: nn.Module, batch_size: int, images_seen: int) -> None:
        """Move towards the player by the share that one batch is of the half-life."""
        horizon = min(self.half_life_images, images_seen * self.ramp_up)
        decay = 0.5 ** (batch_size / horizon) if horizon > 0 else 0.0
        self.averaged.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self.averaged.update_parameters(player)
