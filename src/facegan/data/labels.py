"""Reads the class of each image from dataset.json, or from folder names if requested.

There are two sources, and nothing is guessed from the layout of the files:

* ``manifest``: ``"labels"`` in dataset.json gives each image the number of its class, from 0:
  ``{"a.png": 1, …}``, or ``[["a.png", 1], …]`` as StyleGAN's tools write it. Paths are relative to
  the images' folder; the file may be in a folder that holds all images. ``"class_names"`` names the
  classes; without it they are called 0, 1, 2 …
* ``folders``: each subfolder of the data folder is a class, in the order of their names. If
  everything is in one folder, its subfolders are the classes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facegan.data.manifest import MANIFEST, images_root
from facegan.data.prepare.classes import FolderClasses, check_class_names, find_class_root
from facegan.data.prepare.names import match_key
from facegan.data.prepare.packed_format import numbers_by_path
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.skip_report import printable
from facegan.data.prepare.source_manifest import find_manifest, manifest_root
from facegan.data.prepare.sources import Entry, FolderSource
from facegan.errors import ConfigError, DatasetError, did_you_mean

SOURCES = ("manifest", "folders")
LABELS_HINT = (
    f'Write "labels": {{"a.png": 0, "b.png": 1, …}} into {MANIFEST}, sort the images into one '
    "folder per class and add --labels folders, or draw labelled faces: facegan data toy --labels."
)


@dataclass(frozen=True)
class Labels:
    """A data set's labels."""

    numbers: Tensor  # int64 (N,): each image's class, an index into `classes`
    classes: dict[str, int]  # name → number of images

    @property
    def digest(self) -> str:
        """sha256 of the names and of every image's label, in order."""
        names = json.dumps(list(self.classes)).encode()
        return hashlib.sha256(names + self.numbers.numpy().tobytes()).hexdigest()


class LabelsMixin:
    """The labels half of a :class:`Dataset`, read on first use."""

    @property
    def labelled(self) -> Labels | None:
        """The labels, None without any; each format reads its own.

        Raises:
            DatasetError: they are malformed.
        """
        raise NotImplementedError

    @property
    def labels(self) -> Tensor | None:
        """int64 (N,): each image's class, an index into ``classes``; None without labels."""
        return self.labelled.numbers if self.labelled else None

    @property
    def classes(self) -> Mapping[str, int]:
        """Class → number of images; empty without labels."""
        return self.labelled.classes if self.labelled else {}

    def labels_fact(self, is_wanted: bool) -> dict[str, str]:
        """Return the digest of the labels for a model card, if wanted and if there are labels."""
        return {"labels_digest": self.labelled.digest} if is_wanted and self.labelled else {}


def read_labels(folder: Path, files: list[Path], source: str) -> Labels | None:
    """Return the labels of some images of a folder; None if its manifest has no labels.

    Raises:
        ConfigError: the source is neither ``manifest`` nor ``folders``.
        DatasetError: an image has no label, a class has no image, or the labels are malformed.
    """
    if source not in SOURCES:
        raise ConfigError(f"labels is {source!r}.", did_you_mean(source, SOURCES, "sources"))
    root = images_root(folder)
    paths = [file.relative_to(root) for file in files]
    if source == "folders":
        return labels_of_folders(folder, paths)
    found = find_manifest(FolderSource(folder))  # perhaps in a folder that holds all images
    if found.facts.get("labels") is None:
        return None
    below = "" if found.is_ours and not found.folder else manifest_root(found)
    place = folder / found.folder / MANIFEST
    return labels_of_manifest(place, found.facts, paths, below)


def require_labels(folder: Path, files: list[Path], source: str) -> Labels:
    """Return the labels of some images of a folder.

    Raises:
        DatasetError: there are none, and the hint says how to add some; or see `read_labels`.
    """
    labels = read_labels(folder, files, source)
    if labels is None:
        message = f"The data folder {folder} has no labels, which a conditional preset needs."
        raise DatasetError(message, "\n".join([*unused_manifests(folder), LABELS_HINT]))
    return labels


def unused_manifests(folder: Path) -> list[str]:
    """Return a line about a dataset.json in a place where none is read, if there is one."""
    source = FolderSource(folder)
    for _ in source.entries():
        pass
    names = sorted(source.ignored.manifests - {MANIFEST})
    rule = "Labels are read only from a dataset.json beside or above all images."
    return [f"Not used: {printable(name)}. {rule}" for name in names[:1]]


def labels_of_folders(folder: Path, paths: list[Path]) -> Labels:
    """Return labels with one class per folder, as ``facegan data prepare`` finds them.

    Raises:
        DatasetError: an image is not in a folder.
    """
    entries = [Entry(path.as_posix()) for path in paths]
    classes, found = FolderClasses(find_class_root(entries)), []
    for entry in entries:
        try:
            found.append(classes.class_of(entry))
        except UnusableError:
            raise DatasetError(
                f"{entry.name} is not in a subfolder of {folder}, so it has no class.",
                "Move every image into the folder of its class.",
            ) from None
    names = classes.ordered(set(found))
    number_of = {name: number for number, name in enumerate(names)}
    return build_labels(folder, names, [number_of[name] for name in found])


def labels_of_manifest(
    file: Path, manifest: dict[str, Any], paths: list[Path], below: str = ""
) -> Labels:
    """Return the labels that a manifest gives to images; it may list other files too.

    Args:
        file: The manifest's path, for messages.
        manifest: The JSON object.
        paths: The images' paths, relative to the data folder.
        below: The folder in which the manifest's paths start, with a slash at the end.

    Raises:
        DatasetError: an image has no label, or the labels are malformed.
    """
    number_of = numbers_by_path(file, manifest["labels"], LABELS_HINT)
    numbers = []
    for path in paths:
        number = number_of.get(match_key(path.as_posix().removeprefix(below)))
        if number is None:
            raise DatasetError(f"{file}: the image {path} has no label.", LABELS_HINT)
        numbers.append(number)
    names = check_class_names(manifest.get("class_names"), max(numbers), len(numbers), file)
    return build_labels(file, names, numbers)


def build_labels(place: Path, names: list[str], numbers: list[int]) -> Labels:
    """Return labels with the number of images of each class.

    Raises:
        DatasetError: a class has no image.
    """
    tensor = torch.tensor(numbers, dtype=torch.int64)
    counts = torch.bincount(tensor, minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if count == 0:
            raise DatasetError(
                f"{place}: the class {name!r} has no images, so it cannot be learned.",
                "Number the classes without gaps, and name only those that have images.",
            )
    return Labels(tensor, dict(zip(names, counts, strict=True)))
