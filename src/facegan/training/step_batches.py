"""A step's batch: images with their companions, latents, labels; a function of seed and step."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facegan.data import (
    Dataset,
    mirror_rows,
    mirrored_in_step,
    random_numbers,
    reading_order,
    to_float,
)
from facegan.devices import to_device
from facegan.gans import Batch, Family, Gan
from facegan.gans.data_parallel import BatchSlice
from facegan.gans.families import check_companions
from facegan.hyperparameters.training import TrainingConfig
from facegan.training.gpu_cache import cache_on_gpu

STEP, NETWORKS, UNPAIRED = 0, 1, 5  # the streams of a run's random numbers


class StepBatches:
    """Reads this process's rows of each step's batch.

    Args:
        gan: Declares which companions of the data a step needs.
        dataset: The images.
        config: Seed, mirroring and whether the images are kept on the GPU.
        batch_slice: This process's rows of a batch.
        device: Where the batch is needed.

    Raises:
        ConfigError: the data lacks a companion, or the images do not fit the GPU that must hold
            them.
    """

    def __init__(
        self,
        gan: Gan,
        dataset: Dataset,
        config: TrainingConfig,
        batch_slice: BatchSlice,
        device: torch.device,
    ) -> None:
        self.gan, self.dataset, self.config = gan, dataset, config
        self.batch_slice, self.device = batch_slice, device
        self.companions = needed_companions(gan.family, gan.preset, dataset)
        self.gpu_cache = cache_on_gpu(dataset, device, config.data_on_gpu)
        # Another order than that of the images, even if both have the same number.
        self.unpaired_seed = random_numbers(config.seed, UNPAIRED).initial_seed()
        self.waited = 0.0  # seconds, for the images of the last step

    def read(self, number: int, batch_size: int) -> Batch:
        """Return the rows of step `number`, of batches of `batch_size` images."""
        self.waited = 0.0
        generator = random_numbers(self.config.seed, number, STEP)
        first = number * batch_size
        indices, mirrored = self.rows(self.dataset, self.config.seed, first, batch_size)
        batch: Batch = {
            "reals": to_float(self.images(self.dataset, indices, mirrored)),
            "generator": generator,
            "kimg": first / 1000,
        }
        if self.gan.preset.latent_dim:
            batch["latents"] = self.gan.sample_latents(len(indices), generator, self.device)
        if self.gan.classes and self.dataset.labels is not None:
            batch["labels"] = to_device(self.dataset.labels[indices], self.device)
        for name, companion in self.companions.items():
            if name == "unpaired":
                indices, mirrored = self.rows(companion, self.unpaired_seed, first, batch_size)
            batch[name] = network_values(name, self.images(companion, indices, mirrored))
        return batch

    def rows(
        self, dataset: Dataset, seed: int, first: int, batch_size: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the indices of this process's images, and which of them to mirror."""
        order = reading_order(dataset, seed, first, batch_size)
        indices: Tensor = self.batch_slice.rows(order)
        if not self.config.mirror:
            return indices, None
        mirrored = mirrored_in_step(seed, first, order, len(dataset))
        return indices, self.batch_slice.rows(mirrored)

    def images(self, dataset: Dataset, indices: Tensor, mirrored: Tensor | None) -> Tensor:
        """Return the uint8 images (N, C, H, W) at N indices, on the device; measure the wait."""
        started = time.perf_counter()
        if self.gpu_cache and dataset is self.dataset:
            images = self.gpu_cache.read(indices)
        else:
            images = to_device(dataset.read(indices), self.device)
        if mirrored is not None:
            images = mirror_rows(images, to_device(mirrored, self.device))
        self.waited += time.perf_counter() - started
        return images


def network_values(name: str, images: Tensor) -> Tensor:
    """Return uint8 images (N, C, H, W) as networks take them: label maps as int64 (N, H, W)."""
    return images[:, 0].long() if name == "label_maps" else to_float(images)


def needed_companions(family: Family, preset: Any, dataset: Any) -> dict[str, Any]:
    """Return the companions of the data that a step needs; ConfigError if one is missing."""
    needed = family.companions(preset)
    found: Mapping[str, Any] = getattr(dataset, "companions", {}) if needed else {}
    check_companions(family, preset, found)
    return {name: found[name] for name in needed}
