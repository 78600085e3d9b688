"""All pictures in the GPU's memory, where they fit: no step waits for any of them."""

import logging

import torch
from torch import Tensor

from facegan.data import Dataset
from facegan.devices import to_device
from facegan.errors import ConfigError

logger = logging.getLogger(__name__)

SHARE_OF_FREE = 0.25  # that the pictures may take by themselves: a step needs the most
BLOCK = 4096  # pictures sent at a time


class ResidentPictures:
    """A data set's pictures on a device, read by index there; the same bits as on the disk.

    Args:
        dataset: Whose pictures.
        device: Where to.

    Raises:
        torch.OutOfMemoryError: they do not fit.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        channels, height, width = dataset.image_shape
        length = len(dataset)
        self.images = torch.empty(
            (length, height, width, channels), dtype=torch.uint8, device=device
        )
        for indices in torch.arange(length).split(BLOCK):
            block = dataset.read(indices).permute(0, 2, 3, 1)
            self.images[indices[0] : indices[-1] + 1] = block.to(device)

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, 3, H, W) at N indices, on the device."""
        chosen = self.images.index_select(0, to_device(indices, self.images.device))
        return chosen.permute(0, 3, 1, 2)


def keep_on_device(dataset: Dataset, device: torch.device, wish: str) -> ResidentPictures | None:
    """The pictures on a GPU, as the configuration wants it; None to read each step's.

    Args:
        dataset: Whose pictures.
        device: The run's.
        wish: ``auto``: where they take no more than a quarter of its free memory; ``on``; ``off``.

    Raises:
        ConfigError: ``on``, but the device is no GPU, or they do not fit.
    """
    if device.type != "cuda":
        if wish == "on":
            raise ConfigError(
                f"data_on_gpu is on, but the run computes on {device}.", "Leave it at auto."
            )
        return None
    free = torch.cuda.mem_get_info(device)[0]
    needed = bytes_of(dataset)
    if wish == "off" or (wish == "auto" and needed > SHARE_OF_FREE * free):
        return None
    if needed > free:
        raise ConfigError(
            f"data_on_gpu is on, but the pictures take {needed / 2**30:.1f} GiB, and {device} has "
            f"{free / 2**30:.1f} GiB free.",
            "Leave it at auto: then each step's are sent.",
        )
    logger.info("All pictures are on %s: %.2f GiB.", device, needed / 2**30)
    return ResidentPictures(dataset, device)


def bytes_of(dataset: Dataset) -> int:
    """What all pictures take as uint8."""
    channels, height, width = dataset.image_shape
    return len(dataset) * channels * height * width
