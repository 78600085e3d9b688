"""Which images belong together: an entry of the source, and of each companion the one it is for.

Files belong together by their path without suffix: ``a/1.jpg`` and ``a/1.png``. What has no partner
comes with that as its problem, so that on every side all that was found is accounted for.
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

Example = tuple[Entry | None, ...]  # an entry a side, None where it has none
PAIRED, LABEL_MAPS = "paired", "label_maps"
MOST_FOLDERS = 8  # around all files, that are looked through for partners
SPLIT = "split"  # instead of a source of partners: every file holds both


class Partners(Protocol):
    """The entries of one companion, each to be taken once."""

    def take(self, entry: Entry) -> Entry | str:
        """What belongs to an image; else why nothing does."""

    def left(self) -> Iterator[Entry]:
        """Those that belonged to none, with that as their problem."""


class Companion(Protocol):
    """Where a side besides the first comes from."""

    readers: int

    @property
    def modality(self) -> Modality:
        """How it is read."""

    def partners(self) -> Partners:
        """Its entries, from the first on."""


class SourceCompanion:
    """A companion with a source of its own.

    Args:
        source: The companion's.
        side: How it is read.
        beside: What it belongs to.

    Raises:
        ConfigError: it is a tar, which can only be read in its own order.
    """

    def __init__(self, source: Source, modality: Modality, beside: Source) -> None:
        if isinstance(source, TarSource):
            raise ConfigError(
                f"{source.name} is a tar, which is read in its own order, not in its partners'.",
                "Unpack it, or make a zip of it.",
            )
        self.source, self.modality, self.beside = source, modality, beside
        self.readers = source.readers

    def partners(self) -> "PartnersByName":
        """Its entries by name; the names are in memory."""
        return PartnersByName(self.source, self.beside.name, *self.wrappers)

    @cached_property
    def wrappers(self) -> tuple[str, str]:
        """The folders around all of either source that its partner lacks: of most partners.

        photos.zip may hold photos/a/1.jpg, and sketches.zip sketches/a/1.png.
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
    """Entries by their path without suffix; of those that are called alike the first."""

    def __init__(self, source: Source, beside: str, prefix: str = "", own: str = "") -> None:
        self.name, self.beside, self.own = source.name, beside, own
        self.waiting: dict[str, Entry | None] = {}  # None: taken
        self.twins: list[Entry] = []
        for entry in source.entries():
            first = self.waiting.setdefault(partner_key(entry.name, prefix), entry)
            if first is not None and first is not entry:
                problem = f"{printable(first.name)} is called the same but for its suffix"
                self.twins.append(replace(entry, problem=entry.problem or problem))

    def take(self, entry: Entry) -> Entry | str:
        """What is called the same but for its suffix."""
        key = partner_key(entry.name, self.own)
        if key not in self.waiting:
            return f"it has no partner in {self.name}"
        partner, self.waiting[key] = self.waiting[key], None
        return partner or f"its partner in {self.name} is that of another of its name"

    def left(self) -> Iterator[Entry]:
        """Those that nobody took, then those whose name was there before."""
        problem = f"it has no partner in {self.beside}"
        rest = (entry for entry in self.waiting.values() if entry is not None)
        yield from (replace(entry, problem=entry.problem or problem) for entry in rest)
        yield from self.twins


class SplitCompanion:
    """The companion that lies in the same file."""

    readers = 1

    def __init__(self, source: str) -> None:
        self.modality = HalfModality(source, PAIRED, PAIRED, half=1)

    def partners(self) -> "SplitCompanion":
        """It holds nothing that could be used up."""
        return self

    def take(self, entry: Entry) -> Entry:
        """The file itself."""
        return entry

    def left(self) -> Iterator[Entry]:
        """None."""
        return iter(())


class Examples:
    """The images of a source, each with its companions.

    Args:
        source: The images.
        side: How they are read.
        companions: What else belongs to each.
    """

    def __init__(
        self, source: Source, modality: Modality, companions: Sequence[Companion] = ()
    ) -> None:
        self.source, self.name, self.companions = source, source.name, companions
        self.modalities = (modality, *(companion.modality for companion in companions))
        self.readers = min([source.readers, *(companion.readers for companion in companions)])

    def __iter__(self) -> Iterator[Example]:
        """In the order of the source; at the end what is left of each companion."""
        waiting = [companion.partners() for companion in self.companions]
        for entry in self.source.entries():
            yield complete_example(entry, [partners.take(entry) for partners in waiting])
        for place, partners in enumerate(waiting, 1):
            for entry in partners.left():
                yield (*[None] * place, entry, *[None] * (len(waiting) - place))

    @property
    def ignored(self) -> IgnoredFiles:
        """What was not looked into when all were last given, of the source and companions."""
        found = IgnoredFiles()
        for source in (self.source, *(getattr(each, "source", None) for each in self.companions)):
            if source is not None:
                found.add(source.ignored)
        return found

    def expected(self, seen: int) -> int | None:
        """How many there will be, after `seen` of them: those left over are not foreseen."""
        count = self.source.expected(seen)
        return None if count is None else max(count, seen)


