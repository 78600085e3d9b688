"""Finds the user's cache folder."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path


def default_cache(variables: Mapping[str, str]) -> Path | None:
    """Return facegan's cache folder by the XDG Base Directory Specification; it may not exist.

    None for a user without a home directory, e.g. in a container with an arbitrary uid.
    """
    folder = variables.get("XDG_CACHE_HOME", "")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "facegan"
    except RuntimeError:  # no HOME, and no entry for this uid
        return None


def set_torch_cache(variables: MutableMapping[str, str]) -> None:
    """Put the files of torch's compiler into our cache folder, if it is writable.

    By default they are in /tmp under a name that is easy to guess.
    """
    folder = default_cache(variables)
    if folder is not None and is_writable(folder):
        variables.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))


def is_writable(folder: Path) -> bool:
    """Return whether a folder is writable, or could be created."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
