"""Which backend draws a model here: chosen by the machine, the model's files and what is wished."""

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

BACKENDS = ("auto", "torch", "openvino")
# Where a driver shows a GPU, to Linux and to Windows' own Linux: torch need not be asked elsewhere.
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True)
class BackendConfig:
    """How a model is to be drawn.

    Args:
        backend: "torch"; "openvino", which draws exported graphs on processors; or "auto": the
            graphs where there are some and no GPU, else torch.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1" …
        precision: "fp32", "bf16", "fp16" or "auto"; halves are for GPUs.
        cores: Threads that compute on processors; None is all.

    Raises:
        ConfigError: no such backend, or one that cannot have the device or the precision.
    """

    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    cores: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            told = f"The backend is {self.backend!r}."
            raise ConfigError(told, f"It must be one of {', '.join(BACKENDS)}.")
        if self.backend == "openvino" and not self.suits_graphs:
            told = f"openvino cannot draw in {self.precision} on {self.device}."
            raise ConfigError(told, "It draws on processors, in fp32; the backend torch can more.")

    @property
    def suits_graphs(self) -> bool:
        """Whether device and precision are what graphs are drawn by."""
        return self.device in ("auto", "cpu") and self.precision in ("auto", "fp32")

    def wants_graphs(self, card: ModelCard) -> bool:
        """Whether a model is drawn by its graphs.

        Raises:
            ArtifactError: it should be, or there is nothing else here, and it has none.
        """
        if self.backend == "torch" or not self.suits_graphs:
            return False
        if self.backend == "auto" and self.device == "auto" and sees_gpu():
            return False
        is_possible = card.graph is not None and is_installed("openvino")
        if not is_possible and (self.backend == "openvino" or not is_installed("torch")):
            raise ArtifactError(
                "The model cannot be drawn by its exported graphs: "
                + ("it has none." if card.graph is None else "openvino is not installed."),
                "Add them where torch is installed: facegan export MODEL"
                if card.graph is None
                else "pip install 'facegan[serving]'",
            )
        return is_possible


def open_synthesizer(source: Path, drawing: BackendConfig | None = None) -> Synthesizer:
    """The model in a folder or an archive, ready to draw.

    Raises:
        ArtifactError: there is no model, or a damaged one, or nothing here can draw it.
        ConfigError: there is no such device, or it has no such precision.
    """
    drawing = drawing or BackendConfig()
    card = read_card(source)
    if drawing.wants_graphs(card):
        return Synthesizer(open_graphs(source, card, drawing.cores))
    require_torch(f"on {drawing.device}" if card.graph else "a model without graphs")
    from facegan.artifact import load_artifact

    return synthesizer_from_artifact(load_artifact(source, mapped=True), drawing)


def open_graphs(source: Path, card: ModelCard, cores: int | None) -> Backend:
    """A model's graphs, checked against its card before a runtime reads them."""
    assert card.graph is not None
    files = read_files(source, card.graph.sha256)
    for name, digest in card.graph.sha256.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ArtifactError(
                f"{source}: {name} is not the graph that the card describes.",
                "The file is damaged or was changed; copy it again, or: facegan export MODEL",
            )
    checked = check_graphs(source, files, card)
    from facegan.synthesis.openvino_backend import OpenVINOBackend

    return OpenVINOBackend(files, card, checked, cores)


def synthesizer_from_artifact(artifact: "Artifact", drawing: BackendConfig) -> Synthesizer:
    """An artifact, drawn by torch on the device that is wished."""
    from facegan.synthesis.device_context import DeviceContext, use_at_most
    from facegan.synthesis.torch_backend import TorchBackend

    if drawing.cores is not None:
        use_at_most(drawing.cores)
    context = DeviceContext.choose(drawing.device, drawing.precision)
    return Synthesizer(TorchBackend(artifact, context))


def require_torch(what: str) -> None:
    """Say that torch is missing where nothing else can draw.

    Raises:
        ConfigError: it is.
    """
    if not is_installed("torch"):
        raise ConfigError(
            f"torch is not installed here, and drawing {what} takes it.",
            "pip install 'facegan[serving-gpu]', or take the image with torch "
            "(docs/containers.md).",
        )


def sees_gpu() -> bool:
    """Whether torch can compute on a GPU; it is only asked where a driver shows one."""
    if not any(path.exists() for path in DRIVERS) or not is_installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def is_installed(package: str) -> bool:
    """Whether a package is here, without importing it."""
    return importlib.util.find_spec(package) is not None
