"""Loads a model for generation, with the backend that suits the machine, the files and options."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facegan.errors import ArtifactError, ConfigError
from facegan.model_files import ModelCard, check_graphs, read_card, read_files
from facegan.synthesis.backend import Backend
from facegan.synthesis.synthesizer import Synthesizer

if TYPE_CHECKING:
    from facegan.artifact import Artifact

# Imports inside functions: a server of graphs does without torch (1.6 s).

BACKENDS = ("auto", "torch", "openvino")
# Files of GPU drivers on Linux and WSL: without one, torch need not be imported to look for a GPU.
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True)
class BackendConfig:
    """Options of how a model is run.

    Args:
        backend: "torch"; "openvino", which runs exported graphs on CPUs; or "auto": the graphs if
            there are some and no GPU, else torch.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" …
        precision: "fp32", "bf16", "fp16" or "auto"; half precision is for GPUs.
        cores: Threads that compute on CPUs; None is all.

    Raises:
        ConfigError: the backend is unknown, or does not support the device or precision.
    """

    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    cores: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ConfigError(
                f"The backend is {self.backend!r}.", f"It must be one of {', '.join(BACKENDS)}."
            )
        if self.backend == "openvino" and not self.suits_graphs:
            raise ConfigError(
                f"openvino does not support {self.precision} on {self.device}.",
                "It runs on CPUs in fp32; the backend torch supports more.",
            )

    @property
    def suits_graphs(self) -> bool:
        """Whether OpenVINO supports the device and the precision."""
        return self.device in ("auto", "cpu") and self.precision in ("auto", "fp32")

    def use_graphs(self, card: ModelCard) -> bool:
        """Return whether a model is run from its exported graphs.

        Raises:
            ArtifactError: nothing else is possible, and it has none.
        """
        if self.backend == "torch" or not self.suits_graphs:
            return False
        if self.backend == "auto" and self.device == "auto" and has_gpu():
            return False
        is_possible = card.graph is not None and is_installed("openvino")
        if not is_possible and (self.backend == "openvino" or not is_installed("torch")):
            raise ArtifactError(
                "The model's exported graphs cannot be used: "
                + ("it has none." if card.graph is None else "openvino is not installed."),
                "Add them where torch is installed: facegan export MODEL"
                if card.graph is None
                else "pip install 'facegan[serving]'",
            )
        return is_possible


def open_synthesizer(source: Path, config: BackendConfig | None = None) -> Synthesizer:
    """Load the model of a folder or an archive.

    Raises:
        ArtifactError: there is no model, it is damaged, or nothing here can run it.
        ConfigError: the device does not exist, or does not support the precision.
    """
    config = config or BackendConfig()
    card = read_card(source)
    if config.use_graphs(card):
        return Synthesizer(load_graphs(source, card, config.cores))
    if not is_installed("torch"):
        what = f"on {config.device}" if card.graph else "a model without graphs"
        raise ConfigError(
            f"torch is not installed here, and running {what} needs it.",
            "pip install 'facegan[serving-gpu]', or use the torch image (docs/containers.md).",
        )
    from facegan.artifact import load_artifact  # imports torch, which graphs do without

    return synthesizer_from_artifact(load_artifact(source, mapped=True), config)


def load_graphs(source: Path, card: ModelCard, cores: int | None) -> Backend:
    """Load a model's graphs, checked against its card before OpenVINO reads them."""
    assert card.graph is not None
    files = read_files(source, card.graph.sha256)
    for name, digest in card.graph.sha256.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ArtifactError(
                f"{source}: {name} is not the graph that the card describes.",
                "The file is damaged or was changed; copy it again, or: facegan export MODEL",
            )
    checked = check_graphs(source, files, card)
    from facegan.synthesis.openvino_backend import OpenVINOBackend  # optional where torch is used

    return OpenVINOBackend(files, card, checked, cores)


def synthesizer_from_artifact(artifact: "Artifact", config: BackendConfig) -> Synthesizer:
    """Return an artifact's synthesizer, run by torch on the configured device."""
    import torch  # only here, as the whole function is for artifacts, which need it

    from facegan.synthesis.device_context import DeviceContext
    from facegan.synthesis.torch_backend import TorchBackend

    if config.cores is not None:
        torch.set_num_threads(min(torch.get_num_threads(), config.cores))
    context = DeviceContext.choose(config.device, config.precision)
    return Synthesizer(TorchBackend(artifact, context))


def has_gpu() -> bool:
    """Return whether torch can use a GPU; torch is only imported if there is a driver."""
    if not any(path.exists() for path in DRIVERS) or not is_installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def is_installed(package: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None
