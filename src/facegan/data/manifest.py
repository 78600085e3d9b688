"""Reads dataset.json, the manifest in a data set's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegan.data.prepare.packed_format import FORMAT, MANIFEST, check_resolution, load_manifest
from facegan.data.prepare.skip_report import printable
from facegan.data.prepare.sources import FolderSource

__all__ = [
    "MANIFEST",
    "check_resolution",
    "data_name",
    "folder_source",
    "images_root",
    "load_manifest",
    "read_manifest",
]

MAX_LETTERS = 255  # in a data set's name


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the folder's dataset.json if ``facegan data`` wrote it; else empty."""
    manifest = load_manifest(folder)
    return manifest if manifest.get("format") == FORMAT else {}


def data_name(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return a data set's name: the manifest's, else the folder's."""
    named = facts.get("name")
    name = named if isinstance(named, str) and named else folder.absolute().name
    return printable(name)[:MAX_LETTERS]


def images_root(folder: Path) -> Path:
    """Return the folder below which a data set's images are."""
    return folder_source(folder).folder


def folder_source(folder: Path) -> FolderSource:
    """Return a folder's images as a source; for ``facegan data toy``'s folders, without label maps.

    Raises:
        DatasetError: its manifest names a folder outside it.
    """
    return FolderSource(folder).below(str(read_manifest(folder).get("images_folder") or "."))
