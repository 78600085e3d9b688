"""Matches the images of a source with their companions: paired images and label maps.

Files match by their path without suffix: ``a/1.jpg`` and ``a/1.png``. A file without a partner is
yielded with that as its problem, so that every file found is counted on both sides.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from facegan.data.prepare.classes import check_class_names
from facegan.data.prepare.modalities import HalfModality, LabelMapModality, Modality
from facegan.data.prepare.names import common_folders, match_key
from facegan.data.prepare.packed_format import FORMAT
from facegan.data.prepare.pixels import open_source_image
from facegan.data.prepare.skip_report import IgnoredFiles, printable
from facegan.data.prepare.source_manifest import SourceManifest, find_manifest, images_source
from facegan.data.prepare.sources import (
    Entry,
    Source,
    TarSource,
    open_source,
    read_file,
    usable_names,
)
from facegan.errors import ConfigError, DatasetError
from facegan.image_files import has_image_suffix

Example = tuple[Entry | None, ...]  # one entry per modality; None where it is missing
PAIRED, LABEL_MAPS = "paired", "label_maps"
MOST_FOLDERS = 8  # around all files, that are tried as prefixes
SPLIT = "split"  # instead of a source of partners: every file holds both images


class Partners(Protocol):
    """The entries of one companion; each is taken at most once."""

    def take(self, entry: Entry) -> Entry | str:
        """Return the partner of an image, or the reason why it has none."""

    def left(self) -> Iterator[Entry]:
        """Yield the entries that were not taken, with that as their problem."""


class Companion(Protocol):
    """The origin of a modality other than the first."""

    readers: int

    @property
    def modality(self) -> Modality:
        """How its files are read."""

    def partners(self) -> Partners:
        """Return its entries, none of them taken yet."""


class SourceCompanion:
    """A companion with a source of its own.

    Args:
        source: The source of the companion's files.
        modality: How they are read.
        beside: The source of the images.

    Raises:
        ConfigError: the source is a tar, which can only be read in its own order.
    """

    def __init__(self, source: Source, modality: Modality, beside: Source) -> None:
        if isinstance(source, TarSource):
            raise ConfigError(
                f"{source.name} is a tar, which can only be read in its own order, not in the "
                "order of the images.",
                "Unpack it, or make a zip of it.",
            )
        self.source, self.modality, self.beside = source, modality, beside
        self.readers = source.readers

    def partners(self) -> "PartnersByName":
        """Return its entries by name; the names are held in memory."""
        return PartnersByName(self.source, self.beside.name, *self.wrappers)

    @cached_property
    def wrappers(self) -> tuple[str, str]:
        """The folder prefixes to ignore in the companion and in the images.

        photos.zip may hold photos/a/1.jpg, and sketches.zip sketches/a/1.png: the pair of prefixes
        with the most matches is chosen.
        """
        theirs, ours = root_prefixes(self.source), root_prefixes(self.beside)
        if theirs == ours == [""]:
            return "", ""
        names = [entry.name for entry in self.source.entries()]
        keys = {prefix: {partner_key(name, prefix) for name in names} for prefix in theirs}
        found = Counter[tuple[str, str]]()
        for entry in self.beside.entries():
            for own in ours:
                key = partner_key(entry.name, own)
                found.update((prefix, own) for prefix in theirs if key in keys[prefix])
        both = [(prefix, own) for prefix in theirs for own in ours]
        return max(both, key=lambda pair: (found[pair], -len(pair[0]) - len(pair[1])))


class PartnersByName:
    """Entries by their path without suffix; the first wins if several share it."""

    def __init__(self, source: Source, beside: str, prefix: str = "", own: str = "") -> None:
        self.name, self.beside, self.own = source.name, beside, own
        self.waiting: dict[str, Entry | None] = {}  # None: taken
        self.duplicates: list[Entry] = []
        for entry in source.entries():
            first = self.waiting.setdefault(partner_key(entry.name, prefix), entry)
            if first is not None and first is not entry:
                problem = f"{printable(first.name)} has the same name except for the suffix"
                self.duplicates.append(replace(entry, problem=entry.problem or problem))

    def take(self, entry: Entry) -> Entry | str:
        """Return the entry with the same name except for the suffix, or why there is none."""
        key = partner_key(entry.name, self.own)
        if key not in self.waiting:
            return f"it has no partner in {self.name}"
        partner, self.waiting[key] = self.waiting[key], None
        return partner or f"its partner in {self.name} belongs to another image of the same name"

    def left(self) -> Iterator[Entry]:
        """Yield the entries that were not taken, then the duplicates."""
        problem = f"it has no partner in {self.beside}"
        rest = (entry for entry in self.waiting.values() if entry is not None)
        yield from (replace(entry, problem=entry.problem or problem) for entry in rest)
        yield from self.duplicates


class SplitCompanion:
    """A companion in the same file as the image."""

    readers = 1

    def __init__(self, source: str) -> None:
        self.modality = HalfModality(source, PAIRED, PAIRED, half=1)

    def partners(self) -> "SplitCompanion":
        """Return itself: it has no entries of its own."""
        return self

    def take(self, entry: Entry) -> Entry:
        """Return the same file."""
        return entry

    def left(self) -> Iterator[Entry]:
        """Yield nothing."""
        return iter(())


class Examples:
    """The images of a source, each with its companions.

    Args:
        source: The images.
        modality: How they are read.
        companions: The other modalities of each example.
    """

    def __init__(
        self, source: Source, modality: Modality, companions: Sequence[Companion] = ()
    ) -> None:
        self.source, self.name, self.companions = source, source.name, companions
        self.modalities = (modality, *(companion.modality for companion in companions))
        self.readers = min([source.readers, *(companion.readers for companion in companions)])

    def __iter__(self) -> Iterator[Example]:
        """Yield examples in the order of the source, then each companion's unmatched entries."""
        waiting = [companion.partners() for companion in self.companions]
        for entry in self.source.entries():
            yield complete_example(entry, [partners.take(entry) for partners in waiting])
        for place, partners in enumerate(waiting, 1):
            for entry in partners.left():
                yield (*[None] * place, entry, *[None] * (len(waiting) - place))

    @property
    def ignored(self) -> IgnoredFiles:
        """Files of the source and the companions that the last iteration ignored."""
        found = IgnoredFiles()
        for source in (self.source, *(getattr(each, "source", None) for each in self.companions)):
            if source is not None:
                found.add(source.ignored)
        return found

    def expected(self, seen: int) -> int | None:
        """Estimate how many examples there are, after `seen` of them; None if unknown.

        Unmatched entries of companions are not included.
        """
        count = self.source.expected(seen)
        return None if count is None else max(count, seen)


