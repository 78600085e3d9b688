"""Real images for the studio's quiz and label maps to paint on; importing this imports torch."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from facegan.data import open_dataset


class DatasetImages:
    """The real images of a quiz, and their label maps.

    Args:
        folder: A data set.
        resolution: The model's.
    """

    def __init__(self, folder: Path, resolution: int) -> None:
        self.dataset = open_dataset(folder, resolution)

    def __len__(self) -> int:
        return len(self.dataset)

    def png(self, index: int) -> bytes:
        """Return one image as a PNG without provenance."""
        pixels = self.dataset.read(torch.tensor([index]))[0].permute(1, 2, 0).numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    def label_map(self, index: int) -> npt.NDArray[np.uint8] | None:
        """Return the class of each pixel of one image, uint8 (H, W); None without label maps."""
        maps = getattr(self.dataset, "companions", {}).get("label_maps")
        return None if maps is None else maps.read(torch.tensor([index]))[0, 0].numpy()
