"""What lies where data was expected, and the next command: for messages, without torch.

Nothing is unpacked or decoded: names and first bytes tell.
"""

import os
import shlex
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import DatasetError, counted
from facegan.preparing.by_products import MANIFEST
from facegan.preparing.first_bytes import SUFFIXES, is_picture

ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")  # are read
FOREIGN = (".7z", ".rar", ".tar.zst", ".tzst", ".zst", ".tar.lz4", ".lz4", ".gz", ".bz2", ".xz")
STARTS = {  # the first bytes of files that are no data
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a file packed by zstd",
    b"\x04\x22\x4d\x18": "a file packed by lz4",
    b"\x1f\x8b": "a file packed by gzip",
    b"BZh": "a file packed by bzip2",
    b"\xfd7zXZ\x00": "a file packed by xz",
    b"\x89PNG": "one picture (PNG)",
    b"\xff\xd8\xff": "one picture (JPEG)",
    b"RIFF": "one picture (WebP), or a sound or film",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"{": "text, of JSON perhaps",
    b"[": "text, of JSON perhaps",
}
MOST_FILES = 100_000  # that are looked at in a folder or an archive
MOST_TAR = 1_000  # members: a tar has to be unpacked to be looked at
UNPACK = "It is not read here: unpack it, then name the folder with the pictures."
PACKED = "SageMaker copies archives as they are and unpacks nothing."


@dataclass(frozen=True)
class Description:
    """A path in words."""

    what: str  # "photos.zip is a zip with 6 pictures"
    hint: str = ""  # the next command; empty where none is known

    def error(self) -> DatasetError:
        """Return it as the error of a command that needs a folder of data."""
        return DatasetError(f"{self.what}.", self.hint)


def refuse_archive(data: Path | str, resolution: int | None = None) -> None:
    """Refuse a file or an archive where a folder of data is needed; cheap, and torch-free.

    What does not exist, or is a folder without anything, is left to those that read it: a host of a
    distributed job may have nothing.

    Args:
        data: What a user has named; an address on S3 is let through.
        resolution: What the pictures would be prepared at, for the hint.

    Raises:
        DatasetError: it says what is there and the next command.
    """
    path = Path(data)
    if str(data).startswith("s3://") or not path.exists() or (path / MANIFEST).exists():
        return
    if path.is_dir() and (holds_picture(path) or not any(files_below(path, ARCHIVES + FOREIGN))):
        return
    raise describe_source(path, resolution).error()


def describe_source(path: Path, resolution: int | None = None) -> Description:
    """Return what lies at a path that holds no data as it is, and what to do.

    Args:
        path: A file, or a folder without pictures.
        resolution: What pictures would be prepared at.
    """
    if path.is_dir():
        return describe_folder(path, resolution)
    if not path.exists():
        return Description(
            f"The data folder {path} does not exist",
            "Name a folder of pictures, or draw one: facegan data toy --out DIR.",
        )
    try:
        return describe_file(path, resolution)
    except OSError as cause:
        return Description(f"{path} cannot be read: {cause.strerror}")


def describe_file(path: Path, resolution: int | None) -> Description:
    """Return what a file is: an archive that can be prepared, or something else."""
    if not path.is_file():  # a pipe, a device: to open it may wait for ever
        return Description(f"{path} is neither a file nor a folder")
    is_zip, is_tar = zipfile.is_zipfile(path), is_tarfile(path)
    if is_zip or is_tar:
        kind = "a zip" if is_zip else "a tar"
        return describe_names(
            path, kind, zip_names(path) if is_zip else tar_names(path), resolution
        )
    with path.open("rb") as stream:
        start = stream.read(16)
    if not start:
        return Description(f"{path} is a file of 0 bytes, not a folder")
    what = next((told for first, told in STARTS.items() if start.startswith(first)), "")
    if "archive" in what or "packed" in what:
        return Description(f"{path} is {what}, not a folder", f"{UNPACK} {PACKED}")
    if path.name.lower().endswith(ARCHIVES + FOREIGN):
        told = f"{path} is called like an archive and is {what or 'none that is known'}"
        return Description(told, "It may be damaged: fetch it again.")
    if what.startswith("one picture") or path.name == MANIFEST:
        return Description(
            f"{path} is {what or 'text'}, not a folder",
            f"Name the folder it lies in: {path.parent}.",
        )
    return Description(f"{path} is a file{f' ({what})' * bool(what)}, not a folder")


