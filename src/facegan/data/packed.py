"""Opens a packed data set for training; images can be read in any order."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facegan.data.labels import Labels, LabelsMixin, build_labels
from facegan.data.manifest import MANIFEST, data_name
from facegan.data.packed_files import (
    OnProgress,
    PackedManifest,
    PackedPixels,
    PixelSource,
    read_label_numbers,
)
from facegan.data.prepare.classes import check_class_names
from facegan.data.prepare.packed_format import AGAIN
from facegan.errors import DatasetError

LABELS_ARE_PACKED = (
    "Leave --labels out: a packed data set has the classes that it was prepared with. For other "
    "classes, prepare the images again."
)


class PackedDataset(LabelsMixin):
    """A data set that ``facegan data prepare`` wrote.

    Opening it decodes nothing and reads little. All processes of a host share the system's cache
    of the shards.

    Args:
        folder: The data set's folder.
        resolution: The expected resolution; None accepts any.
        labels_from: "manifest": a packed data set has no folders that could be classes.
        pixels: The pixels with their manifest, if they do not come from the folder.

    Raises:
        DatasetError: the manifest is malformed, a shard is missing or has another shape, or the
            resolution is not the requested one.
    """

    def __init__(
        self,
        folder: Path | str,
        resolution: int | None = None,
        labels_from: str = "manifest",
        pixels: PixelSource | None = None,
    ) -> None:
        self.folder, self.labels_from = Path(folder), labels_from
        self.pixels = pixels if pixels is not None else PackedPixels.open(self.folder, resolution)
        self.manifest = self.pixels.manifest
        self.resolution, self.digest = self.manifest.resolution, self.manifest.digest

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image; (1, H, W) of label maps."""
        return (self.manifest.channels, self.resolution, self.resolution)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, C, H, W) at N indices, with channels last in memory."""
        return torch.from_numpy(self.pixels.read(indices.numpy())).permute(0, 3, 1, 2)

    @cached_property
    def companions(self) -> Mapping[str, "PackedDataset"]:
        """The data sets that accompany this one, opened on first use.

        ``paired`` and ``label_maps`` have one image per image of this data set, at the same index;
        ``unpaired`` has its own length.

        Raises:
            DatasetError: one is missing, or is not the one that was written.
        """
        return {name: open_companion(self, name) for name in self.manifest.companions}

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the classes in label maps; empty for images."""
        return tuple(self.manifest.facts.get("label_names", ()))

    @property
    def map_classes(self) -> Mapping[str, str]:
        """Colour "#rrggbb" of each class of the label maps, by name; empty without label maps."""
        if "label_maps" not in self.manifest.companions:
            return {}
        maps = self.companions["label_maps"]
        return dict(zip(maps.label_names, maps.manifest.facts["palette"], strict=True))

    def read_examples(self, indices: Tensor) -> dict[str, Tensor]:
        """Return the images at N indices and their aligned companions, as a batch.

        Returns:
            uint8 ``images`` (N, 3, H, W), and of each aligned companion ``paired`` (N, 3, H, W) or
            ``label_maps`` (N, 1, H, W).
        """
        aligned = {
            name: dataset
            for name, dataset in self.companions.items()
            if self.manifest.companions[name]["aligned"]
        }
        modalities = {"images": self, **aligned}
        return {name: dataset.read(indices) for name, dataset in modalities.items()}

    def verify(self, on_progress: OnProgress = lambda images: None) -> None:
        """Compare every byte with the digests.

        Raises:
            DatasetError: a digest differs; the message names the damaged shards.
        """
        self.pixels.verify(on_progress)

    @cached_property
    def labelled(self) -> Labels | None:
        """The labels, read on first use.

        Raises:
            DatasetError: they are malformed.
        """
        return labels_of_packed(self.folder, self.manifest, self.labels_from)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """Return the data's facts for a model card."""
        facts = self.manifest.facts
        protocol = facts.get("protocol") or {}
        name = data_name(self.folder, facts)
        return {
            "name": name,
            "digest": self.digest,
            "resolution": self.resolution,
            **self.labels_fact(with_labels),
            "images": len(self),
            "skipped": facts.get("skipped", 0),
            "crop": protocol.get("crop", "unknown crop"),
            "resize_filter": protocol.get("filter", "unknown filter"),
        }


def open_companion(dataset: PackedDataset, name: str) -> PackedDataset:
    """Open a companion of a data set.

    Raises:
        DatasetError: it is missing, has another length, or is not the one that was written.
    """
    entry = dataset.manifest.companions[name]
    found = PackedDataset(dataset.folder / entry["folder"], dataset.resolution)
    is_short = entry["aligned"] and len(found) != len(dataset)
    if found.digest != entry["digest"] or is_short:
        raise DatasetError(
            f"{found.folder} is not the {name} data set that {dataset.folder} was made with.", AGAIN
        )
    return found


def labels_of_packed(
    folder: Path, manifest: PackedManifest, labels_from: str = "manifest"
) -> Labels | None:
    """Return the labels of a packed data set; None if it has none.

    Args:
        folder: The data set's folder.
        manifest: Its manifest.
        labels_from: Must be "manifest".

    Raises:
        DatasetError: labels from elsewhere are requested, or the labels are malformed.
    """
    if labels_from != "manifest":
        raise DatasetError(
            f"The data set in {folder} is packed: it has no {labels_from} to read classes from.",
            LABELS_ARE_PACKED,
        )
    numbers = read_label_numbers(folder, manifest)
    if numbers is None:
        return None
    file, listed = folder / MANIFEST, numbers.tolist()
    names = check_class_names(manifest.facts.get("class_names"), max(listed), len(listed), file)
    return build_labels(file, names, listed)
