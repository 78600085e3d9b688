"""Which class each picture is of: by its folder, by the source's dataset.json, or as it is told."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from typing import Any, Protocol

from facegan.errors import DatasetError
from facegan.preparing.pixels import UnusableError
from facegan.preparing.sources import MANIFEST, Entry

MEND = f'In {MANIFEST}, "labels" is {{"a.png": 0, …}} or [["a.png", 0], …].'


class Classes(Protocol):
    """Gives every picture the name of its class."""

    def class_of(self, entry: Entry) -> str | None:
        """A picture's class; None without classes. Raises UnusableError where it has none."""

    def in_order(self, seen: set[str]) -> list[str] | None:
        """All classes' names, in the order of their numbers, given those that have pictures."""


class NoClasses:
    """Pictures without labels."""

    def class_of(self, entry: Entry) -> None:
        """None."""

    def in_order(self, seen: set[str]) -> None:
        """None."""


def folder_of_classes(entries: Iterable[Entry]) -> str:
    """The folder whose folders are the classes: the root, or one that holds all, as in pets/cats/.

    An archive of a folder often has that folder's name before every path. The look ends as soon as
    pictures lie in two folders of the root.

    Args:
        entries: A source's pictures.

    Returns:
        Its path with a slash at the end; empty for the root.
    """
    common: list[str] | None = None
    lies_in = set[int]()  # how deep the pictures' own folders are
    for entry in entries:
        folders = entry.name.split("/")[:-1]
        if entry.problem or folders[:1] == ["__MACOSX"]:  # what macOS adds to its zips
            continue
        pairs = zip(folders if common is None else common, folders, strict=False)
        common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        lies_in.add(len(folders))
        if not common:
            return ""
    if not common:
        return ""
    depth = len(common) - (len(common) in lies_in)  # a folder with pictures of its own is a class
    return "".join(folder + "/" for folder in common[:depth])


class FolderClasses:
    """A folder is a class, with all below it, in the order of the names.

    Args:
        below: The folder that holds those folders, as :func:`folder_of_classes` finds it.
    """

    def __init__(self, below: str = "") -> None:
        self.below = below
        self.folder_of: dict[str, str] = {}  # a name as people see it → as the disk has it

    def class_of(self, entry: Entry) -> str:
        """The folder's name.

        Raises:
            UnusableError: the picture lies in none.
            DatasetError: two folders' names look the same, or one cannot be printed.
        """
        folder, slash, _ = entry.name.removeprefix(self.below).partition("/")
        if not slash:
            raise UnusableError("it lies in no folder, so it has no class")
        seen = unicodedata.normalize("NFC", folder).strip()
        first = self.folder_of.setdefault(seen, folder)
        if first != folder:
            raise DatasetError(
                f"Two classes have one name: the folders {first!a} and {folder!a} are both "
                f"written {seen!r}.",
                "Rename one, or put their pictures together.",
            )
        check_name(seen)
        return seen

    def in_order(self, seen: set[str]) -> list[str]:
        """Sorted."""
        return sorted(seen)


class GivenClasses:
    """The source says each picture's class itself (CelebA)."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def class_of(self, entry: Entry) -> str | None:
        """As the entry has it."""
        return entry.label

    def in_order(self, seen: set[str]) -> list[str]:
        """As the source has them."""
        return self.names


class ManifestClasses:
    """``labels`` and ``class_names`` of a dataset.json, as training reads them.

    Raises:
        DatasetError: they are not what they should be.
    """

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.number_of = numbers_by_path(manifest["labels"])
        self.below = str(manifest.get("images_folder", ".")).strip("/")
        highest = max(self.number_of.values(), default=-1)
        self.names = check_names(manifest.get("class_names"), highest, len(self.number_of))

    def class_of(self, entry: Entry) -> str:
        """The name of the class that the manifest gives a path.

        Raises:
            UnusableError: it gives none.
        """
        prefix = "" if self.below == "." else self.below + "/"
        number = self.number_of.get(entry.name.removeprefix(prefix))
        if number is None:
            raise UnusableError(f"{MANIFEST} gives it no label")
        return self.names[number]

    def in_order(self, seen: set[str]) -> list[str]:
        """As the manifest has them."""
        return self.names


def numbers_by_path(labels: Any) -> dict[str, int]:
    """Both forms of a manifest's labels as one mapping."""
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    try:
        found = {str(path): number for path, number in pairs}
    except (TypeError, ValueError):
        raise DatasetError(
            f"{MANIFEST}: labels is no mapping and no list of pairs.", MEND
        ) from None
    if len(found) < len(pairs):
        raise DatasetError(f"{MANIFEST}: a picture has two labels.", "Give each picture one.")
    for path, number in found.items():
        if type(number) is not int or number < 0:
            raise DatasetError(f"{MANIFEST}: the label of {path} is {number!r}.", "Count from 0.")
    return found


def check_names(names: Any, highest: int, pictures: int) -> list[str]:
    """The classes' names; their numbers where there are no names.

    Raises:
        DatasetError: two are the same, one is none, or they end before the highest label.
    """
    if names is None:  # more classes than pictures cannot be: do not believe a huge number
        names = [str(number) for number in range(min(highest + 1, pictures))]
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise DatasetError(f"{MANIFEST}: class_names is no list of names.")
    for name, count in Counter(names).items():
        check_name(name)
        if count > 1:
            raise DatasetError(f"{MANIFEST}: two classes have one name, {name!r}.", "Rename one.")
    if highest >= len(names):
        raise DatasetError(
            f"{MANIFEST}: a picture is of class {highest}, but the classes end with "
            f"{len(names) - 1}.",
            "Count the classes from 0, without gaps.",
        )
    return names


def check_name(name: str) -> None:
    """Refuse a class's name that could not stand in a picture's metadata."""
    if not name or not name.isprintable():
        raise DatasetError(f"The class {name!a} cannot be printed.", "Rename it.")


def parse_manifest(content: bytes | None) -> dict[str, Any]:
    """A source's dataset.json; empty where there is none.

    Raises:
        DatasetError: it is no JSON.
    """
    if content is None:
        return {}
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as cause:
        raise DatasetError(f"The source's {MANIFEST} cannot be read: {cause}.") from cause
    return manifest if isinstance(manifest, dict) else {}
