"""Which class each image is of: by its folder, by dataset.json, or by the source (CelebA)."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from facegan.data.prepare.file_filter import MANIFEST
from facegan.data.prepare.names import common_folders, is_undecoded, match_key, nfc
from facegan.data.prepare.packed_format import numbers_by_path
from facegan.data.prepare.pixels import UnusableError
from facegan.data.prepare.sources import Entry, usable_names
from facegan.errors import DatasetError

log = logging.getLogger(__name__)

BACKSLASH = (
    "it lies in no folder: whether the backslash in its name parts folders cannot be known here; "
    "pack the files again, with / between folders"
)
UNDECODED = (
    "it lies in no folder, or its folder is written in an unknown encoding, which "
    "--name-encoding says"
)
LABELS_HINT = (
    f'{MANIFEST} gives one number per image, "labels": {{"a.png": 0, …}} or '
    '[["a.png", 0], …], or a vector with a single 1. --labels none leaves labels out.'
)


class Classes(Protocol):
    """Gives every image the name of its class."""

    def class_of(self, entry: Entry) -> str | None:
        """An image's class; None without classes. Raises UnusableError where it has none."""

    def ordered(self, seen: set[str]) -> list[str] | None:
        """All classes' names, in the order of their numbers, given those that have images."""


class NoClasses:
    """Images without labels."""

    def class_of(self, entry: Entry) -> None:
        """None."""

    def ordered(self, seen: set[str]) -> None:
        """None."""


def find_class_root(entries: Iterable[Entry]) -> str:
    """The folder whose folders are the classes: the root, or one that holds all, as in pets/cats/.

    An archive of a folder often has that folder's name before every path. The look ends as soon as
    images lie in two folders of the root.

    Args:
        entries: A source's images.

    Returns:
        Its path with a slash at the end; empty for the root.
    """
    lies_in = set[int]()  # how deep the images' own folders are

    def names() -> Iterator[str]:
        for name in usable_names(entries):
            lies_in.add(name.count("/"))
            yield name

    around = common_folders(names())
    if len(around) in lies_in:  # a folder with images of its own is a class
        around = around[:-1]
    return around[-1] if around else ""


class FolderClasses:
    """A folder is a class, with all below it, in the order of the names.

    Args:
        below: The folder that holds those folders, as :func:`find_class_root` finds it.
    """

    def __init__(self, below: str = "") -> None:
        self.below = below
        self.folder_of: dict[str, str] = {}  # a name as people see it → as the disk has it

    def class_of(self, entry: Entry) -> str:
        """The folder's name.

        Raises:
            UnusableError: the image lies in none.
            DatasetError: two folders' names look the same, or one cannot be printed.
        """
        folder, slash, _ = entry.name.removeprefix(self.below).partition("/")
        if not slash and "\\" in folder:
            raise UnusableError(UNDECODED if is_undecoded(folder) else BACKSLASH)
        if not slash:
            raise UnusableError("it lies in no folder, so it has no class")
        seen = nfc(folder).strip()
        first = self.folder_of.setdefault(seen, folder)
        if first != folder:
            raise DatasetError(
                f"Two classes have one name: the folders {first!a} and {folder!a} are both "
                f"written {seen!r}.",
                "Rename one, or put their images together.",
            )
        check_class_name(seen)
        return seen

    def ordered(self, seen: set[str]) -> list[str]:
        """Sorted; those that are one folder on other systems are told."""
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
    """The source says each image's class itself (CelebA)."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def class_of(self, entry: Entry) -> str | None:
        """As the entry has it."""
        return entry.label

    def ordered(self, seen: set[str]) -> list[str]:
        """As the source has them."""
        return self.names


class ManifestClasses:
    """``labels`` and ``class_names`` of a dataset.json, as training reads them.

    Args:
        manifest: What the file says.
        below: The folder that its paths start at, with a slash at the end.

    Raises:
        DatasetError: they are not what they should be.
    """

    def __init__(self, manifest: dict[str, Any], below: str = "") -> None:
        self.number_of = numbers_by_path(MANIFEST, manifest["labels"], LABELS_HINT)
        self.below = below
        highest = max(self.number_of.values(), default=-1)
        self.names = check_class_names(manifest.get("class_names"), highest, len(self.number_of))

    def class_of(self, entry: Entry) -> str:
        """The name of the class that the manifest gives a path.

        Raises:
            UnusableError: it gives none.
        """
        number = self.number_of.get(match_key(entry.name.removeprefix(self.below)))
        if number is None:
            first = next(iter(self.number_of), "")
            raise UnusableError(f"{MANIFEST} gives it no label; the first it has is of {first!a}")
        return self.names[number]

    def ordered(self, seen: set[str]) -> list[str]:
        """As the manifest has them."""
        return self.names


def check_class_names(names: Any, highest: int, images: int) -> list[str]:
    """The classes' names; their numbers where there are no names.

    Raises:
        DatasetError: two are the same, one is empty, or they end before the highest label.
    """
    if names is None:  # more classes than images cannot be: do not believe a huge number
        names = [str(number) for number in range(min(highest + 1, images))]
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise DatasetError(f"{MANIFEST}: class_names is no list of names.")
    for name, count in Counter(names).items():
        check_class_name(name)
        if count > 1:
            raise DatasetError(f"{MANIFEST}: two classes have one name, {name!r}.", "Rename one.")
    if highest >= len(names):
        raise DatasetError(
            f"{MANIFEST}: an image is of class {highest}, but the classes end with "
            f"{len(names) - 1}.",
            "Count the classes from 0, without gaps.",
        )
    return names


def check_class_name(name: str) -> None:
    """Refuse a class's name that could not stand in an image's metadata."""
    if is_undecoded(name):
        raise DatasetError(
            f"The class {name!a} cannot be printed: its letters are of no known encoding.",
            "Rename the folder; of an archive, say how its names are written by --name-encoding, "
            "as cp437, cp932 or gbk.",
        )
    if not name or not name.isprintable():
        raise DatasetError(f"The class {name!a} cannot be printed.", "Rename it.")
