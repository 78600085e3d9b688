"""Where this user's caches are: what can be deleted at any time and is made again."""

import os
from pathlib import Path


def default_cache() -> Path:
    """The folder for ours, by the XDG Base Directory Specification; it need not exist."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(folder) if folder else Path.home() / ".cache") / "facegan"
