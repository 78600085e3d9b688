"""Summarises what happened to the files of a source: used, skipped (with reasons), ignored."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from facegan.name_lists import quoted

MAX_NAMES, MAX_GROUPS = 3, 8


@dataclass
class IgnoredFiles:
    """Counts of the files that were not opened."""

    by_products: Counter[str] = field(default_factory=Counter)  # label → count
    others: Counter[str] = field(default_factory=Counter)  # not images: suffix → count
    empty_folders: list[str] = field(default_factory=list)  # if folders are classes
    manifests: set[str] = field(default_factory=set)  # the path of every dataset.json

    def add(self, other: "IgnoredFiles") -> None:
        """Add the counts of another source."""
        self.by_products += other.by_products
        self.others += other.others
        self.empty_folders += other.empty_folders
        self.manifests |= other.manifests

    def lines(self, insist: str = "facegan data prepare --everything") -> Iterator[str]:
        """Yield one line per kind of ignored file.

        Args:
            insist: The command or flag that includes by-products.
        """
        if count := self.by_products.total():
            text = list_counts(self.by_products)
            files = "files" if count > 1 else "file"
            yield (
                f"Ignored {count:,} hidden {files} or by-products of programs: {text}. "
                f"({insist} includes them.)"
            )
        if count := self.others.total():
            text = list_counts(self.others)
            files = "files that are not images" if count > 1 else "file that is not an image"
            yield f"{count:,} other {files}: {text}."
        if self.empty_folders:
            text = list_names(self.empty_folders)
            yield f"No image is in {text}, so that is not a class."


class SkipReasons:
    """Groups the reasons why images were skipped; reasons that differ only in numbers are one."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.groups: dict[str, tuple[str, int, list[str]]] = {}
        for name, reason in pairs:
            self.add(name, reason)

    def add(self, name: str, reason: str) -> None:
        """Record a skipped image."""
        key = re.sub(r"\d+", "#", reason)
        example, count, names = self.groups.get(key, (reason, 0, []))
        if count < MAX_NAMES:
            names.append(name)
        self.groups[key] = example, count + 1, names

    def lines(self) -> Iterator[str]:
        """Yield one line per reason, the most frequent first, with the first names."""
        groups = sorted(self.groups.values(), key=lambda group: -group[1])
        for reason, count, names in groups[:MAX_GROUPS]:
            listed = ", ".join(quoted(printable(name)) for name in names)
            more = " …" if count > len(names) else ""
            yield f"Skipped {count:,}: {listed}{more}: {printable(reason)}"
        if rest := sum(count for _, count, _ in groups[MAX_GROUPS:]):
            yield f"Skipped {rest:,} for other reasons."


def sum_of_counts(used: int, skipped: int) -> str:
    """Return "found = used + skipped" with the numbers."""
    return f"{used + skipped:,} found = {used:,} used + {skipped:,} skipped"


def list_counts(counts: Counter[str]) -> str:
    """Return counts as text: "20 .txt, 5 .mp4"."""
    most = counts.most_common(MAX_GROUPS)
    text = ", ".join(f"{count:,} {printable(what)}" for what, count in most)
    rest = counts.total() - sum(count for _, count in most)
    return text + (f", {rest:,} more" if rest else "")


def list_names(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    text = ", ".join(quoted(printable(name)) for name in names[:MAX_GROUPS])
    return text + (f" and {len(names) - MAX_GROUPS} more" if len(names) > MAX_GROUPS else "")


def printable(name: str) -> str:
    """Return a name that is safe to print: escape sequences and broken letters become ASCII."""
    return name if name.isprintable() else ascii(name)[1:-1]
