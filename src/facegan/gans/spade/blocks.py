"""SPADE's modulation by a label map, and its residual block (arXiv:1903.07291, section 3)."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.batch_norm import BatchNorm2d

SLOPE = 0.2  # of the leaky ReLU below zero
GAIN = 0.02  # of Xavier's initialisation (the paper's appendix A)

# Builds a convolution from channels in and out, kernel, stride, padding and whether it has a bias:
# SpectralConv2d in training, nn.Conv2d for the folded weights of a saved network.
Convolution = Callable[..., nn.Conv2d]


class Modulation(nn.Module):
    """Scales and shifts normalised maps at each pixel, by two small convolutions of its condition.

    Args:
        channels: Of the normalised maps.
        condition: Channels of the condition.
        hidden: Channels between; 128 in the paper.
    """

    def __init__(self, channels: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(condition, hidden, 3, padding=1)
        self.gamma_beta = nn.Conv2d(hidden, 2 * channels, 3, padding=1)  # both by one convolution

    def forward(self, normalised: Tensor, condition: Tensor) -> Tensor:
        """Return (1 + gamma) normalised + beta (the paper's equation 1), (N, C, H, W)."""
        gamma, beta = self.gamma_beta(F.relu(self.shared(condition))).chunk(2, dim=1)
        return torch.addcmul(beta, normalised, 1 + gamma)


class Block(nn.Module):
    """Two modulated convolutions and a shortcut, learnt if the width changes (figure 4)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        condition: int,
        hidden: int,
        convolution: Convolution,
    ) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        # Modulations of the same maps share their norm, which has no parameters.
        self.norm_in = BatchNorm2d(channels_in, affine=False)
        self.norm_middle = BatchNorm2d(middle, affine=False)
        self.modulation_in = Modulation(channels_in, condition, hidden)
        self.modulation_middle = Modulation(middle, condition, hidden)
        self.conv_in = convolution(channels_in, middle, 3, padding=1)
        self.conv_middle = convolution(middle, channels_out, 3, padding=1)
        self.shortcut: nn.Module | None = None
        if channels_in != channels_out:
            self.modulation_shortcut = Modulation(channels_in, condition, hidden)
            self.shortcut = convolution(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        normalised = self.norm_in(x)
        if self.shortcut is not None:
            x = self.shortcut(self.modulation_shortcut(normalised, condition))
        inner = self.conv_in(activate(self.modulation_in(normalised, condition)))
        inner = self.norm_middle(inner)
        inner = self.conv_middle(activate(self.modulation_middle(inner, condition)))
        return cast(Tensor, x + inner)


def activate(x: Tensor) -> Tensor:
    """Apply the leaky ReLU."""
    return F.leaky_relu(x, SLOPE)


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """Initialise weights by Xavier's rule with the paper's gain, biases with 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(module.weight, GAIN)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, Modulation):  # after its convolutions: gamma and beta are two of them
        for half in module.gamma_beta.weight.chunk(2):
            nn.init.xavier_normal_(half, GAIN)
