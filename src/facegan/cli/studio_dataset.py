"""The pictures of a data set as the studio's quiz wants them; torch comes with them."""

import io
from pathlib import Path

import torch
from PIL import Image

from facegan.data import open_dataset


class DatasetImages:
    """The real pictures of a quiz.

    Args:
        folder: A data set.
        resolution: The model's.

    Raises:
        DatasetError: it cannot be opened at that resolution.
    """

    def __init__(self, folder: Path, resolution: int) -> None:
        self.dataset = open_dataset(folder, resolution)

    def __len__(self) -> int:
        return len(self.dataset)

    def png(self, index: int) -> bytes:
        """One of them as a PNG, which does not say that it is generated."""
        pixels = self.dataset.read(torch.tensor([index]))[0].permute(1, 2, 0).numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()
