"""What a job left beside its model (output.tar.gz), unpacked with care."""

import os
import shutil
from pathlib import Path

from facegan.errors import ArtifactError
from facegan.model_files.archive import HOSTILE_HINT, Limits, unpack

LIMITS = Limits(members=20_000, unpacked=64 << 30, ratio=100)  # text packs well
UNPACKED = ".unpacked.partial"


def unpack_record(archive: Path, folder: Path) -> list[str]:
    """Unpack what a job left beside its model, aside, and then into its folder.

    Args:
        archive: output.tar.gz.
        folder: Where its files go; those of the same names are replaced.

    Returns:
        The names at its top.

    Raises:
        ArtifactError: it is damaged, or holds what would leave the folder.
    """
    aside = folder / UNPACKED
    shutil.rmtree(aside, ignore_errors=True)
    try:
        unpack(archive, aside, "Delete it, and give the same command again.", LIMITS)
        names = sorted(entry.name for entry in aside.iterdir()) if aside.is_dir() else []
        if UNPACKED in names:
            raise ArtifactError(f"{archive} holds {UNPACKED}, which no job writes.", HOSTILE_HINT)
        for name in names:
            replace(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return names


def replace(source: Path, target: Path) -> None:
    """Move a file or folder to where another may be."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif source.is_dir():
        target.unlink(missing_ok=True)  # a folder replaces no file
    os.replace(source, target)
