"""Which class each image is of: said by dataset.json, or by folders' names where that is asked.

Two sources, and nothing is guessed from how files happen to lie:

* ``manifest``: ``"labels"`` of dataset.json gives every image the number of its class, from 0:
  ``{"a.png": 1, …}``, or ``[["a.png", 1], …]`` as StyleGAN's tools write it. Paths start at the
  images' folder; the file may lie in a folder around all images. ``"class_names"`` names the
  classes; without it they are called 0, 1, 2 …
* ``folders``: the folders in the data folder are the classes, in the order of their names; or,
  where all lie in one folder, those in that one.
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
from facegan.data.prepare.classes import FolderClasses, find_class_root
from facegan.data.prepare.names import match_key
from facegan.data.prepare.packed_format import numbers_by_path
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.skip_report import printable
from facegan.data.prepare.source_manifest import find_manifest, manifest_root
from facegan.data.prepare.sources import Entry, FolderSource
from facegan.errors import ConfigError, DatasetError, did_you_mean

SOURCES = ("manifest", "folders")
LABELS_HINT = (
    f'Write "labels": {{"a.png": 0, "b.png": 1, …}} into {MANIFEST}, sort the images into a '
    "folder a class and add --labels folders, or draw labelled faces: facegan data toy --labels."
)


@dataclass(frozen=True)
class Labels:
    """A data set's labels."""

    numbers: Tensor  # int64 (N,): each image's class, by its place in `classes`
    classes: dict[str, int]  # name → how many images

    @property
    def digest(self) -> str:
        """sha256 of the names and of every image's label, in order."""
        names = json.dumps(list(self.classes)).encode()
        return hashlib.sha256(names + self.numbers.numpy().tobytes()).hexdigest()


class LabelsMixin:
    """What a data set says of its labels, by those that it reads when they are first asked for."""

    @property
    def labelled(self) -> Labels | None:
        """The labels; None where there are none: each format reads its own.

        Raises:
            DatasetError: they are not what they should be.
        """
        raise NotImplementedError

    @property
    def labels(self) -> Tensor | None:
        """int64 (N,): each image's class, by its place in ``classes``; None without labels."""
        return self.labelled.numbers if self.labelled else None

    @property
    def classes(self) -> Mapping[str, int]:
        """How many images are of each class; empty without labels."""
        return self.labelled.classes if self.labelled else {}

    def labels_fact(self, is_wanted: bool) -> dict[str, str]:
        """What a model card says of the labels, where it is wanted and there are some."""
        return {"labels_digest": self.labelled.digest} if is_wanted and self.labelled else {}


def read_labels(folder: Path, files: list[Path], source: str) -> Labels | None:
    """The labels of some of a folder's images; None where its manifest gives none.

    Raises:
        ConfigError: the source is neither ``manifest`` nor ``folders``.
        DatasetError: an image has no label, a class no image, or the labels are no such list.
    """
    if source not in SOURCES:
        raise ConfigError(f"labels is {source!r}.", did_you_mean(source, SOURCES, "sources"))
    root = images_root(folder)
    paths = [file.relative_to(root) for file in files]
    if source == "folders":
        return labels_of_folders(folder, paths)
    found = find_manifest(FolderSource(folder))  # in a folder around all images, perhaps
    if found.facts.get("labels") is None:
        return None
    below = "" if found.is_ours and not found.folder else manifest_root(found)
    place = folder / found.folder / MANIFEST
    return labels_of_manifest(place, found.facts, paths, below)


def require_labels(folder: Path, files: list[Path], source: str) -> Labels:
    """The same where they are needed.

    Raises:
        DatasetError: also where there are none; the hint says how to get some.
    """
    labels = read_labels(folder, files, source)
    if labels is None:
        message = f"The data folder {folder} has no labels, which a conditional preset needs."
        raise DatasetError(message, "\n".join([*unused_manifests(folder), LABELS_HINT]))
    return labels


def unused_manifests(folder: Path) -> list[str]:
    """A line that names a dataset.json that lies where none is read, if there is one."""
    source = FolderSource(folder)
    for _ in source.entries():
        pass
    names = sorted(source.ignored.manifests - {MANIFEST})
    beside = "Labels are read of the one that lies beside or above all images."
    return [f"Not used: {printable(name)}. {beside}" for name in names[:1]]


def labels_of_folders(folder: Path, paths: list[Path]) -> Labels:
    """A class a folder, as ``facegan data prepare`` finds them."""
    entries = [Entry(path.as_posix()) for path in paths]
    classes, found = FolderClasses(find_class_root(entries)), []
    for entry in entries:
        try:
            found.append(classes.class_of(entry))
        except UnusableError:
            raise DatasetError(
                f"{entry.name} lies in no folder of {folder}, so it has no class.",
                "Sort every image into the folder of its class.",
            ) from None
    names = classes.ordered(set(found))
    number_of = {name: number for number, name in enumerate(names)}
    return build_labels(folder, names, [number_of[name] for name in found])


def labels_of_manifest(
    file: Path, manifest: dict[str, Any], paths: list[Path], below: str = ""
) -> Labels:
    """The labels that a manifest gives to images; those of other files do not matter.

    Args:
        file: The manifest's, for messages.
        manifest: What it says.
        paths: The images', from the data folder on.
        below: The folder that the manifest's own paths start at, with a slash at the end.
    """
    number_of = numbers_by_path(file, manifest["labels"], LABELS_HINT)
    numbers = []
    for path in paths:
        number = number_of.get(match_key(path.as_posix().removeprefix(below)))
        if number is None:
            raise DatasetError(f"{file}: the image {path} has no label.", LABELS_HINT)
        numbers.append(number)
    return build_labels(file, class_names(file, manifest.get("class_names"), numbers), numbers)


def class_names(file: Path, names: Any, numbers: list[int]) -> list[str]:
    """The manifest's names of the classes; their numbers where it has none.

    Raises:
        DatasetError: they are no list of different names, or end before the last class.
    """
    last = max(numbers)
    if names is None:  # more classes than images cannot be: do not believe a huge number
        names = [str(number) for number in range(min(last, len(numbers)) + 1)]
    if not is_list_of_names(names):
        raise DatasetError(f"{file}: class_names is no list of different names.", "Name each once.")
    if last >= len(names):
        raise DatasetError(
            f"{file}: an image is of class {last}, but the classes end with {len(names) - 1}.",
            "Count the classes from 0, without gaps.",
        )
    return list(names)


def is_list_of_names(names: Any) -> bool:
    """Whether it is a list of texts, none empty and none twice."""
    return (
        isinstance(names, list)
        and all(isinstance(name, str) and name for name in names)
        and len(set(names)) == len(names)
    )


def build_labels(place: Path, names: list[str], numbers: list[int]) -> Labels:
    """Labels with the number of images of each class, of which none may be empty.

    Raises:
        DatasetError: one is, or a name cannot be printed into an image's metadata.
    """
    tensor = torch.tensor(numbers, dtype=torch.int64)
    counts = torch.bincount(tensor, minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if not name.isprintable():
            raise DatasetError(f"{place}: {name!a} cannot be printed.", "Rename the class.")
        if count == 0:
            raise DatasetError(
                f"{place}: no image is of the class {name!r}, so it cannot be learned.",
                "Count the classes without gaps, and name those only that have images.",
            )
    return Labels(tensor, dict(zip(names, counts, strict=True)))
