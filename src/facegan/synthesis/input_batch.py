"""The inputs of a generator, one row per image, so that several requests can share a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from facegan.model_files import ModelCard

Array = npt.NDArray[Any]
Latents = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]  # images (N, H, W, 3)


@dataclass(frozen=True)
class InputBatch:
    """N samples, already checked against the model.

    Attributes:
        arrays: The model's inputs by name (see ``model_inputs``), each with N rows: float32
            `latents` (N, latent_dim), or (N, 2, latent_dim) where each image mixes two seeds'
            styles; int64 `labels` (N,), or (N, 2) then; uint8 `images` and `styles` (N, H, W, 3);
            uint8 `label_maps` (N, H, W).
        truncation_psi: 1 is no truncation.
        mixed_layers: Layers that take the second latent's styles; None without mixing.
        direction: Which way images are translated; None if the model has one way.
        input_labels: One label per seed or latent of the request, and then per seed to mix with;
            None for unconditional models, and for a part of a batch.
    """

    arrays: Mapping[str, Array]
    truncation_psi: float = 1.0
    mixed_layers: tuple[int, ...] | None = None
    direction: str | None = None
    input_labels: Labels | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Batches of the same kind can be joined."""
        return tuple(self.arrays), self.truncation_psi, self.mixed_layers, self.direction

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, part: slice) -> Self:
        return self.with_arrays({name: array[part] for name, array in self.arrays.items()})

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """Return a batch of the same options with other rows."""
        return replace(self, arrays=arrays, input_labels=None)

    def in_direction(self, direction: str | None) -> Self:
        """Return the same inputs, translated in another direction."""
        return replace(self, direction=direction)

    def arguments(self, card: ModelCard, encode: Callable[[Pixels], Latents]) -> list[Array]:
        """Return the arguments of the generator, in order; styles are encoded as latents."""
        arrays = dict(self.arrays)
        if "styles" in arrays:
            arrays["latents"] = encode(arrays.pop("styles"))
        return [arrays[given.name] for given in card.arguments(card.networks[0])]

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate batches of one kind."""
        first = parts[0]
        if len(parts) == 1:
            return first
        return first.with_arrays(
            {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays}
        )
