"""Wraps a user's torch module, returned by their inference script, as an artifact."""

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
class CustomArtifact(Artifact):
    """A network of which only the latents' width is known: normal latents, no classes or styles."""

    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` normal latents (N, latent_dim)."""
        return torch.randn(count, self.card.latent_dim, generator=generator)

    @property
    def has_truncation(self) -> bool:
        """False."""
        return False

    @property
    def style_layers(self) -> int:
        """0."""
        return 0


class FunctionModule(nn.Module):
    """A function as a module."""

    def __init__(self, function: Network) -> None:
        super().__init__()
        self.function = function

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (N, latent_dim) → images (N, 3, H, W)."""
        return self.function(latents)


def artifact_from_module(network: Network, latent_dim: int | None, digest: str) -> Artifact:
    """Wrap a network as an artifact.

    Args:
        network: float32 latents (N, latent_dim) → images (N, 3, H, W), -1 black, 1 white, each
            image made from its own latent alone.
        latent_dim: The latents' width; None reads the network's attribute of that name.
        digest: What images name as their model, instead of the weights' digest.

    Raises:
        ConfigError: the width is unknown, or the network does not return images.
    """
    width = getattr(network, "latent_dim", None) if latent_dim is None else latent_dim
    if not isinstance(width, int) or width < 1:
        raise ConfigError(
            "The model does not say how wide its latents are.",
            "Give it an attribute latent_dim, or put a model_card.json beside it.",
        )
    module = network if isinstance(network, nn.Module) else FunctionModule(network)
    module.eval().requires_grad_(False)
    card = ModelCard(
        family="own code",
        preset="own code",
        settings={},
        image_shape=probe_image_shape(module, width),
        latent_dim=width,
        weights_sha256=digest,
    )
    unused = cast(Any, None)  # a family and a preset: every method that reads them is overridden
    return CustomArtifact(module, card, unused, unused)


@torch.inference_mode()
def probe_image_shape(module: nn.Module, width: int) -> tuple[int, ...]:
    """Return the shape (3, H, W) of a network's images, by calling it."""
    latents = torch.randn(PROBES, width, generator=torch.Generator().manual_seed(0))
    images = module(latents)
    is_image = isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4
    if not is_image or tuple(images.shape[:2]) != (PROBES, 3):
        made = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ConfigError(
            f"Of latents ({PROBES}, {width}) the model makes {made}.",
            "It must make float images (N, 3, H, W), -1 black, 1 white.",
        )
    return tuple(images.shape[1:])
