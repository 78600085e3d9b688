"""Opens one split of a prepared data set, to train or evaluate on, as a data set of its own.

A manifest's ``splits`` are ranges of images: ``{"train": [0, 162770], …}``.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from facegan.data.dataset import order_of
from facegan.data.labels import Labels, LabelsMixin, build_labels
from facegan.data.manifest import MANIFEST
from facegan.data.packed import PackedDataset
from facegan.data.packed_files import PackedManifest
from facegan.errors import DatasetError, did_you_mean

ALL = "all"  # every image, whatever its split
DEFAULT_SPLIT = "train"  # if none is requested
Span = tuple[int, int]


def read_splits(manifest: PackedManifest, folder: Path) -> dict[str, Span]:
    """Return the splits of a data set: name → first image, and the one after the last.

    Raises:
        DatasetError: they are not ranges of its images.
    """
    found: dict[str, Span] = {}
    try:
        for name, (start, stop) in (manifest.facts.get("splits") or {}).items():
            if not (type(start) is type(stop) is int and 0 <= start < stop <= manifest.images):
                raise ValueError(f"{name} is [{start!r}, {stop!r}]")
            found[name] = start, stop
    except (AttributeError, TypeError, ValueError) as cause:
        raise DatasetError(
            f"{folder / MANIFEST}: the splits are not ranges of its {manifest.images} images: "
            f"{cause}.",
            "Prepare the data set again.",
        ) from None
    return found


def choose_split(manifest: PackedManifest, folder: Path, requested: str | None) -> str | None:
    """Return the name of the split to use: the requested one, else `train`; None for all images.

    Raises:
        DatasetError: there is no such split; the message lists the existing ones.
    """
    splits = read_splits(manifest, folder)
    if requested is None:
        return DEFAULT_SPLIT if DEFAULT_SPLIT in splits else None
    if requested not in splits and requested != ALL:
        if not splits:
            raise no_splits_error(folder, requested)
        raise DatasetError(
            f"The data set in {folder} has no split {requested!r}.",
            did_you_mean(requested, [*splits, ALL], "splits"),
        )
    return requested if requested in splits else None


def no_splits_error(folder: Path, requested: str) -> DatasetError:
    """Return the error for a split of a data set without splits."""
    return DatasetError(
        f"The data in {folder} has no splits, so there is no split {requested!r}.",
        "Leave the split out. facegan data prepare makes splits from CelebA's official partition.",
    )


class DatasetSlice:
    """Consecutive images of a packed data set, numbered from 0."""

    def __init__(self, whole: PackedDataset, start: int, stop: int) -> None:
        self.whole, self.start, self.stop = whole, start, stop

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""
        return self.whole.image_shape

    @property
    def digest(self) -> str:
        """sha256 of the whole data set's digest and the split's range.

        Hashing the pixels would mean reading all of them before the first step.
        """
        if (self.start, self.stop) == (0, len(self.whole)):
            return self.whole.digest
        named = f"{self.whole.digest}[{self.start}:{self.stop}]"
        return hashlib.sha256(named.encode()).hexdigest()

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices.

        Raises:
            IndexError: an index is out of range.
        """
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self):
            raise IndexError(f"an index lies outside 0 to {len(self) - 1}")
        return self.whole.read(indices + self.start)


class SplitDataset(DatasetSlice, LabelsMixin):
    """The images of one split, numbered from 0.

    Args:
        whole: A packed or streamed data set; a streamed one keeps its own order within the split.
        name: The name of one of its splits.
    """

    def __init__(self, whole: PackedDataset, name: str) -> None:
        self.split, self.splits = name, read_splits(whole.manifest, whole.folder)
        super().__init__(whole, *self.splits[name])
        self.folder, self.resolution = whole.folder, whole.resolution
        self.reads_in_sequence = getattr(whole, "reads_in_sequence", False)

    @cached_property
    def companions(self) -> Mapping[str, DatasetSlice | PackedDataset]:
        """The companions of the split's images; an unaligned companion is not split."""
        aligned = {
            name for name, entry in self.whole.manifest.companions.items() if entry["aligned"]
        }
        return {
            name: DatasetSlice(companion, self.start, self.stop) if name in aligned else companion
            for name, companion in self.whole.companions.items()
        }

    @property
    def map_classes(self) -> Mapping[str, str]:
        """Colour "#rrggbb" of each class of the label maps, by name."""
        return self.whole.map_classes

    def read_examples(self, indices: Tensor) -> dict[str, Tensor]:
        """Return the images at N indices and their companions; see :class:`PackedDataset`."""
        return self.whole.read_examples(indices + self.start)

    def order(self, seed: int, first: int, count: int) -> Tensor:
        """Return the indices (count,) of the images at positions first … first + count - 1."""
        own = getattr(self.whole, "order", None)
        if own is None:
            return order_of(seed, first, count, len(self))
        found: Tensor = own(seed, first, count, (self.start, self.stop))
        return found - self.start

    @cached_property
    def labelled(self) -> Labels | None:
        """The labels of the split's images.

        Raises:
            DatasetError: a class has no image in the split, or the labels are malformed.
        """
        return labels_within(self.whole.labelled, self.start, self.stop, self.folder, self.split)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """Return the data's facts for a model card."""
        facts = {**self.whole.describe(), "digest": self.digest, "images": len(self)}
        return {**facts, **self.labels_fact(with_labels), "split": self.split}


def labels_within(
    labels: Labels | None, start: int, stop: int, folder: Path, split: str
) -> Labels | None:
    """Return the labels of a range of a data set."""
    if labels is None:
        return None
    place = folder / f"{MANIFEST} (split {split})"
    return build_labels(place, list(labels.classes), labels.numbers[start:stop].tolist())


def select_split(dataset: Any, requested: str | None) -> Any:
    """Return the requested split of a data set, or the whole data set.

    Raises:
        DatasetError: it has no such split.
    """
    if not isinstance(dataset, PackedDataset):
        if requested not in (None, ALL):
            raise no_splits_error(dataset.folder, str(requested))
        return dataset
    name = choose_split(dataset.manifest, dataset.folder, requested)
    return SplitDataset(dataset, name) if name else dataset
