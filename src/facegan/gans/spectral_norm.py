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
        weight = self.weight / self.update_sigma() if self.training else self.served_weight()
        made: Tensor = self._conv_forward(x, weight, self.bias)
        return made

    def served_weight(self) -> Tensor:
        """Return the weight divided by its largest singular value, by many iterations from `u`."""
        served: Tensor = self.weight / self.sigma(ITERATIONS)[0]
        return served

    def update_sigma(self) -> Tensor:
        """Return the largest singular value, by one iteration that moves `u`."""
        sigma, u = self.sigma(1)
        self.u.copy_(u)
        return sigma

    def sigma(self, iterations: int) -> tuple[Tensor, Tensor]:
        """Return an estimate of the largest singular value and of its left vector."""
        matrix = self.weight.flatten(1)
        with without_autocast(matrix.device):
            u, v = power_method(matrix.detach(), self.u, iterations)
            return torch.dot(u, matrix @ v), u


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

    With them the plain ones compute what these do in eval mode, bit for bit.
    """
    state = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, SpectralConv2d):
            prefix = f"{name}." if name else ""
            state[f"{prefix}weight"] = module.served_weight()
            del state[f"{prefix}u"]
    return state
