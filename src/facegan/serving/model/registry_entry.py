"""A loaded model, what all of them take together, and what is said of them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from facegan.errors import Draining, MemoryExceeded, ModelLoaded, UnknownModel
from facegan.serving.model.served_model import Served
from facegan.synthesis import MemoryEstimate

MIB = 2**20
NOTHING = MemoryEstimate(0, 0)


@dataclass(frozen=True)
class Loaded:
    """A model by its name.

    Attributes:
        name: Opaque; SageMaker's choice.
        url: The folder, as it was told.
        served: Answers for it.
        footprint: What it was expected to take.
    """

    name: str
    url: str
    served: Served
    footprint: MemoryEstimate


@dataclass(eq=False)
class Entry:
    """A name that is taken: by a model, or by one that is being loaded or let go."""

    number: int  # in the order of loading
    footprint: MemoryEstimate
    loaded: Loaded | None = None
    users: int = 0
    used: float = 0.0  # by time.monotonic(), when it was lent last
    is_leaving: bool = False
    gone: threading.Event = field(default_factory=threading.Event)


def needed(entries: Sequence[Entry], more: MemoryEstimate = NOTHING) -> int:
    """The bytes that models take together: those that are loaded compute in turn."""
    settled = [entry.footprint.activations for entry in entries if entry.loaded]
    warming = [entry.footprint.activations for entry in entries if not entry.loaded]
    weights = sum(entry.footprint.weights for entry in entries)
    return weights + more.weights + max(settled, default=0) + sum(warming) + more.activations


def taken(name: str) -> ModelLoaded:
    """The error of a name that is taken."""
    return ModelLoaded(f"The model {shown(name)} is loaded already.", "Unload it first.")


def unknown(name: str) -> UnknownModel:
    """The error of a name that is not."""
    return UnknownModel(f"No model {shown(name)} is loaded.", "Load it first: POST /models.")


def about_to_end() -> Draining:
    """The error of whoever comes too late."""
    return Draining("The server is about to end.", "Ask again in a few seconds.")


def no_room(told: str) -> MemoryExceeded:
    """The error of a model that is too large."""
    return MemoryExceeded(told, "Unload others, or raise FACEGAN_MODEL_MEMORY_MB.")


def shown(name: str) -> str:
    """A stranger's name, cut so that an answer stays readable."""
    return ascii(name if len(name) <= 80 else name[:80] + "…")


def mib(count: int) -> str:
    """Bytes in MiB."""
    return f"{count / MIB:,.1f} MiB"
