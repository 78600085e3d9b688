"""The data's own images for a model that is given images or label maps, and the true answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facegan.data import Dataset
from facegan.errors import DatasetError
from facegan.model_inputs import IMAGE, LABEL_MAP
from facegan.report.images import GeneratedImages, Pixels
from facegan.report.neighbours import RealImages

Arrays = npt.NDArray[np.uint8]  # images (N, H, W, 3) or label maps (N, H, W)


class Examples:
    """What a model can be given of a data set, and what it should make of it.

    Args:
        model: Declares what it is given.
        reals: Where the data is.

    Raises:
        DatasetError: the data lacks a companion that the model is given, or cannot be read.
    """

    def __init__(self, model: GeneratedImages, reals: RealImages) -> None:
        self.model, self.dataset = model, reals.dataset
        self.folder = reals.folder
        family, preset, card = model.artifact.family, model.artifact.preset, model.artifact.card
        kinds = (IMAGE, LABEL_MAP)
        self.input = next(given.name for given in card.inputs if given.kind in kinds)
        self.source = self.of(family.source(preset, self.input))
        self.target = self.of(family.target(preset))
        # Whether the i-th image of the target is the true answer to the i-th input.
        self.is_aligned = "unpaired" not in family.companions(preset)

    def of(self, key: str) -> Dataset:
        """Return the data set's own images ("reals"), or one of its companions."""
        if key == "reals":
            return self.dataset
        found = getattr(self.dataset, "companions", {})
        if key not in found:
            raise DatasetError(f"The data in {self.folder} has no {key.replace('_', ' ')}.")
        companion: Dataset = found[key]
        return companion

    @property
    def takes_maps(self) -> bool:
        """Whether the model is given label maps."""
        return self.input == "label_maps"

    def request(self, arrays: Arrays, **others: Any) -> dict[str, Any]:
        """Return what the model is asked for, given images or label maps."""
        return {self.input: arrays, **others}

    def colours(self, maps: Arrays) -> Pixels:
        """Return label maps (N, H, W) in the colours of their classes, (N, H, W, 3)."""
        palette = [list(bytes.fromhex(it[1:])) for _, it in self.model.artifact.card.map_classes]
        return np.array(palette, np.uint8)[maps]

    def shown(self, arrays: Arrays) -> Pixels:
        """Return inputs as images (N, H, W, 3)."""
        return self.colours(arrays) if self.takes_maps else arrays


def rows_of(dataset: Dataset, indices: Sequence[int]) -> Arrays:
    """Return some images (N, H, W, 3), or label maps (N, H, W); after the last comes the first."""
    images = dataset.read(torch.tensor(indices) % len(dataset))
    return (images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1)).numpy()
