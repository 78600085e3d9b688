"""Generates images with torch: on GPUs, and for models without exported graphs."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan.artifact import Artifact
from facegan.devices import to_device
from facegan.model_files import ENCODER, ModelCard
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
from facegan.synthesis.network_inputs import pixel_network


def to_pixels(images: Tensor) -> Tensor:
    """Convert float images (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3), rounded to nearest."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class TorchBackend:
    """An artifact's networks in a device context; on a CPU, threads may share it."""

    def __init__(self, artifact: Artifact, context: DeviceContext | None = None) -> None:
        self.artifact = artifact
        self.context = context or DeviceContext(torch.device("cpu"))
        self.networks = {name: pixel_network(artifact, name) for name in artifact.networks}
        for network in self.networks.values():
            self.context.place(network)

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
        """The batch sizes in use, in all directions; measured at the first batch."""
        samples = example_batch(self.card, MAX_SIZE)
        batches = [samples.in_direction(it) for it in self.card.directions or (None,)]

        def network(*arrays: Array) -> Array:
            inputs = self.to_tensors(arrays)
            images = [
                self.context.run(lambda *x, it=it: self.images_of(it, *x), *inputs, use_graph=False)
                for it in batches
            ]
            return torch.cat(images, 1).float().cpu().numpy()

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
                name=batch.direction or "",
            )
            return self.context.fetch(pixels)

        return self.batch_sizes.run(network, *batch.arguments(self.card, self.latents_of))

    def latents_of(self, styles: Pixels) -> Array:
        """Encode style images (N, H, W, 3) as latents, one by one, so that N does not change bits.

        Not as part of the images' graph: styles are rare, and have batch sizes of their own.
        """
        images = to_device(torch.from_numpy(styles), self.context.device)
        encode = self.networks[ENCODER]
        rows = [self.context.run(encode, image[None], use_graph=False) for image in images]
        return np.concatenate([row.float().cpu().numpy() for row in rows])

    def to_tensors(self, arrays: tuple[Array, ...]) -> list[Tensor]:
        """Return arrays as tensors on the device."""
        return [to_device(torch.from_numpy(x), self.context.device) for x in arrays]

    def images_of(self, batch: InputBatch, *inputs: Tensor) -> Tensor:
        """Return float images (N, 3, H, W), with the batch's direction, truncation and mixing."""
        network: Any = self.networks[batch.direction or self.card.networks[0]]
        psi = batch.truncation_psi
        options = {} if psi == 1.0 else {"truncation_psi": psi}  # which not every family takes
        if batch.mixed_layers is None:
            images: Tensor = network(*inputs, **options)
            return images
        first, second = (  # (N, layers, style_dim)
            network.styles(*(x[:, place] for x in inputs), **options) for place in (0, 1)
        )
        mixed = first.clone()
        mixed[:, list(batch.mixed_layers)] = second[:, list(batch.mixed_layers)]
        painted: Tensor = network.synthesis(mixed)
        return painted
