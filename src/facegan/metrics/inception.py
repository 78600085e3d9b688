"""Inception-v3 as FID knows it, with the published weights and none other, never unpickled."""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from facegan.errors import MetricError
from facegan.metrics.fidelity import load_fidelity

WIDTH = 2048
FEATURES = str(WIDTH)  # torch-fidelity names its layers by their width
# The TensorFlow weights of 2015, converted; the number FID is defined by them.
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Inception(nn.Module):
    """uint8 images (N, 3, H, W) of any size → features (N, 2048), by torch-fidelity's network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor
        (features,) = self.network(images)
        return features


def load_inception(weights: Path | None = None) -> Inception:
    """The network with the published weights.

    Args:
        weights: Their file; without one torch fetches it into its own cache, once.

    Raises:
        MetricError: the file is missing or is another one, or there is no network.
    """
    load_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import (
        URL_INCEPTION_V3,
        FeatureExtractorInceptionV3,
    )

    tensors = download(URL_INCEPTION_V3) if weights is None else read_weights(weights)
    # torch-fidelity unpickles what it is given: so it is given a copy that was written here.
    copy = io.BytesIO()
    torch.save(tensors, copy)
    copy.seek(0)
    return Inception(
        FeatureExtractorInceptionV3(
            "inception-v3-compat", [FEATURES], feature_extractor_weights_path=copy
        )
    )


def read_weights(file: Path) -> dict[str, Tensor]:
    """The weights in a file, after its digest was compared with the published one's."""
    try:
        content = file.read_bytes()
    except OSError as cause:
        raise MetricError(
            f"The Inception weights {file} cannot be read: {cause.strerror}."
        ) from cause
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise MetricError(
            f"{file} does not hold the Inception weights that FID is defined by.",
            f"Their file's SHA-256 begins with {SHA256[:8]}, as its published name says; "
            "with other weights the number would not be FID.",
        )
    return load_safely(io.BytesIO(content))


def load_safely(stream: Any) -> dict[str, Tensor]:
    """A state dict from a stream; ``weights_only`` refuses whatever is not one."""
    try:
        tensors: dict[str, Tensor] = torch.load(stream, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as cause:
        raise MetricError("The Inception weights are damaged.", "Fetch the file again.") from cause
    return tensors


def download(url: str) -> dict[str, Tensor]:
    """The weights from torch-fidelity's own release, or from torch's cache of it; checked."""
    try:
        tensors: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as cause:
        raise MetricError(
            f"The Inception weights cannot be fetched from {url}: {cause}",
            "Fetch that file elsewhere and name it by --inception-weights, "
            "or use --extractor lite0, which needs no network.",
        ) from cause
    return tensors
