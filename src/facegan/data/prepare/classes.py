"""Gives each image a class: from its folder, from dataset.json, or from the source (CelebA)."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from facegan.data.prepare.file_filter import MANIFEST
from facegan.data.prepare.names import common_folders, is_undecoded, match_key, nfc
from facegan.data.prepare.packed_format import numbers_by_path
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.sources import Entry, usable_names
from facegan.errors import DatasetError

log = logging.getLogger(__name__)

BACKSLASH = (
    "it is not in a folder, or the backslash in its name separates folders: pack the files again, "
    "with / between folders"
)
UNDECODED = (
    "it is not in a folder, or its folder's name is in an unknown encoding: name it with "
    "--name-encoding"
)
LABELS_HINT = (
    f'{MANIFEST} gives one number per image, "labels": {{"a.png": 0, …}} or '
    '[["a.png", 0], …], or a vector with a single 1. --labels none leaves labels out.'
)


class Classes(Protocol):
    """Gives every image the name of its class."""

    def class_of(self, entry: Entry) -> str | None:
        """Return an image's class; None without labels.

        Raises:
            UnusableError: the image has no class, and others do.
        """

    def ordered(self, seen: set[str]) -> list[str] | None:
        """Return the names of all classes in the order of their numbers; None without labels.

        Args:
            seen: The classes that have images.
        """


class NoClasses:
    """Images without labels."""

    def class_of(self, entry: Entry) -> None:
        """Return None."""

    def ordered(self, seen: set[str]) -> None:
        """Return None."""


def find_class_root(entries: Iterable[Entry]) -> str:
    """Return the folder whose subfolders are the classes: the root, or ``pets/`` of pets/cats/.

    An archive of a folder often has that folder's name in front of every path. Iteration stops as
    soon as two folders of the root hold images.

    Args:
        entries: A source's images.

    Returns:
        The path with a slash at the end; empty for the root.
    """
    depths = set[int]()  # of the folders that hold images

    def names() -> Iterator[str]:
        for name in usable_names(entries):
            depths.add(name.count("/"))
            yield name

    around = common_folders(names())
    if len(around) in depths:  # a folder that holds images itself is a class
        around = around[:-1]
    return around[-1] if around else ""


class FolderClasses:
    """Each folder is a class, with everything below it; classes are ordered by name.

    Args:
        below: The parent of those folders, see :func:`find_class_root`.
    """

    def __init__(self, below: str = "") -> None:
        self.below = below
        self.folder_of: dict[str, str] = {}  # class name → the folder's name on the disk

    def class_of(self, entry: Entry) -> str:
        """Return the name of the image's folder.

        Raises:
            UnusableError: the image is not in a folder.
            DatasetError: two folders' names look the same, or one cannot be printed.
        """
        folder, slash, _ = entry.name.removeprefix(self.below).partition("/")
        if not slash and "\\" in folder:
            raise UnusableError(UNDECODED if is_undecoded(folder) else BACKSLASH)
        if not slash:
            raise UnusableError("it is not in a folder, so it has no class")
        seen = nfc(folder).strip()
        first = self.folder_of.setdefault(seen, folder)
        if first != folder:
            raise DatasetError(
                f"Two classes have one name: the folders {first!a} and {folder!a} both read "
                f"{seen!r}.",
                "Rename one, or put their images together.",
            )
        check_class_name(seen)
        return seen

    def ordered(self, seen: set[str]) -> list[str]:
        """Return the names sorted; warn about names that are one folder on other systems."""
        names = sorted(seen)
        alike: dict[str, str] = {}
        for name in names:
            first = alike.setdefault(name.casefold().rstrip(". "), name)
            if first != name:
                log.warning(
                    "The classes %s and %s differ only in case or in dots at the end: on Windows "
                    "and macOS they would be one folder.",
                    repr(first),
                    repr(name),
                )
        return names


class GivenClasses:
    """The source itself gives each image's class (CelebA)."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def class_of(self, entry: Entry) -> str | None:
        """Return the entry's label."""
        return entry.label

    def ordered(self, seen: set[str]) -> list[str]:
        """Return the names in the source's order."""
        return self.names


class ManifestClasses:
    """``labels`` and ``class_names`` of a dataset.json, as training reads them.

    Args:
        manifest: The JSON object.
        below: The folder in which its paths start, with a slash at the end.

    Raises:
        DatasetError: they are malformed.
    """

    def __init__(self, manifest: dict[str, Any], below: str = "") -> None:
        self.number_of = numbers_by_path(MANIFEST, manifest["labels"], LABELS_HINT)
        self.below = below
        highest = max(self.number_of.values(), default=-1)
        self.names = check_class_names(manifest.get("class_names"), highest, len(self.number_of))

    def class_of(self, entry: Entry) -> str:
        """Return the class that the manifest gives the image's path.

        Raises:
            UnusableError: it gives none.
        """
        number = self.number_of.get(match_key(entry.name.removeprefix(self.below)))
        if number is None:
            first = next(iter(self.number_of), "")
            raise UnusableError(f"{MANIFEST} has no label for it; its first label is for {first!a}")
        return self.names[number]

    def ordered(self, seen: set[str]) -> list[str]:
        """Return the names in the manifest's order."""
        return self.names


def check_class_names(
    names: Any, highest: int, images: int, file: Path | str = MANIFEST
) -> list[str]:
    """Return the names of the classes, or their numbers if a manifest has no names.

    Args:
        names: ``class_names`` of the manifest.
        highest: The highest label.
        images: The number of images.
        file: The manifest, for messages.

    Raises:
        DatasetError: two names are the same, one is empty or cannot be printed, or there are
            fewer names than classes.
    """
    if names is None:  # at most one class per image: do not trust a huge number
        names = [str(number) for number in range(min(highest + 1, images))]
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise DatasetError(
            f"{file}: class_names is not a list of names.",
            'Write it as "class_names": ["cat", "dog", …].',
        )
    for name, count in Counter(names).items():
        check_class_name(name)
        if count > 1:
            raise DatasetError(f"{file}: two classes have the same name, {name!r}.", "Rename one.")
    if highest >= len(names):
        raise DatasetError(
            f"{file}: an image has class {highest}, but the last class is {len(names) - 1}.",
            "Number the classes from 0, without gaps.",
        )
    return names


def check_class_name(name: str) -> None:
    """Raise DatasetError if a class name could not be written into an image's metadata."""
    if is_undecoded(name):
        raise DatasetError(
            f"The class {name!a} cannot be printed: the encoding of its name is unknown.",
            "Rename the folder; for an archive, name the encoding with --name-encoding, for "
            "example cp437, cp932 or gbk.",
        )
    if not name or not name.isprintable():
        raise DatasetError(f"The class {name!a} cannot be printed.", "Rename it.")
