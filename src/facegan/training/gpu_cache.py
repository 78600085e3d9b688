"""Keeps all images in the GPU's memory, if they fit, so that no step waits for them."""

import logging
import math

import torch
from torch import Tensor

from facegan.data import Dataset
from facegan.devices import to_device
from facegan.errors import ConfigError

logger = logging.getLogger(__name__)

AUTO_SHARE = 0.25  # of the free memory, for the images: a step needs the most
BLOCK = 4096  # images sent at a time


class GpuCache:
    """A data set's images on a device, read by index there; the same bits as on the disk."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        channels, height, width = dataset.image_shape
        shape = len(dataset), height, width, channels
        self.images = torch.empty(shape, dtype=torch.uint8, device=device)
        for indices in torch.arange(len(dataset)).split(BLOCK):
            block = dataset.read(indices).permute(0, 2, 3, 1)
            self.images[indices[0] : indices[-1] + 1] = block.to(device)

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices, on the device."""
        chosen = self.images.index_select(0, to_device(indices, self.images.device))
        return chosen.permute(0, 3, 1, 2)


def cache_on_gpu(dataset: Dataset, device: torch.device, setting: str) -> GpuCache | None:
    """Return all images on a GPU, or None if each step's are to be sent.

    Args:
        dataset: The images.
        device: The run's.
        setting: ``on``, ``off``, or ``auto``: if they take at most a quarter of its free memory.

    Raises:
        ConfigError: ``on``, but the device is not a GPU, or they do not fit.
    """
    if device.type != "cuda":
        if setting == "on":
            raise ConfigError(
                f"data_on_gpu is on, but the run computes on {device}.", "Leave it at auto."
            )
        return None
    free = torch.cuda.mem_get_info(device)[0]
    needed = len(dataset) * math.prod(dataset.image_shape)
    if setting == "off" or (setting == "auto" and needed > AUTO_SHARE * free):
        return None
    if needed > free:
        raise ConfigError(
            f"data_on_gpu is on, but the images take {needed / 2**30:.1f} GiB, and {device} has "
            f"{free / 2**30:.1f} GiB free.",
            "Leave it at auto: then each step's images are sent.",
        )
    logger.info("All images are on %s: %.2f GiB.", device, needed / 2**30)
    return GpuCache(dataset, device)
