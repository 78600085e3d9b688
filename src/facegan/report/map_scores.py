"""Whether painted images obey their label maps: IoU per class, beside its ceiling."""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.errors import DatasetError
from facegan.metrics import class_ious, count_confusion, mean_iou, pixel_accuracy
from facegan.metrics.segmenter import Segmenter, cached_segmenter, train_segmenter
from facegan.report.examples import Examples, rows_of
from facegan.report.images import Pixels
from facegan.report.neighbours import evenly_spaced

logger = logging.getLogger(__name__)

MAX_SIDE = 64  # pixels; larger images and maps are made smaller for the segmenter
HELD_OUT, HELD_OUT_LARGE = 256, 64  # images that it is not trained on; of a larger model
MAX_TRAINED_ON = 8_192
STEPS, PIXELS_PER_STEP = 400, 32 * 32 * 32
MIN_BATCH = 8
MADE_AT_ONCE = 64


@dataclass(frozen=True)
class ClassScore:
    """A class of the label maps: how well it is found in real and in painted images."""

    name: str
    colour: str
    share: float  # of the pixels
    real: float  # IoU; NaN if it is in none of the maps
    made: float


@dataclass(frozen=True)
class MapScores:
    """How well label maps are read back from painted images."""

    classes: list[ClassScore]
    real_miou: float  # the ceiling
    made_miou: float
    real_accuracy: float
    made_accuracy: float
    count: int  # of label maps
    trained_on: int

    @property
    def share(self) -> float:
        """The painted images' mIoU as a share of that of the real ones."""
        return self.made_miou / self.real_miou if self.real_miou else math.nan


def map_scores(examples: Examples, cache: Path | None) -> MapScores:
    """Train a segmenter on real images, and read the label maps of painted ones with it.

    Painted and real images are those of the same label maps, which the segmenter has not seen.

    Args:
        examples: Of a model that is given label maps.
        cache: The folder where the segmenter is kept; None: it is trained each time.

    Raises:
        DatasetError: the data has fewer than two images.
    """
    total, card = len(examples.source), examples.model.artifact.card
    if total < 2:
        raise DatasetError("A segmenter needs two images or more.")
    most = HELD_OUT if card.resolution <= MAX_SIDE else HELD_OUT_LARGE
    held_out = evenly_spaced(range(total), min(most, max(1, total // 4)))
    rest = evenly_spaced(sorted(set(range(total)) - set(held_out)), MAX_TRAINED_ON)
    segmenter = open_segmenter(examples, rest, cache)
    maps = torch.from_numpy(rows_of(examples.source, held_out))
    truth = smaller_maps(maps)
    confusions = [
        count_confusion(truth, segmenter.read(smaller(images)), len(card.map_classes))
        for images in (rows_of(examples.target, held_out), painted(examples, maps))
    ]
    shares = torch.bincount(truth.flatten().long(), minlength=len(card.map_classes))
    real, made = (class_ious(confusion).tolist() for confusion in confusions)
    return MapScores(
        classes=[
            ClassScore(name, colour, share, *ious)
            for (name, colour), share, *ious in zip(
                card.map_classes, (shares / shares.sum()).tolist(), real, made, strict=True
            )
        ],
        real_miou=mean_iou(confusions[0]),
        made_miou=mean_iou(confusions[1]),
        real_accuracy=pixel_accuracy(confusions[0]),
        made_accuracy=pixel_accuracy(confusions[1]),
        count=len(held_out),
        trained_on=len(rest),
    )


def painted(examples: Examples, maps: Tensor) -> Pixels:
    """Return the model's images (N, S, S, 3) of label maps, each in a seed of its own."""
    takes_seeds = examples.model.artifact.card.takes("latents")
    parts = []
    for first in range(0, len(maps), MADE_AT_ONCE):
        part = maps[first : first + MADE_AT_ONCE].numpy()
        seeds = {"seeds": range(first, first + len(part))} if takes_seeds else {}
        parts.append(examples.model.make(**examples.request(part, **seeds)))
    return np.concatenate(parts)


def open_segmenter(examples: Examples, indices: Sequence[int], cache: Path | None) -> Segmenter:
    """Return the segmenter of a data set: kept since an earlier page, or trained now."""
    classes = len(examples.model.artifact.card.map_classes)
    key = {
        "images": examples.target.digest,
        "maps": examples.source.digest,
        "classes": classes,
        "trained": [len(indices), STEPS, PIXELS_PER_STEP, MAX_SIDE],
        "version": 1,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]

    def train() -> Segmenter:
        logger.info("Training a segmenter on %s images and their label maps …", len(indices))
        images = smaller(rows_of(examples.target, indices))
        maps = smaller_maps(torch.from_numpy(rows_of(examples.source, indices)))
        batch_size = max(MIN_BATCH, PIXELS_PER_STEP // maps[0].numel())
        return train_segmenter(images, maps, classes, steps=STEPS, batch_size=batch_size)

    file = None if cache is None else cache / "segmenters" / f"{name}.safetensors"
    return cached_segmenter(file, classes, train)


def smaller(images: Pixels) -> Tensor:
    """Return images (N, H, W, 3) as the segmenter takes them: uint8 (N, 3, S, S)."""
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    side = side_of(tensors)
    if tensors.shape[-1] == side:
        return tensors.contiguous()
    return F.interpolate(tensors.float(), (side, side), mode="area").round().to(torch.uint8)


def smaller_maps(maps: Tensor) -> Tensor:
    """Return label maps (N, H, W) at the segmenter's side, (N, S, S)."""
    side = side_of(maps)
    resized = F.interpolate(maps[:, None].float(), (side, side), mode="nearest-exact")
    return resized[:, 0].to(torch.uint8)


def side_of(images: Tensor) -> int:
    """Return the side at which images are read: a multiple of 4, not above `MAX_SIDE`."""
    return min(MAX_SIDE, max(4, images.shape[-1] // 4 * 4))
