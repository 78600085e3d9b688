"""Generates images with torch: on GPUs, and for models without exported graphs."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from facegan.artifact import Artifact
from facegan.devices import to_device
from facegan.model_files import ModelCard
from facegan.synthesis.batch_sizes import (
    LARGE_RESOLUTION,
    LARGE_WEIGHTS,
    MAX_SIZE,
    Array,
    BatchSizes,
    find_equivalent_batch_sizes,
)
from facegan.synthesis.device_context import DeviceContext
from facegan.synthesis.examples import example_batch
from facegan.synthesis.input_batch import InputBatch, Pixels


def to_pixels(images: Tensor) -> Tensor:
    """Convert float images (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3), rounded to nearest."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class TorchBackend:
    """An artifact's generator in a device context; on a CPU, threads may share it."""

    def __init__(self, artifact: Artifact, context: DeviceContext | None = None) -> None:
        self.artifact = artifact
        self.context = context or DeviceContext(torch.device("cpu"))
        self.context.place(artifact.generator)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.artifact.card

    def enable_concurrency(self) -> int:
        """Return 1: one batch uses all cores."""
        return 1

    @property
    def has_truncation(self) -> bool:
        """Whether a batch's psi may differ from 1."""
        return self.artifact.has_truncation

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 if the family has no styles."""
        return self.artifact.style_layers

    @cached_property
    def batch_sizes(self) -> BatchSizes:
        """The batch sizes in use; measured at the first batch."""
        samples = example_batch(self.card, MAX_SIZE)

        def network(*arrays: Array) -> Array:
            images = self.context.run(
                lambda *x: self.images_of(samples, *x), *self.to_tensors(arrays), use_graph=False
            )
            return images.float().cpu().numpy()

        weights = sum(p.numel() for p in self.artifact.generator.parameters())
        is_large = self.card.resolution >= LARGE_RESOLUTION or weights >= LARGE_WEIGHTS
        with torch.inference_mode():
            return find_equivalent_batch_sizes(
                network, is_large and not self.context.is_gpu, *samples.arrays.values()
            )

    @torch.inference_mode()
    def generate(self, batch: InputBatch) -> Pixels:
        """Generate N ≥ 1 images, on the calling thread."""

        def network(*arrays: Array) -> Pixels:
            pixels = self.context.run(
                lambda *inputs: to_pixels(self.images_of(batch, *inputs)),
                *self.to_tensors(arrays),
                use_graph=batch.truncation_psi == 1.0 and batch.mixed_layers is None,
            )
            return self.context.fetch(pixels)

        return self.batch_sizes.run(network, *batch.arrays.values())

    def to_tensors(self, arrays: tuple[Array, ...]) -> list[Tensor]:
        """Return arrays as tensors on the device."""
        return [to_device(torch.from_numpy(x), self.context.device) for x in arrays]

    def images_of(self, batch: InputBatch, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return float images (N, 3, H, W), with the batch's truncation and mixing."""
        if batch.mixed_layers is None:
            images: Tensor = self.call(self.artifact.generator, batch, latents, labels)
            return images
        pairs = [None, None] if labels is None else labels.unbind(1)
        first, second = (
            self.call(self.artifact.generator.styles, batch, z, c)  # (N, layers, style_dim)
            for z, c in zip(latents.unbind(1), pairs, strict=True)
        )
        mixed = first.clone()
        mixed[:, list(batch.mixed_layers)] = second[:, list(batch.mixed_layers)]
        synthesis: Any = self.artifact.generator.synthesis
        painted: Tensor = synthesis(mixed)
        return painted

    def call(
        self, network: Any, batch: InputBatch, latents: Tensor, labels: Tensor | None
    ) -> Tensor:
        """Call a network with the options that its family takes."""
        options: dict[str, Any] = {} if labels is None else {"labels": labels}
        if batch.truncation_psi != 1.0:
            options["truncation_psi"] = batch.truncation_psi
        result: Tensor = network(latents, **options)
        return result
