"""Reads CelebA as downloaded: attributes become labels, the official partition becomes splits.

Layout: ``img_align_celeba/`` or ``img_align_celeba.zip`` beside ``list_attr_celeba.txt`` and
``list_eval_partition.txt``, all in one folder or in ``Img/``, ``Anno/`` and ``Eval/``
(https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html). Either list may be missing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from facegan.data.prepare.skip_report import IgnoredFiles
from facegan.data.prepare.sources import Entry, FolderSource, Source, ZipSource
from facegan.errors import ConfigError, DatasetError, did_you_mean

ATTRIBUTES, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"
IMAGES = ("img_align_celeba", "img_align_celeba.zip")
SPLITS = ("train", "validation", "test")  # 0, 1, 2 in the partition's file


def is_celeba(folder: Path) -> bool:
    """Return whether a folder has CelebA's layout."""
    has_lists = find_below(folder, ATTRIBUTES) or find_below(folder, PARTITION)
    return bool(has_lists and any(find_below(folder, name) for name in IMAGES))


def find_below(folder: Path, name: str) -> Path | None:
    """Return the path of a file or folder of CelebA; None if it does not exist."""
    places = (folder, *(folder / part for part in ("Img", "Anno", "Eval")))
    return next((place / name for place in places if (place / name).exists()), None)


class CelebASource:
    """CelebA's images, split by split, with the class that one attribute gives each.

    Args:
        folder: A folder for which :func:`is_celeba` is true.
        attribute: The attribute whose absence and presence are the two classes; None: no labels.

    Raises:
        ConfigError: there is no such attribute.
        DatasetError: a list is missing or malformed.
    """

    readers = 1
    everything = False

    def __init__(self, folder: Path, attribute: str | None = None) -> None:
        images = next(path for name in IMAGES if (path := find_below(folder, name)))
        self.inner: Source = FolderSource(images) if images.is_dir() else ZipSource(images)
        self.name = folder.resolve().name
        partition, attributes = find_below(folder, PARTITION), find_below(folder, ATTRIBUTES)
        self.split_of = read_partition(partition) if partition else {}
        self.class_of: dict[str, bool] = {}
        self.class_names: list[str] | None = None
        if attribute is not None:
            if attributes is None:
                raise DatasetError(
                    f"{folder} has no {ATTRIBUTES}, which labels by attribute need.",
                    "Download it beside the images, or leave --labels out.",
                )
            self.class_of = read_attribute(attributes, attribute)
            self.class_names = [f"not {attribute}", attribute]

    def entries(self) -> Iterator[Entry]:
        """Yield the images, split by split, each in the order of the names."""
        self.inner.everything = self.everything
        found = (self.complete_example(entry) for entry in self.inner.entries())
        yield from sorted(found, key=lambda entry: SPLITS.index(entry.split or SPLITS[-1]))

    @property
    def ignored(self) -> IgnoredFiles:
        """Files in the images' folder that are not images."""
        return self.inner.ignored

    def complete_example(self, entry: Entry) -> Entry:
        """Add the split and label to an entry, or a problem if a list does not name its file."""
        name = PurePosixPath(entry.name).name
        split = self.split_of.get(name)
        if self.split_of and split is None:
            return replace(entry, problem=entry.problem or f"{PARTITION} does not name it")
        if self.class_names is None:
            return replace(entry, split=split)
        if name not in self.class_of:
            return replace(entry, split=split, problem=f"{ATTRIBUTES} does not name it")
        return replace(entry, split=split, label=self.class_names[self.class_of[name]])

    def expected(self, seen: int) -> int | None:
        """Return how many files there are."""
        return self.inner.expected(seen)

    def find(self, name: str) -> bytes | None:
        """Return None: CelebA has no other files among its images."""
        return None


def read_partition(file: Path) -> dict[str, str]:
    """Read each image's split from lines of a name and 0, 1 or 2.

    Raises:
        DatasetError: a line is malformed.
    """
    split_of = {}
    for number, line in enumerate(lines_of(file), 1):
        words = line.split()
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise DatasetError(f"{file}, line {number}: {line[:80]!r} is not a name and 0, 1 or 2.")
        split_of[words[0]] = SPLITS[int(words[1])]
    return split_of


def read_attribute(file: Path, attribute: str) -> dict[str, bool]:
    """Read which images have an attribute.

    The file has a count, a line with the attributes' names, then per image a name and 1 or -1 for
    each attribute.

    Raises:
        ConfigError: there is no such attribute.
        DatasetError: a line is malformed.
    """
    lines = lines_of(file)
    next(lines, "")
    names = next(lines, "").split()
    if attribute not in names:
        raise ConfigError(
            f"CelebA has no attribute {attribute!r}.", did_you_mean(attribute, names, "attributes")
        )
    column, has = names.index(attribute) + 1, {}
    for number, line in enumerate(lines, 3):
        words = line.split()
        if len(words) != len(names) + 1 or words[column] not in ("1", "-1"):
            raise DatasetError(f"{file}, line {number}: not a name and {len(names)} times 1 or -1.")
        has[words[0]] = words[column] == "1"
    return has


def lines_of(file: Path) -> Iterator[str]:
    """Yield the lines of a file that are not blank.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            yield from (line for line in stream if line.strip())
    except (OSError, ValueError) as cause:
        raise DatasetError(f"{file} cannot be read: {cause}.") from cause
