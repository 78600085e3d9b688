"""The input of a generator, one sample per image, so that several requests can share a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Latents = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LatentBatch:
    """N samples, already checked against the model.

    Attributes:
        latents: (N, latent_dim); or (N, 2, latent_dim) where each image mixes two seeds' styles.
        labels: (N,), or (N, 2) where styles are mixed; None for unconditional models.
        truncation_psi: 1 is no truncation.
        mixed_layers: Layers that take the second latent's styles; None without mixing.
        input_labels: One label per seed or latent of the request, and then per seed to mix with;
            None for unconditional models, and for a part of a batch.
    """

    latents: Latents
    labels: Labels | None = None
    truncation_psi: float = 1.0
    mixed_layers: tuple[int, ...] | None = None
    input_labels: Labels | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Batches of the same kind can be joined."""
        return self.truncation_psi, self.mixed_layers

    @property
    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """The network's inputs."""
        return [self.latents] if self.labels is None else [self.latents, self.labels]

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, part: slice) -> Self:
        labels = None if self.labels is None else self.labels[part]
        return type(self)(self.latents[part], labels, self.truncation_psi, self.mixed_layers)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate batches of one kind."""
        first = parts[0]
        if len(parts) == 1:
            return first
        latents = np.concatenate([part.latents for part in parts])
        known = [part.labels for part in parts if part.labels is not None]
        labels = np.concatenate(known) if known else None
        return cls(latents, labels, first.truncation_psi, first.mixed_layers)
