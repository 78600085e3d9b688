"""Opens a data set of the kind that its manifest names: packed, streamed, or a folder of images."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facegan.data.dataset import Pixels
from facegan.data.image_folder import (
    ImageFolderDataset,
    OnProgress,
    decode_square,
    find_images,
    is_usable,
    iter_images,
)
from facegan.data.labels import Labels, require_labels
from facegan.data.manifest import MANIFEST, images_root, read_manifest
from facegan.data.packed import PackedDataset, labels_of_packed
from facegan.data.packed_files import read_packed_manifest
from facegan.data.prepare.classes import find_class_root
from facegan.data.prepare.packed_format import check_resolution
from facegan.data.prepare.skip_report import IgnoredFiles
from facegan.data.prepare.sources import Entry, empty_folders
from facegan.data.splits import ALL, choose_split, labels_within, no_splits_error, read_splits
from facegan.data.streamed import OpenFile, StreamedDataset, StreamedPixels
from facegan.errors import DatasetError

logger = logging.getLogger(__name__)


def dataset_kind(folder: Path) -> str:
    """Return the kind of a data set: "folder" (of images), "packed" or "streamed".

    Raises:
        DatasetError: the manifest cannot be read, or names an unknown kind.
    """
    kind = read_manifest(folder).get("kind", "folder")
    if kind not in ("folder", "packed", "streamed"):
        raise DatasetError(
            f"{folder / MANIFEST} names the kind {kind!r}, which this facegan does not know.",
            "Install a newer facegan, or prepare the data set with this one.",
        )
    return str(kind)


def open_dataset(
    folder: Path | str,
    resolution: int,
    on_progress: OnProgress = lambda done: None,
    labels_from: str = "manifest",
    open_file: OpenFile | None = None,
) -> ImageFolderDataset | PackedDataset:
    """Open the data set in a folder; a streamed one is a packed one that is read sequentially.

    Args:
        folder: A folder that ``facegan data`` wrote, or any folder of images.
        resolution: The side of every image, in pixels; a packed data set must have it.
        on_progress: Called with 1 after each image decoded.
        labels_from: The source of labels, "manifest" or "folders".
        open_file: Opens the shards of a streamed data set that are not in the folder.

    Raises:
        DatasetError: see :class:`PackedDataset` and :class:`ImageFolderDataset`.
    """
    kind = dataset_kind(Path(folder))
    if kind == "streamed":
        stream = StreamedPixels.open(Path(folder), resolution, open_file)
        return StreamedDataset(folder, resolution, labels_from, stream)
    if kind == "packed":
        return PackedDataset(folder, resolution, labels_from)
    return ImageFolderDataset(folder, resolution, on_progress, labels_from)


def companions_in(folder: Path) -> tuple[str, ...]:
    """Return the names of a data set's companions; none of a folder of images."""
    if dataset_kind(folder) == "folder":
        return ()
    return tuple(read_packed_manifest(folder).companions)


def check_dataset_resolution(folder: Path, resolution: int) -> None:
    """Raise DatasetError if a packed data set has another resolution; no image is read."""
    if dataset_kind(folder) != "folder":
        check_resolution(folder, read_packed_manifest(folder).resolution, resolution)


def check_split_exists(folder: Path, split: str | None) -> None:
    """Raise DatasetError if a data set lacks a split; a folder without images passes."""
    if dataset_kind(folder) != "folder":
        choose_split(read_packed_manifest(folder), folder, split)
    elif split not in (None, ALL) and has_images(folder):
        raise no_splits_error(folder, str(split))


def has_images(folder: Path) -> bool:
    """Return whether a folder has any image: a host may have received none."""
    return any(iter_images(folder))


def read_required_labels(folder: Path, labels_from: str, split: str | None = None) -> Labels:
    """Return a data set's labels without reading its images.

    Raises:
        DatasetError: there are none, or they are malformed.
    """
    if dataset_kind(folder) == "folder":
        files = find_images(folder)
        if labels_from == "folders":
            files = without_stray_files(images_root(folder), files)
        found = require_labels(folder, files, labels_from)
        if labels_from == "folders":
            log_empty_classes(folder, files, found)
        return found
    manifest = read_packed_manifest(folder)
    labels = labels_of_packed(folder, manifest, labels_from)
    if name := choose_split(manifest, folder, split):
        labels = labels_within(labels, *read_splits(manifest, folder)[name], folder, name)
    if labels is None:
        raise DatasetError(
            f"The data set in {folder} has no labels, which a conditional preset needs.",
            "Prepare the images again, with labels.",
        )
    return labels


def without_stray_files(root: Path, files: list[Path]) -> list[Path]:
    """Return the files in folders of classes, with the first usable file outside them, if any."""
    stray = next((file for file in files if file.parent == root and is_usable(file)), None)
    return [*([stray] if stray else []), *(file for file in files if file.parent != root)]


def log_empty_classes(folder: Path, files: list[Path], labels: Labels) -> None:
    """Log which folders are not classes because they have no images."""
    root = images_root(folder)
    below = find_class_root(Entry(file.relative_to(root).as_posix()) for file in files)
    for line in IgnoredFiles(empty_folders=empty_folders(root / below, labels.classes)).lines():
        logger.warning("%s", line)


def single_images(
    folder: Path, resolution: int, split: str | None = None
) -> tuple[list[Path], Callable[[Path], Pixels]]:
    """Return a path for each image of a data set, and a function that reads one.

    Args:
        folder: The data set's folder.
        resolution: The side of every image, in pixels.
        split: Only the images of this split, if the data set has it.

    Returns:
        The paths, and a function from a path to uint8 (R, R, 3). The path of a packed image is its
        shard's with the image's number appended.

    Raises:
        DatasetError: there are no images; see also :class:`PackedPixels`.
    """
    if dataset_kind(folder) == "folder":
        return find_images(folder), lambda file: decode_square(file, resolution)
    dataset = open_dataset(folder, resolution)
    assert isinstance(dataset, PackedDataset)
    pixels = dataset.pixels
    shards = pixels.manifest.shards
    places = [folder / shard.file / str(row) for shard in shards for row in range(shard.images)]
    index_of = {place: index for index, place in enumerate(places)}
    start, stop = read_splits(pixels.manifest, folder).get(split or ALL, (0, len(places)))
    return places[start:stop], lambda place: pixels.read(np.array([index_of[place]]))[0]
