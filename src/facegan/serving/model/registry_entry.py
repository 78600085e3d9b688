"""One entry of the model registry, the memory that entries need, and the registry's errors."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from facegan.errors import MemoryExceeded, ModelLoaded, UnknownModel
from facegan.serving.model.served_model import ServedModel
from facegan.synthesis import MemoryEstimate

MIB = 2**20


@dataclass(eq=False)
class RegistryEntry:
    """A name in use: by a loaded model, or by one that is being loaded or released.

    Attributes:
        name: Opaque; SageMaker's choice.
        url: The model's folder, as the request gave it.
        number: Counts the models in the order of loading.
        estimate: The memory that the model is expected to take.
        served: The model; None while it is being loaded, and once it was released.
        users: Requests that use it now.
        last_used: By ``time.monotonic()``.
        is_leaving: Whether it was unloaded or evicted: new requests do not find it.
        gone: Set once its memory is free.
    """

    name: str
    url: str
    number: int
    estimate: MemoryEstimate
    served: ServedModel | None = None
    users: int = 0
    last_used: float = 0.0
    is_leaving: bool = False
    gone: threading.Event = field(default_factory=threading.Event)


def bytes_needed(entries: Iterable[RegistryEntry]) -> int:
    """Return the bytes that models take together: loaded ones compute one at a time."""
    entries = list(entries)
    loaded = [entry.estimate.activations for entry in entries if entry.served]
    loading = [entry.estimate.activations for entry in entries if not entry.served]
    weights = sum(entry.estimate.weights for entry in entries)
    return weights + max(loaded, default=0) + sum(loading)


def already_loaded(name: str) -> ModelLoaded:
    """Return the error of a name that is in use."""
    return ModelLoaded(f"The model {shown(name)} is loaded already.", "Unload it first.")


def not_loaded(name: str) -> UnknownModel:
    """Return the error of a name that is not in use."""
    return UnknownModel(f"No model {shown(name)} is loaded.", "Load it first: POST /models.")


def out_of_memory(message: str) -> MemoryExceeded:
    """Return the error of a model that there is no memory for."""
    return MemoryExceeded(message, "Unload others, or raise FACEGAN_MODEL_MEMORY_MB.")


def shown(name: str) -> str:
    """Quote a model's name for a message, shortened where it is long."""
    return ascii(name if len(name) <= 80 else name[:80] + "…")


def mib(count: int) -> str:
    """Format bytes as MiB."""
    return f"{count / MIB:,.1f} MiB"
