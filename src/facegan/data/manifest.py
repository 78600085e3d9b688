"""A data set's own account of itself: the dataset.json in its folder."""

import json
from pathlib import Path
from typing import Any

from facegan.errors import DatasetError

MANIFEST = "dataset.json"


def load_manifest(folder: Path) -> dict[str, Any]:
    """The folder's dataset.json, whoever wrote it; empty where there is none.

    Raises:
        DatasetError: it cannot be read, or is no JSON.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as cause:
        raise DatasetError(f"{folder / MANIFEST} cannot be read: {cause}") from cause
    return manifest if isinstance(manifest, dict) else {}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's dataset.json where ``facegan data`` wrote it; else empty."""
    manifest = load_manifest(folder)
    return manifest if manifest.get("format") == "facegan-dataset" else {}


def images_root(folder: Path) -> Path:
    """The folder that a data set's pictures lie in, at any depth."""
    below: str = read_manifest(folder).get("images_folder", ".")
    return folder / below
