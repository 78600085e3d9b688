"""A generator that came by its owner's own code, drawn from as if it were one of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from facegan.artifact import Artifact, ModelCard
from facegan.errors import ConfigError

Network = Callable[[Tensor], Tensor]
PROBES = 2


@dataclass(frozen=True)
class ForeignArtifact(Artifact):
    """A network of whose latents only the width is known: normal ones, no classes, no styles."""

    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` normal latents (N, latent_dim) drawn with the given random numbers."""
        return torch.randn(count, self.card.latent_dim, generator=generator)

    @property
    def has_truncation(self) -> bool:
        """No."""
        return False

    @property
    def has_style_mixing(self) -> bool:
        """No."""
        return False


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Network) -> None:
        super().__init__()
        self.function = function

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (N, latent_dim) → images (N, 3, H, W)."""
        return self.function(latents)


def artifact_from_module(network: Network, latent_dim: int | None, digest: str) -> Artifact:
    """A network that takes latents, as an artifact.

    Args:
        network: float32 latents (N, latent_dim) → images (N, 3, H, W), -1 black, 1 white, each
            image made of its own latent alone.
        latent_dim: The latents' width; None takes the network's attribute of that name.
        digest: What pictures say of their model, instead of the digest of weights.

    Raises:
        ConfigError: the width is told nowhere, or the network makes something else.
    """
    width = getattr(network, "latent_dim", None) if latent_dim is None else latent_dim
    if not isinstance(width, int) or width < 1:
        raise ConfigError(
            "The model does not say how wide its latents are.",
            "Give it an attribute latent_dim, or put a model_card.json beside it.",
        )
    module = network if isinstance(network, nn.Module) else Called(network)
    module.eval().requires_grad_(False)
    card = ModelCard(
        family="own code",
        preset="own code",
        settings={},
        image_shape=probed_shape(module, width),
        latent_dim=width,
        weights_sha256=digest,
    )
    nothing = cast(Any, None)  # no family of ours: what is asked of it is answered above
    return ForeignArtifact(module, card, nothing, nothing)


@torch.inference_mode()
def probed_shape(module: nn.Module, width: int) -> tuple[int, ...]:
    """The shape (3, H, W) of what a network makes, by trying it."""
    latents = torch.randn(PROBES, width, generator=torch.Generator().manual_seed(0))
    images = module(latents)
    is_image = isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4
    if not is_image or tuple(images.shape[:2]) != (PROBES, 3):
        told = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ConfigError(
            f"Of latents ({PROBES}, {width}) the model makes {told}.",
            "It must make float images (N, 3, H, W), -1 black, 1 white.",
        )
    return tuple(images.shape[1:])
