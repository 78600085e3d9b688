"""Inception-v3 as FID knows it, with the published weights and none other, never unpickled."""

import hashlib
import io
import pickle
import socket
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan.errors import MetricError
from facegan.metrics.fidelity import load_fidelity

# Imports inside functions: torch-fidelity imports torchvision, and lite0 needs neither.

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
WAIT_SECONDS = 30.0  # for a server that does not answer
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
    """Return the network with the published weights.

    Args:
        weights: Their file; without one it is fetched into torch's cache, once.

    Raises:
        MetricError: the file is missing or is another one, or there is no network.
    """
    load_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    tensors = read_weights(weights or find_inception())
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
            f"The Inception weights {file} cannot be read: {cause.strerror}.", download_hint()
        ) from cause
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise MetricError(
            f"{file} does not hold the Inception weights that FID is defined by.",
            f"With other weights the number would not be FID. {download_hint()}",
        )
    return load_safely(io.BytesIO(content))


def load_safely(stream: Any) -> dict[str, Tensor]:
    """A state dict from a stream; ``weights_only`` refuses whatever is not one."""
    try:
        tensors: dict[str, Tensor] = torch.load(stream, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as cause:
        raise MetricError("The Inception weights are damaged.", "Fetch the file again.") from cause
    return tensors


def cached_file() -> Path:
    """Return where torch keeps the weights that it fetched."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def download_hint() -> str:
    """Return the hint: which file, its digest, and where it belongs."""
    return (
        f"Fetch {URL} (96 MB, SHA-256 {SHA256}) and put it at {cached_file()}, or name it by "
        "--inception-weights of facegan evaluate. Or take the extractor lite0, which needs no "
        "network: --extractor lite0, in training --evaluate-extractor lite0."
    )


def find_inception() -> Path:
    """Return the file of the weights in torch's cache, fetched if it is not there yet.

    Raises:
        MetricError: it cannot be fetched; the hint names file, place and digest.
    """
    file, patience = cached_file(), socket.getdefaulttimeout()
    if file.exists():
        return file
    try:
        socket.setdefaulttimeout(WAIT_SECONDS)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(file), hash_prefix=SHA256)
    except (OSError, RuntimeError) as cause:  # URLError is an OSError; RuntimeError: another digest
        raise MetricError(
            f"The Inception weights are not at {file}, and cannot be fetched: {cause}.",
            download_hint(),
        ) from cause
    finally:
        socket.setdefaulttimeout(patience)
    return file
