"""Draws with torch: on GPUs, and where a model's graphs were not exported."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from facegan.artifact import Artifact
from facegan.devices import send
from facegan.model_files import ModelCard
from facegan.synthesis.backend import Pixels
from facegan.synthesis.batch_sizes import (
    LARGE_RESOLUTION,
    LARGE_WEIGHTS,
    MOST,
    Array,
    BatchSizes,
    find_equivalent_batch_sizes,
)
from facegan.synthesis.device_context import DeviceContext
from facegan.synthesis.latent_batch import LatentBatch
from facegan.synthesis.latents import latents_of_seeds


def to_pixels(images: Tensor) -> Tensor:
    """Float images (N, 3, H, W) in [-1, 1] → uint8 (N, H, W, 3), rounded to the nearest level."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class TorchBackend:
    """An artifact's generator, moved to an context's device; on a CPU threads may share it."""

    def __init__(self, artifact: Artifact, context: DeviceContext | None = None) -> None:
        self.artifact = artifact
        self.context = context or DeviceContext(torch.device("cpu"))
        self.context.place(artifact.generator)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.artifact.card

    def enable_concurrency(self) -> int:
        """One thread: its batch takes all cores."""
        return 1

    @property
    def has_truncation(self) -> bool:
        """Whether the family trades variety for typicality by a truncation psi."""
        return self.artifact.has_truncation

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 where the family has no styles."""
        if not self.artifact.has_style_mixing:
            return 0
        synthesis: Any = self.artifact.generator.synthesis
        return int(synthesis.layers)

    @cached_property
    def batch_sizes(self) -> BatchSizes:
        """How many rows are drawn at once; measured when the first are."""
        latents = latents_of_seeds(self.card, range(MOST))
        labels = torch.zeros(MOST, dtype=torch.int64).numpy() if self.card.classes else None
        rows = LatentBatch(latents, labels)

        def draw(*batch: Array) -> Array:
            """Not recorded, as this is done once."""
            inputs = self.sent(batch)
            images = self.context.run(lambda *x: self.images_of(rows, *x), *inputs, is_plain=False)
            return images.float().cpu().numpy()

        weights = sum(p.numel() for p in self.artifact.generator.parameters())
        is_large = self.card.resolution >= LARGE_RESOLUTION or weights >= LARGE_WEIGHTS
        with torch.inference_mode():
            return find_equivalent_batch_sizes(
                draw, is_large and not self.context.is_gpu, *rows.arrays
            )

    @torch.inference_mode()
    def generate(self, rows: LatentBatch) -> Pixels:
        """Draw N ≥ 1 rows, on the calling thread."""
        return self.batch_sizes.run(lambda *batch: self.generate_batch(rows, batch), *rows.arrays)

    def generate_batch(self, rows: LatentBatch, batch: tuple[Array, ...]) -> Pixels:
        """The pixels of a batch of rows; what every caller asks for is recorded on GPUs."""
        pixels = self.context.run(
            lambda *inputs: to_pixels(self.images_of(rows, *inputs)),
            *self.sent(batch),
            is_plain=rows.truncation_psi == 1.0 and rows.mixed_layers is None,
        )
        return self.context.fetch(pixels)

    def sent(self, batch: tuple[Array, ...]) -> list[Tensor]:
        """Arrays on the context's device."""
        return [send(torch.from_numpy(x), self.context.device) for x in batch]

    def images_of(self, rows: LatentBatch, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the generator makes of a batch of rows: float images (N, 3, H, W)."""
        if rows.mixed_layers is None:
            images: Tensor = self.call(self.artifact.generator, rows, latents, labels)
            return images
        pairs = [None, None] if labels is None else labels.unbind(1)
        own, theirs = (
            self.call(self.artifact.generator.styles, rows, z, c)  # (N, layers, style_dim)
            for z, c in zip(latents.unbind(1), pairs, strict=True)
        )
        mixed = own.clone()
        mixed[:, list(rows.mixed_layers)] = theirs[:, list(rows.mixed_layers)]
        synthesis: Any = self.artifact.generator.synthesis
        painted: Tensor = synthesis(mixed)
        return painted

    def call(
        self, network: Any, rows: LatentBatch, latents: Tensor, labels: Tensor | None
    ) -> Tensor:
        """Hand a network only what its family takes."""
        options: dict[str, Any] = {} if labels is None else {"labels": labels}
        if rows.truncation_psi != 1.0:
            options["truncation_psi"] = rows.truncation_psi
        result: Tensor = network(latents, **options)
        return result
