"""Where this user's caches are: what can be deleted at any time and is made again."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path


def default_cache(variables: Mapping[str, str]) -> Path | None:
    """Return our cache folder, by the XDG Base Directory Specification; it need not exist.

    None for a user without a home directory, as in a container with an arbitrary uid.
    """
    folder = variables.get("XDG_CACHE_HOME", "")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "facegan"
    except RuntimeError:  # no HOME, and no entry for this uid
        return None


def set_torch_cache(variables: MutableMapping[str, str]) -> None:
    """Put the files of torch's compiler into our cache folder, if it can be written.

    Torch makes its own below /tmp whenever a model is exported, under a name that is easy to guess.
    """
    folder = default_cache(variables)
    if folder is not None and is_writable(folder):
        variables.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))


def is_writable(folder: Path) -> bool:
    """Return whether a folder can be made, or be written into, without making it."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
