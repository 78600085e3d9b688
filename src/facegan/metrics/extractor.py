"""Feature extractors: the networks whose features the metrics compare."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan import lite0
from facegan.errors import MetricError, did_you_mean
from facegan.metrics import inception

BATCH = 64  # images at once; features depend on it by rounding only
EXTRACTORS = ("lite0", "inception")
OnProgress = Callable[[int], object]  # called with the number of images since the last call


def no_progress(done: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Extractor:
    """A feature network for uint8 images, with the facts that a metric's protocol needs."""

    name: str  # in EXTRACTORS
    network: nn.Module  # uint8 (N, 3, H, W) → float32 (N, width)
    width: int
    resize: str  # what the network does to an image's size
    weights_sha256: str
    precision: str = "float32"  # bf16 is twice as fast but changes features by 4 %
    device: str = "cpu"

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (N, width), on the CPU, of uint8 images (N, 3, H, W)."""
        # By default GPUs compute convolutions in TF32, which is not the protocol's float32.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            features = [
                self.network(batch.to(self.device)).float().cpu() for batch in images.split(BATCH)
            ]
        return torch.cat(features)

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """Return the extractor's part of a metric's protocol."""
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
    """Return an extractor with its weights.

    Args:
        name: ``lite0``, whose weights are in a package, or ``inception``, for published FID.
        inception_weights: File of the Inception weights; None downloads them.
        device: Device to compute on.

    Raises:
        MetricError: the name is unknown, or a package or weights are missing.
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
    """Return the features (N, width) of a stream of uint8 batches (n, 3, H, W)."""
    features = []
    for batch in batches:
        features.append(extractor(batch))
        progress(len(batch))
    return torch.cat(features) if features else torch.empty(0, extractor.width)
