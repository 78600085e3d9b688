"""A feature extractor: a network that turns images into what metrics compare, and its protocol."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan.errors import MetricError, did_you_mean
from facegan.metrics import inception, lite0

BATCH = 64  # images at a time; features do not depend on it beyond rounding
EXTRACTORS = ("lite0", "inception")
OnProgress = Callable[[int], object]  # called with how many images were done since the last call


def no_progress(done: int) -> None:
    """The progress of somebody whom nobody watches."""


@dataclass(frozen=True)
class Extractor:
    """Features of uint8 images, and what must be said beside any number made from them."""

    name: str  # in EXTRACTORS
    network: nn.Module  # uint8 (N, 3, H, W) → float32 (N, width)
    width: int
    resize: str  # what the network does to an image's size
    weights_sha256: str
    precision: str = "float32"  # bf16 is twice as quick and moves features by 4%: not comparable
    device: str = "cpu"

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images (N, 3, H, W) → float32 features (N, width), on the CPU."""
        # What the protocol calls float32 must not be TF32, which GPUs take for convolutions.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            features = [
                self.network(batch.to(self.device)).float().cpu() for batch in images.split(BATCH)
            ]
        return torch.cat(features)

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """What a number's protocol says of the extractor."""
        return {
            "name": self.name,
            "weights_sha256": self.weights_sha256,
            "resize": self.resize,
            "precision": self.precision,
        }


def open_extractor(
    name: str = "lite0",
    inception_weights: Path | None = None,
    device: str = "cpu",
) -> Extractor:
    """An extractor by its name, its weights loaded.

    Args:
        name: ``lite0``, embedded, or ``inception``, which makes the published numbers.
        inception_weights: A file of the published weights; without one torch fetches them.
        device: Where to compute.

    Raises:
        MetricError: an unknown name, a missing package, weights that cannot be had.
    """
    if name not in EXTRACTORS:
        hint = did_you_mean(name, EXTRACTORS, "extractors")
        raise MetricError(f"There is no extractor {name!r}.", hint)
    if name == "inception":
        network = inception.load_inception(inception_weights).to(device)
        resize = "bilinear to 299 px, as TensorFlow 1"
        sha256 = inception.SHA256
        return Extractor(name, network, inception.WIDTH, resize, sha256, device=device)
    embedded = lite0.load_lite0().to(device)
    sha256 = hashlib.sha256(lite0.weights_file().read_bytes()).hexdigest()
    resize = f"antialiased bilinear to {lite0.SIDE} px"
    return Extractor(name, embedded, lite0.WIDTH, resize, sha256, device=device)


def extract(
    batches: Iterable[Tensor], extractor: Extractor, progress: OnProgress = no_progress
) -> Tensor:
    """The features (N, width) of a stream of uint8 batches (n, 3, H, W)."""
    features = []
    for batch in batches:
        features.append(extractor(batch))
        progress(len(batch))
    return torch.cat(features) if features else torch.empty(0, extractor.width)
