"""A packed data set to train on: shards mapped into memory, read in any order at memory speed."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facegan.data.labels import Labels, LabelsMixin, build_labels, class_names
from facegan.data.manifest import MANIFEST, data_name
from facegan.data.packed_files import (
    Numbers,
    OnProgress,
    PackedManifest,
    PackedPixels,
    PixelSource,
    read_label_numbers,
)
from facegan.data.prepare.packed_format import AGAIN
from facegan.errors import DatasetError

LABELS_ARE_PACKED = (
    "Leave labels out: a packed data set has the classes that it was prepared with. For others, "
    "prepare the images again."
)


class PackedDataset(LabelsMixin):
    """What ``facegan data prepare`` wrote.

    Nothing is decoded and little is read when it is opened. All processes of a host share the
    pages that the system keeps of the shards.

    Args:
        folder: The data set's.
        resolution: What is expected; None takes what there is.
        labels_from: "manifest": a packed data set has no folders to name classes.
        pixels: The pixels and manifest, where they come from elsewhere than the folder.
        numbers: The labels, where they do.

    Raises:
        DatasetError: the manifest is not what it should be; a shard is missing, short or foreign;
            or the resolution is another.
    """

    def __init__(
        self,
        folder: Path | str,
        resolution: int | None = None,
        labels_from: str = "manifest",
        pixels: PixelSource | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        self.folder, self.labels_from = Path(folder), labels_from
        self.pixels = pixels if pixels is not None else PackedPixels.open(self.folder, resolution)
        self.manifest = self.pixels.manifest
        self.resolution, self.digest = self.manifest.resolution, self.manifest.digest
        self.numbers = numbers

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image; of label maps (1, H, W)."""
        return (self.manifest.channels, self.resolution, self.resolution)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, C, H, W) at N indices; in memory as on the disk: channels last."""
        return torch.from_numpy(self.pixels.read(indices.numpy())).permute(0, 3, 1, 2)

    @cached_property
    def companions(self) -> Mapping[str, "PackedDataset"]:
        """The data sets that belong to this one, opened when they are first asked for.

        ``paired`` and ``label_maps`` have an image for each of this one's, at its index;
        ``unpaired`` has a length of its own.

        Raises:
            DatasetError: one is missing, or another than the one that was written.
        """
        return {name: open_companion(self, name) for name in self.manifest.companions}

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the numbers in label maps mean; empty of images."""
        return tuple(self.manifest.facts.get("label_names", ()))

    @property
    def map_classes(self) -> Mapping[str, str]:
        """Colour "#rrggbb" of each class of the label maps, by name; empty without label maps."""
        if "label_maps" not in self.manifest.companions:
            return {}
        maps = self.companions["label_maps"]
        return dict(zip(maps.label_names, maps.manifest.facts["palette"], strict=True))

    def read_examples(self, indices: Tensor) -> dict[str, Tensor]:
        """The images at N indices and all that belongs to each, as a batch.

        Returns:
            ``images`` (N, 3, H, W) and of each companion that has an image an image its own, uint8:
            ``paired`` (N, 3, H, W), ``label_maps`` (N, 1, H, W).
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
            DatasetError: some differ; the damaged shards are named.
        """
        self.pixels.verify(on_progress)

    @cached_property
    def labelled(self) -> Labels | None:
        """The labels, read when they are first asked for.

        Raises:
            DatasetError: they are not what they should be.
        """
        return labels_of_packed(self.folder, self.manifest, self.labels_from, self.numbers)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """What a model card says of the data."""
        said = self.manifest.facts
        protocol = said.get("protocol") or {}
        name = data_name(self.folder, said)
        return {
            "name": name,
            "digest": self.digest,
            "resolution": self.resolution,
            **self.labels_fact(with_labels),
            "images": len(self),
            "skipped": said.get("skipped", 0),
            "crop": protocol.get("crop", "unknown crop"),
            "resize_filter": protocol.get("filter", "unknown filter"),
        }


def open_companion(dataset: PackedDataset, name: str) -> PackedDataset:
    """A data set that belongs to another.

    Raises:
        DatasetError: it is missing, of another length, or another than the one that was written.
    """
    said = dataset.manifest.companions[name]
    found = PackedDataset(dataset.folder / said["folder"], dataset.resolution)
    is_short = said["aligned"] and len(found) != len(dataset)
    if found.digest != said["digest"] or is_short:
        raise DatasetError(
            f"{found.folder} is not the {name} data set that {dataset.folder} was made with.", AGAIN
        )
    return found


def labels_of_packed(
    folder: Path,
    manifest: PackedManifest,
    labels_from: str = "manifest",
    numbers: Numbers | None = None,
) -> Labels | None:
    """The labels of a packed data set; None where it has none.

    Args:
        folder: The data set's.
        manifest: Its manifest.
        labels_from: Only "manifest" will do.
        numbers: The labels, where they are not read from the folder.

    Raises:
        DatasetError: other labels are asked for, or they are not what they should be.
    """
    if labels_from != "manifest":
        raise DatasetError(
            f"The data set in {folder} is packed: it has no {labels_from} to tell classes by.",
            LABELS_ARE_PACKED,
        )
    if numbers is None:
        numbers = read_label_numbers(folder, manifest)
    if numbers is None:
        return None
    file, listed = folder / MANIFEST, numbers.tolist()
    names = class_names(file, manifest.facts.get("class_names"), listed)
    return build_labels(file, names, listed)