def complete_example(entry: Entry, taken: list[Entry | str]) -> Example:
    """Return an entry with its partners; a missing partner is the entry's problem."""
    problem = next((found for found in taken if isinstance(found, str)), "")
    if problem:
        entry = replace(entry, problem=entry.problem or problem)
    return (entry, *(None if isinstance(found, str) else found for found in taken))


def partner_key(name: str, prefix: str = "") -> str:
    """Return a path without prefix and suffix: the key by which partners match."""
    return match_key(stem_of(name).removeprefix(prefix))


def stem_of(name: str) -> str:
    """Return a path without the suffix of an image."""
    return name.rpartition(".")[0] if has_image_suffix(name) else name


def root_prefixes(source: Source) -> list[str]:
    """Return "" and the folders that hold all of a source, outermost first."""
    return ["", *common_folders(usable_names(source.entries()))][:MOST_FOLDERS]


def shard_key(example: Example) -> str:
    """Return the key that assigns an example to a shard: the stem, or the name without partners."""
    first = next(entry for entry in example if entry is not None)
    return first.name if len(example) == 1 else stem_of(first.name)


# --- building -------------------------------------------------------------------------------------


def build_examples(
    source: Source,
    paired: Source | Path | str | None,
    label_maps: Source | Path | str | None,
    everything: bool = False,
    encoding: str | None = None,
) -> tuple[Examples, dict[str, Any]]:
    """Return the examples of a source with its companions, and the companions' part of the plan.

    Args:
        source: The images.
        paired: Their partners; or "split" if each file holds two images side by side.
        label_maps: Their label maps.
        everything: Whether to include hidden files and by-products of programs.
        encoding: The encoding of names in archives that do not declare it.

    Raises:
        ConfigError: a companion cannot be read in the order of the images.
        DatasetError: a companion's source cannot be used.
    """
    modality, companions = Modality(source.name), list[Companion]()
    facts: dict[str, Any] = {}
    if paired == SPLIT:
        modality = HalfModality(source.name)
        companions.append(SplitCompanion(source.name))
        facts[SPLIT] = True
    elif paired is not None:
        found = open_other_images(paired, "paired_folder", source, everything, encoding)
        companions.append(SourceCompanion(found, Modality(found.name, PAIRED, PAIRED), source))
    if label_maps is not None:
        found, manifest = open_folder_of(label_maps, ("labels_folder",), everything, encoding)
        named = manifest.get("label_names")
        names = tuple(check_class_names(named, -1, 0)) if named else None
        palette = first_palette(found)
        map_modality = LabelMapModality(
            found.name, LABEL_MAPS, "label-maps", names=names, palette=palette
        )
        companions.append(SourceCompanion(found, map_modality, source))
        facts |= {"label_names": names and list(names), "palette": palette and list(palette)}
    sources = {companion.modality.name: companion.modality.source for companion in companions}
    plan = {"companions": list(sources), **facts, "companion_sources": sources} if sources else {}
    return Examples(source, modality, companions), plan