def describe_names(
    path: Path, kind: str, names: Iterable[str], resolution: int | None
) -> Description:
    """Return what an archive holds, by the names in it."""
    count, has_manifest, is_model, is_packed = 0, False, False, False
    for name in names:
        count += is_picture(name)
        last = name.replace("\\", "/").rpartition("/")[2]
        has_manifest |= last == MANIFEST
        is_model |= last == "model_card.json"
        is_packed |= name.endswith("images/00000.npy")
    if is_model:
        return Description(f"{path} is a model, not data", "Draw with it: facegan generate MODEL.")
    if is_packed:
        hint = "Unpack it, then name the folder that its dataset.json lies in."
        return Description(f"{path} is {kind} of a prepared data set", hint)
    if not count:
        hint = "Name an archive or a folder that holds .jpg, .png or .webp files."
        return Description(f"{path} is {kind} without pictures, not a folder", hint)
    labels = " and a dataset.json" if has_manifest else ""
    told = counted(count, "picture") if count < MOST_TAR or kind == "a zip" else "many pictures"
    return Description(
        f"{path} is {kind} with {told}{labels}, not a folder",
        f"Prepare it first: {prepare_command(path, resolution)}",
    )


def describe_folder(path: Path, resolution: int | None) -> Description:
    """Return what a folder without pictures holds instead."""
    if (below := next(files_below(path, (MANIFEST,)), None)) and below.parent != path:
        hint = f"A data set lies in {below.parent}: name that folder."
        return Description(f"The data folder {path} holds no pictures", hint)
    archives = sorted(files_below(path, ARCHIVES))
    if archives:
        more = f" and {len(archives) - 1} more" if len(archives) > 1 else ""
        return Description(
            f"The data folder {path} holds no pictures, but the archive {archives[0].name}{more}",
            f"Prepare it first: {prepare_command(archives[0], resolution, path)} . {PACKED}",
        )
    if foreign := sorted(files_below(path, FOREIGN)):
        return Description(
            f"The data folder {path} holds no pictures, but {foreign[0].name}",
            f"{UNPACK} {PACKED}",
        )
    return Description(f"The data folder {path} holds no pictures")


def prepare_command(source: Path, resolution: int | None = None, beside: Path | None = None) -> str:
    """Return the command that makes a data set of an archive or a folder.

    Args:
        source: What is prepared.
        resolution: At what; 64 where None.
        beside: What the data set is put beside, and called after; the source where None.
    """
    place = beside or source
    name = place.resolve().name
    for suffix in sorted(ARCHIVES, key=len, reverse=True):
        if name.lower().endswith(suffix) and place.is_file():
            name = name[: -len(suffix)]
            break
    side = resolution or 64
    out = place.parent / f"{name or 'data'}-{side}"
    return (
        f"facegan data prepare {shlex.quote(str(source))} --out {shlex.quote(str(out))} "
        f"--resolution {side}"
    )


def holds_picture(folder: Path) -> bool:
    """Return whether a picture lies anywhere below a folder."""
    return any(files_below(folder, SUFFIXES))


def files_below(folder: Path, suffixes: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Yield the files below a folder whose names end in one of some ways, up to a limit."""
    looked = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            looked += 1
            if name.lower().endswith(suffixes):
                yield Path(parent, name)
        if looked > MOST_FILES:
            return


def is_tarfile(path: Path) -> bool:
    """Return whether a file begins as a tar, compressed or not."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, ValueError):
        return False


def zip_names(path: Path) -> Iterator[str]:
    """Yield the names in a zip; those before what is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield from archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return


def tar_names(path: Path) -> Iterator[str]:
    """Yield the first names in a tar."""
    try:
        with tarfile.open(path, mode="r|*", errors="surrogateescape") as archive:
            for number, member in enumerate(archive):
                yield member.name
                if number >= MOST_TAR:
                    return
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return