def complete_example(entry: Entry, taken: list[Entry | str]) -> Example:
    """An entry with its partners; what one lacks is its problem."""
    lacks = next((found for found in taken if isinstance(found, str)), "")
    if lacks:
        entry = replace(entry, problem=entry.problem or lacks)
    return (entry, *(None if isinstance(found, str) else found for found in taken))


def partner_key(name: str, prefix: str = "") -> str:
    """A path below a folder, without its suffix: what files that belong together have in common."""
    return match_key(stem_of(name).removeprefix(prefix))


def stem_of(name: str) -> str:
    """A path without its suffix."""
    return name.rpartition(".")[0] if has_image_suffix(name) else name


def root_prefixes(source: Source) -> list[str]:
    """The root and the folders that all of a source lies in, outermost first."""
    return ["", *common_folders(usable_names(source.entries()))][:MOST_FOLDERS]


def shard_key(example: Example) -> str:
    """What decides which machine prepares an example; an image's own name if it is alone."""
    first = next(entry for entry in example if entry is not None)
    return first.name if len(example) == 1 else stem_of(first.name)


# --- from what a user names -----------------------------------------------------------------------


def build_examples(
    source: Source,
    paired: Source | Path | str | None,
    label_maps: Source | Path | str | None,
    everything: bool = False,
    encoding: str | None = None,
) -> tuple[Examples, dict[str, Any]]:
    """The examples of a source with its companions, and what the manifest says of these.

    Args:
        source: The images.
        paired: Their partners; or "split", where each file holds two images side by side.
        label_maps: Their label maps.
        everything: Whether hidden files and by-products of programs are taken, too.
        encoding: How names in archives are written that do not say it.

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
    """The source of a companion that is images: of ``facegan data toy``'s those made for it.

    Args:
        named: What the user named.
        key: Under which dataset.json names their folder, if it does; else its own images are taken.
        beside: The images that they are a companion of.
        everything: Whether hidden files and by-products of programs are taken, too.
        encoding: How names in archives are written that do not say it.

    Raises:
        DatasetError: the source cannot be used, or is a toy data set without this companion.
    """
    found, facts = open_folder_of(named, (key, "images_folder"), everything, encoding)
    is_itself = getattr(found, "folder", None) == getattr(beside, "folder", found)
    if facts.get("format") == FORMAT and is_itself:
        kind = key.removesuffix("_folder")
        raise DatasetError(
            f"{found.name} holds no {kind} images, only the images themselves.",
            f"Draw it with some: facegan data toy --{kind} …, or name another folder.",
        )
    return found


def open_folder_of(
    source: Source | Path | str,
    keys: tuple[str, ...],
    everything: bool = False,
    encoding: str | None = None,
) -> tuple[Source, dict[str, Any]]:
    """A companion's source, and its dataset.json; of one of ours the folder it names first."""
    if isinstance(source, (str, Path)):
        source = open_source(Path(source), encoding)
    source.everything = everything
    manifest = SourceManifest() if isinstance(source, TarSource) else find_manifest(source, False)
    if manifest.is_ours:
        key = next((key for key in keys if manifest.facts.get(key)), None)
        if key is None:
            raise DatasetError(
                f"The dataset.json in {source.name} names no {keys[-1]}.",
                "Name the very folder that the files lie in.",
            )
        source = images_source(source, manifest, key)
    return source, manifest.facts


def first_palette(source: Source) -> tuple[str, ...] | None:
    """The colours of the first map that can be opened, as #rrggbb; None where it has none."""
    for entry in source.entries():
        try:
            content = entry.read() if entry.read else read_file(Path(entry.path or ""))
            with open_source_image(content) as image:
                return palette_of(image)
        except Exception:  # a broken file may raise anything; it is named when its turn comes
            continue
    return None


def palette_of(image: Image.Image) -> tuple[str, ...] | None:
    """An image's palette as #rrggbb; None where it has none."""
    found = image.getpalette("RGB") if image.mode == "P" else None
    if not found:
        return None
    return tuple("#" + bytes(found[k : k + 3]).hex() for k in range(0, len(found) - 2, 3))
