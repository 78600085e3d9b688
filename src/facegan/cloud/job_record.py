"""What a job left beside its model (output.tar.gz), unpacked with care."""

import os
import shutil
import tarfile
import zlib
from pathlib import Path

from facegan.errors import ArtifactError, first_line
from facegan.model_files.archive import check_member

MAX_BYTES = 64 << 30  # of an unpacked record: stops a decompression bomb


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
    aside = folder / ".unpacked.partial"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            size = 0
            for member in tar:
                check_member(member, archive)
                size += member.size
                if size > MAX_BYTES:
                    raise ArtifactError(f"{archive} unpacks to more than {MAX_BYTES:,} bytes.")
                tar.extract(member, aside, filter="data")
        names = sorted(entry.name for entry in aside.iterdir()) if aside.is_dir() else []
        for name in names:
            replace(aside / name, folder / name)
    except (tarfile.TarError, EOFError, zlib.error) as cause:
        hint = "Delete it, and give the same command again."
        raise ArtifactError(f"{archive} is damaged: {first_line(cause)}.", hint) from cause
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return names


def replace(source: Path, target: Path) -> None:
    """Move a file or folder to where another may be."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
