"""Spectral normalisation: convolutions whose weight is divided by its largest singular value.

Miyato et al., arXiv:1802.05957: a layer then changes distances by a factor of about 1 at most.
torch's own keeps the singular vectors as state that belongs to one weight. A moving average has
other weights, of which those vectors say nothing: divided by u·Wv, they may be many times too
large. Here a layer in eval mode computes its own singular value, and a saved network has its
weights divided (:func:`folded_state`), so that readers build it of plain convolutions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans.autocast import without_autocast

ITERATIONS = 30  # of the power method in eval mode; one per pass in training
EPSILON = 1e-12


class SpectralConv2d(nn.Conv2d):
    """torch's Conv2d, its weight divided by its largest singular value as a matrix (C', C*k*k).

    The power method estimates it (the paper's algorithm 1), one iteration per forward pass in
    training. The only state is `u` (C',), the left singular vector; v follows from it.
    """

    u: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding, bias=bias)
        self.register_buffer("u", F.normalize(torch.randn(channels_out), dim=0, eps=EPSILON))

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.normalised_weight(), self.bias)

    def normalised_weight(self) -> Tensor:
        """Return the weight as it is used (C', C, k, k)."""
        return self.weight / self.sigma()

    def sigma(self) -> Tensor:
        """Return the largest singular value; in training, update `u`.

        In eval mode `u` is where the power method starts, and does not change.
        """
        matrix = self.weight.flatten(1)
        with without_autocast(matrix.device):
            u, v = power_method(matrix.detach(), self.u, 1 if self.training else ITERATIONS)
            if self.training:
                self.u.copy_(u)
            return torch.dot(u, matrix @ v)


@torch.no_grad()
def power_method(matrix: Tensor, u: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Return estimates of the first left and right singular vectors, starting from u."""
    for _ in range(iterations):
        v = F.normalize(u @ matrix, dim=0, eps=EPSILON)
        u = F.normalize(matrix @ v, dim=0, eps=EPSILON)
    return u, v


@torch.no_grad()
def folded_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors, those of spectral convolutions as plain ones have them.

    The network must be in eval mode: then the plain ones compute the same, bit for bit.
    """
    state = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, SpectralConv2d):
            prefix = f"{name}." if name else ""
            state[f"{prefix}weight"] = module.normalised_weight()
            del state[f"{prefix}u"]
    return state
