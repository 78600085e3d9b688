"""Converts what a model takes to what its network takes: the one place where uint8 becomes float.

Outside the networks images and label maps are uint8; the conversion in front of a network is part
of its exported graph.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from facegan.artifact import Artifact
from facegan.model_inputs import IMAGE, LABEL_MAP, ModelInput


def to_network(kind: str, values: Tensor) -> Tensor:
    """Convert an input of one kind (see ``model_inputs``) to what networks take.

    uint8 images (N, H, W, 3) become float (N, 3, H, W) in [-1, 1], uint8 label maps (N, H, W)
    become int64; latents and labels stay as they are.
    """
    if kind == IMAGE:
        return (values.float() / 127.5 - 1.0).permute(0, 3, 1, 2)
    return values.long() if kind == LABEL_MAP else values


class PixelNetwork(nn.Module):
    """A network that takes images and label maps as uint8.

    Args:
        network: Takes what :func:`to_network` returns.
        inputs: What it takes, in order.
    """

    def __init__(self, network: nn.Module, inputs: Sequence[ModelInput]) -> None:
        super().__init__()
        self.network, self.kinds = network, [given.kind for given in inputs]

    def forward(self, *inputs: Tensor, **options: Any) -> Tensor:
        converted = (to_network(kind, x) for kind, x in zip(self.kinds, inputs, strict=True))
        result: Tensor = self.network(*converted, **options)
        return result


def pixel_network(artifact: Artifact, name: str) -> nn.Module:
    """Return one of an artifact's networks as it is served; unchanged if it takes no pixels."""
    network, inputs = artifact.networks[name], artifact.card.arguments(name)
    takes_pixels = any(given.kind in (IMAGE, LABEL_MAP) for given in inputs)
    return PixelNetwork(network, inputs) if takes_pixels else network
