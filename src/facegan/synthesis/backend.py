"""The interface of what runs a generator: torch, or OpenVINO."""

from typing import Protocol

from facegan.model_files import ModelCard
from facegan.synthesis.batch_sizes import BatchSizes
from facegan.synthesis.input_batch import InputBatch, Pixels


class Backend(Protocol):
    """A generator on a device; used by one thread at a time unless concurrency is enabled."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    @property
    def has_truncation(self) -> bool:
        """Whether a batch's psi may differ from 1."""

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 if the family has no styles."""

    @property
    def batch_sizes(self) -> BatchSizes:
        """The batch sizes in use."""

    def enable_concurrency(self) -> int:
        """Expect calls from several threads; return how many threads are worthwhile."""

    def generate(self, batch: InputBatch) -> Pixels:
        """Generate N ≥ 1 images, on the calling thread."""
