"""What draws rows: one of several, each for its kind of machine, behind one face."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from facegan.model_files import ModelCard
from facegan.synthesis.batch_sizes import BatchSizes
from facegan.synthesis.latent_batch import LatentBatch

Pixels = npt.NDArray[np.uint8]  # (N, H, W, 3)


class Backend(Protocol):
    """A generator on a device; used by one thread at a time, unless it says otherwise."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    @property
    def has_truncation(self) -> bool:
        """Whether rows may have a psi other than 1."""

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 where the family has no styles."""

    @property
    def batch_sizes(self) -> BatchSizes:
        """How many rows are drawn at once."""

    def enable_concurrency(self) -> int:
        """Expect several threads that generate at the same time; how many of them gain by it."""

    def generate(self, rows: LatentBatch) -> Pixels:
        """Draw N ≥ 1 rows."""