def open_other_images(
    named: Source | Path | str,
    key: str,
    beside: Source,
    everything: bool = False,
    encoding: str | None = None,
) -> Source:
    """Open the source of a companion that is images.

    A data set of ``facegan data toy`` may hold such images in a folder of their own.

    Args:
        named: The source, or its path.
        key: The key of dataset.json that names their folder; without it, the data set's images.
        beside: The source of the images that they accompany.
        everything: Whether to include hidden files and by-products of programs.
        encoding: The encoding of names in archives that do not declare it.

    Raises:
        DatasetError: the source cannot be used, or is a toy data set without this companion.
    """
    found, facts = open_folder_of(named, (key, "images_folder"), everything, encoding)
    is_itself = getattr(found, "folder", None) == getattr(beside, "folder", found)
    if facts.get("format") == FORMAT and is_itself:
        kind = key.removesuffix("_folder")
        raise DatasetError(
            f"{found.name} has no {kind} images, only the images themselves.",
            f"Draw some with facegan data toy --{kind} …, or name another folder.",
        )
    return found


def open_folder_of(
    source: Source | Path | str,
    keys: tuple[str, ...],
    everything: bool = False,
    encoding: str | None = None,
) -> tuple[Source, dict[str, Any]]:
    """Open a companion's source, and return it with its dataset.json.

    If ``facegan data`` wrote the manifest, the source is the folder named by the first of `keys`
    that it has.

    Raises:
        DatasetError: the source cannot be read, or such a manifest has none of the keys.
    """
    if isinstance(source, (str, Path)):
        source = open_source(Path(source), encoding)
    source.everything = everything
    manifest = SourceManifest() if isinstance(source, TarSource) else find_manifest(source, False)
    if manifest.is_ours:
        key = next((key for key in keys if manifest.facts.get(key)), None)
        if key is None:
            raise DatasetError(
                f"The dataset.json in {source.name} names no {keys[-1]}.",
                "Name the folder that holds the files.",
            )
        source = images_source(source, manifest, key)
    return source, manifest.facts


def first_palette(source: Source) -> tuple[str, ...] | None:
    """Return the colours of the first readable map, as #rrggbb; None if it has no palette."""
    for entry in source.entries():
        try:
            content = entry.read() if entry.read else read_file(Path(entry.path or ""))
            with open_source_image(content) as image:
                return palette_of(image)
        except Exception:  # a broken file may raise anything; it is reported when it is prepared
            continue
    return None


def palette_of(image: Image.Image) -> tuple[str, ...] | None:
    """Return an image's palette as #rrggbb; None if it has none."""
    found = image.getpalette("RGB") if image.mode == "P" else None
    if not found:
        return None
    return tuple("#" + bytes(found[k : k + 3]).hex() for k in range(0, len(found) - 2, 3))
