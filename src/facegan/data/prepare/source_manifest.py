"""A source's dataset.json, wherever it lies beside or above all images: in ds/ of a zip of ds."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from facegan.data.prepare.file_filter import MANIFEST
from facegan.data.prepare.names import common_folders, escapes
from facegan.data.prepare.packed_format import FORMAT
from facegan.data.prepare.skip_report import printable
from facegan.data.prepare.sources import (
    FolderSource,
    Source,
    SubfolderSource,
    TarSource,
    usable_names,
)
from facegan.errors import DatasetError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceManifest:
    """What a source says of itself; nothing where it has no dataset.json."""

    folder: str = ""  # that it lies in, with a slash at its end; empty for the root
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""  # of its bytes

    @property
    def is_ours(self) -> bool:
        """Whether ``facegan data`` wrote it."""
        return self.facts.get("format") == FORMAT


def find_manifest(source: Source, is_needed: bool = True) -> SourceManifest:
    """Return the dataset.json at the root, or in a folder around all images, the outermost.

    Args:
        source: Where to look.
        is_needed: Whether labels are read from it; else one that is damaged is as good as none.

    Raises:
        DatasetError: it cannot be read, or is no JSON.
    """
    try:
        found = search_manifest(source)
    except DatasetError:
        if is_needed:
            raise
        return SourceManifest()
    if is_needed and found.digest and not found.is_ours and "labels" not in found.facts:
        log.warning('%s in %s holds no "labels".', printable(found.folder + MANIFEST), source.name)
    return found


def search_manifest(source: Source) -> SourceManifest:
    """The same, with every error."""
    find: Callable[[str], bytes | None] = source.find
    if isinstance(source, TarSource):
        find = source.read_manifests().get
    if (content := find(MANIFEST)) is not None:
        return parse_manifest("", content)
    first = next(usable_names(source.entries()), None)
    if first is None:  # a prepared data set, perhaps
        folders = [name.removesuffix(MANIFEST) for name in sorted(source.ignored.manifests)]
        around = folders[:1]
    else:
        folders, around = common_folders([first]), None
    for folder in folders:
        if (content := find(folder + MANIFEST)) is not None:
            around = around or common_folders(usable_names(source.entries()))
            if folder in around:
                return parse_manifest(folder, content)
    return SourceManifest()


def parse_manifest(folder: str, content: bytes) -> SourceManifest:
    """Return what a dataset.json says.

    Raises:
        DatasetError: it is no JSON.
    """
    place = printable(folder + MANIFEST)
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as cause:
        raise DatasetError(f"The source's {place} cannot be read: {cause}.") from cause
    if not isinstance(facts, dict):
        facts = {}
    return SourceManifest(folder, facts, hashlib.sha256(content).hexdigest())


def manifest_root(manifest: SourceManifest) -> str:
    """Return the folder that the paths in a manifest start at, with a slash at its end."""
    below = manifest.folder + str(manifest.facts.get("images_folder") or ".")
    folder = "/".join(part for part in below.split("/") if part not in ("", "."))
    return folder + "/" if folder else ""


def images_source(source: Source, manifest: SourceManifest, key: str = "images_folder") -> Source:
    """Return the images of a source in the folder that its manifest names.

    Args:
        source: All of it.
        manifest: Its dataset.json.
        key: Under which the folder is named; the manifest's own folder where it is not.

    Raises:
        DatasetError: the folder is not below the manifest's.
    """
    below = str(manifest.facts.get(key) or ".")
    if isinstance(source, FolderSource):
        return source.below(manifest.folder + below)
    if escapes(below):
        raise DatasetError(
            f"{manifest.folder + MANIFEST} in {source.name} names a folder that is not below it: "
            f"{below!r}."
        )
    folder = "/".join(
        part for part in (manifest.folder + below).split("/") if part not in ("", ".")
    )
    return SubfolderSource(source, folder) if folder else source


def warn_unused_manifests(source: Source, used: SourceManifest) -> None:
    """Say which dataset.json were seen on the way and not used, if any."""
    own = {used.folder + MANIFEST} if used.digest else set()
    unused = sorted(source.ignored.manifests - own)
    if not unused:
        return
    tar = " In a tar it is looked for with --labels manifest." * isinstance(source, TarSource)
    log.warning(
        "Not used: %s%s in %s. Labels are read of the one that lies beside or above all "
        "images.%s --labels none leaves them out.",
        printable(unused[0]),
        f" and {len(unused) - 1} more" if len(unused) > 1 else "",
        source.name,
        tar,
    )
