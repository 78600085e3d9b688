"""Finds a source's dataset.json: at the root, or in a folder that holds all images."""

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
    """The content of a source's dataset.json; empty if it has none."""

    folder: str = ""  # where it was found, with a slash at the end; empty for the root
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""  # of its bytes

    @property
    def is_ours(self) -> bool:
        """Whether ``facegan data`` wrote it."""
        return self.facts.get("format") == FORMAT


def find_manifest(source: Source, is_needed: bool = True) -> SourceManifest:
    """Return the dataset.json at the root, or in the outermost folder that holds all images.

    Args:
        source: The source to search.
        is_needed: Whether labels are read from it; if not, a damaged one is ignored.

    Raises:
        DatasetError: it cannot be read, or is not JSON.
    """
    try:
        found = search_manifest(source)
    except DatasetError:
        if is_needed:
            raise
        return SourceManifest()
    if is_needed and found.digest and not found.is_ours and "labels" not in found.facts:
        log.warning('%s in %s has no "labels".', printable(found.folder + MANIFEST), source.name)
    return found


def search_manifest(source: Source) -> SourceManifest:
    """Return the same, and raise every error."""
    find: Callable[[str], bytes | None] = source.find
    if isinstance(source, TarSource):
        find = source.read_manifests().get
    if (content := find(MANIFEST)) is not None:
        return parse_manifest("", content)
    first = next(usable_names(source.entries()), None)
    if first is None:  # perhaps a prepared data set
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
    """Return the parsed dataset.json.

    Raises:
        DatasetError: it is not JSON.
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
    """Return the folder in which the paths of a manifest start, with a slash at the end."""
    below = manifest.folder + str(manifest.facts.get("images_folder") or ".")
    folder = "/".join(part for part in below.split("/") if part not in ("", "."))
    return folder + "/" if folder else ""


def images_source(source: Source, manifest: SourceManifest, key: str = "images_folder") -> Source:
    """Return the images of a source in the folder that its manifest names.

    Args:
        source: The whole source.
        manifest: Its dataset.json.
        key: The key that names the folder; without it, the manifest's own folder.

    Raises:
        DatasetError: the folder is not below the manifest's.
    """
    below = str(manifest.facts.get(key) or ".")
    if isinstance(source, FolderSource):
        return source.below(manifest.folder + below)
    if escapes(below):
        raise DatasetError(
            f"{manifest.folder + MANIFEST} in {source.name} names a folder outside its own: "
            f"{below!r}."
        )
    folder = "/".join(
        part for part in (manifest.folder + below).split("/") if part not in ("", ".")
    )
    return SubfolderSource(source, folder) if folder else source


def warn_unused_manifests(source: Source, used: SourceManifest) -> None:
    """Log which dataset.json files were found but not used."""
    own = {used.folder + MANIFEST} if used.digest else set()
    unused = sorted(source.ignored.manifests - own)
    if not unused:
        return
    tar = " For a tar, add --labels manifest." * isinstance(source, TarSource)
    log.warning(
        "Not used: %s%s in %s. Labels are read only from a dataset.json beside or above all "
        "images.%s To ignore labels, add --labels none.",
        printable(unused[0]),
        f" and {len(unused) - 1} more" if len(unused) > 1 else "",
        source.name,
        tar,
    )
