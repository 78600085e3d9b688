"""Inception-v3 with the weights that define FID, checked by digest and never unpickled."""

import hashlib
import io
import pickle
import socket
from pathlib import Path

import torch
from torch import Tensor, nn

from facegan.errors import MetricError
from facegan.metrics.fidelity import load_fidelity

# Imports inside functions: torch-fidelity imports torchvision, and lite0 needs neither.

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
TIMEOUT_SECONDS = 30.0
WIDTH = 2048
FEATURES = str(WIDTH)  # torch-fidelity names its layers by their width
# The TensorFlow weights of 2015, converted; they define FID.
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
    """Return the network with the published weights.

    Args:
        weights: Their file; None downloads it into torch's cache, once.

    Raises:
        MetricError: the file is missing or wrong, or cannot be downloaded.
    """
    load_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    tensors = read_weights(weights or find_inception())
    # torch-fidelity unpickles its file, so it gets a copy that was written here.
    copy = io.BytesIO()
    torch.save(tensors, copy)
    copy.seek(0)
    return Inception(
        FeatureExtractorInceptionV3(
            "inception-v3-compat", [FEATURES], feature_extractor_weights_path=copy
        )
    )


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return the weights in a file, after checking its digest; nothing is unpickled."""
    try:
        content = file.read_bytes()
    except OSError as cause:
        raise MetricError(
            f"The Inception weights {file} cannot be read: {cause.strerror}.", download_hint()
        ) from cause
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise MetricError(
            f"{file} does not contain the Inception weights that define FID.",
            f"With other weights the number would not be FID. {download_hint()}",
        )
    stream = io.BytesIO(content)
    try:
        tensors: dict[str, Tensor] = torch.load(stream, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as cause:
        message = "The Inception weights are damaged."
        raise MetricError(message, "Download the file again.") from cause
    return tensors


def cached_file() -> Path:
    """Return the path of the downloaded weights in torch's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def download_hint() -> str:
    """Return the hint with the file's address, digest and path."""
    return (
        f"Download {URL} (96 MB, SHA-256 {SHA256}) to {cached_file()}, or give its path to "
        "facegan evaluate as --inception-weights. Or use the extractor lite0, which needs no "
        "download: --extractor lite0, in training --evaluate-extractor lite0."
    )


def find_inception() -> Path:
    """Return the weights' file in torch's cache; download it if it is missing."""
    file, timeout = cached_file(), socket.getdefaulttimeout()
    if file.exists():
        return file
    try:
        socket.setdefaulttimeout(TIMEOUT_SECONDS)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(file), hash_prefix=SHA256)
    except (OSError, RuntimeError) as cause:  # URLError is an OSError; RuntimeError: another digest
        raise MetricError(
            f"The Inception weights are not at {file}, and cannot be downloaded: {cause}.",
            download_hint(),
        ) from cause
    finally:
        socket.setdefaulttimeout(timeout)
    return file
