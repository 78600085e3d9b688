"""Where pictures come from: a folder tree, a zip, a tar, or named streams, in one fixed order."""

import os
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from facegan.errors import DatasetError
from facegan.preparing.account import Aside
from facegan.preparing.by_products import (
    RUN_FILE,
    RUN_IMAGES,
    SAMPLES_OF_A_RUN,
    Sieve,
    by_product,
)
from facegan.preparing.first_bytes import HEAD, is_picture
from facegan.preparing.pixels import MAX_BYTES, UnusableError

MANIFEST = "dataset.json"
LEAVES = "its path leaves the archive"
TOO_LARGE = f"the file has over {MAX_BYTES:,} bytes"


@dataclass(frozen=True)
class Entry:
    """A picture that was found, and how to get its bytes."""

    name: str  # below the source, parts joined by "/"
    path: str | None = None  # a file on this machine,
    read: Callable[[], bytes] | None = None  # or its bytes, to be read before the next entry is
    problem: str = ""  # or why it cannot be used
    label: str | None = None  # its class, where the source says it
    split: str | None = None


class Source(Protocol):
    """Pictures in an order that is the same every time."""

    name: str
    readers: int  # threads that read at once; 1 where entries must be read in their order
    everything: bool  # whether hidden files and by-products of programs are looked into, too

    @property
    def aside(self) -> Aside:
        """What was not looked into, when all entries were last given."""

    def entries(self) -> Iterator[Entry]:
        """Every picture found. Raises DatasetError where the source itself is damaged."""

    def expected(self, seen: int) -> int | None:
        """How many there will be, after `seen` of them; None if unknown."""

    def find_manifest(self) -> bytes | None:
        """Its dataset.json; None where it has none."""


def read_file(path: Path) -> bytes:
    """A picture file's bytes.

    Raises:
        UnusableError: it is no plain file (a pipe would be waited for), or too large.
        OSError: it cannot be read.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UnusableError("it is no plain file")
    if facts.st_size > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return bounded(path.read_bytes())


def read_head(path: str) -> bytes:
    """A plain file's first bytes; nothing where it is something else or cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return b""
        with open(path, "rb", buffering=0) as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


class FolderSource:
    """Every picture below a folder, at any depth. Links to folders are named, not followed."""

    readers = 1

    def __init__(self, folder: Path) -> None:
        self.everything, self.aside = False, Aside()
        self.folder, self.name = folder, folder.resolve().name
        self.root = folder  # below which pictures are looked for
        self.count: int | None = None

    def below(self, images_folder: str) -> "FolderSource":
        """The pictures of one folder in it only.

        Raises:
            DatasetError: it is not in it.
        """
        if escapes(images_folder):
            raise DatasetError(
                f"{self.folder / MANIFEST} names an images_folder that is not below it: "
                f"{images_folder!r}."
            )
        found = FolderSource(self.folder)
        found.everything = self.everything
        found.root = self.folder / images_folder
        return found

    def entries(self) -> Iterator[Entry]:
        """In the order of the names, folder by folder; only one folder's names are held."""
        sieve = Sieve(self.everything)
        waiting = [("", Listing(iter([""]), frozenset([""])))]
        while waiting:
            prefix, listing = waiting[-1]
            name = next(listing.names, None)
            if name is None:
                waiting.pop()
                continue
            # No Path: to make one takes longer than all else that is done here.
            path = os.path.join(self.root, prefix + name)  # noqa: PTH118
            label = "" if self.everything else by_product(name) or listing.of_ours.get(name, "")
            if name in listing.folders:
                if label:
                    sieve.pass_over(label, count_files(path))
                    continue
                below = prefix + name + "/" if name else ""
                try:
                    waiting.append((below, list_folder(path)))
                except OSError as cause:
                    problem = f"the folder cannot be listed: {cause.strerror}"
                    yield Entry(below or "./", problem=problem)
            elif label:
                sieve.pass_over(label)
            elif name in listing.links and os.path.isdir(path):  # noqa: PTH112
                yield Entry(prefix + name, problem="a link to a folder, which is not followed")
            elif is_picture(name) or sieve.takes_head(name, read_head(path)):
                yield Entry(prefix + name, path)
        self.aside = sieve.aside

    def expected(self, seen: int) -> int | None:
        """Counted by a first walk, which reads no file."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find_manifest(self) -> bytes | None:
        """The folder's dataset.json."""
        try:
            return (self.folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            place = self.folder / MANIFEST
            raise DatasetError(f"{place} cannot be read: {cause.strerror}.") from cause


class Listing(NamedTuple):
    """What lies in a folder."""

    names: Iterator[str]  # in order
    folders: frozenset[str]
    links: frozenset[str] = frozenset()
    of_ours: dict[str, str] = {}  # folders of by-products of facegan's → what to call them


def list_folder(folder: str) -> Listing:
    """A folder's names in order, and which of them are folders and links."""
    names, folders, links = [], [], []
    with os.scandir(folder) as children:
        for child in children:
            names.append(child.name)
            if child.is_dir(follow_symlinks=False):
                folders.append(child.name)
            elif child.is_symlink():
                links.append(child.name)
    of_ours = {RUN_IMAGES: SAMPLES_OF_A_RUN} if RUN_FILE in names else {}
    return Listing(iter(sorted(names)), frozenset(folders), frozenset(links), of_ours)


def empty_folders(folder: Path, classes: Container[str]) -> list[str]:
    """The folders in a folder that are none of the classes, nor by-products, in order."""
    try:
        found = list_folder(str(folder)).folders
    except OSError:
        return []
    seen = {name: unicodedata.normalize("NFC", name).strip() for name in found}
    return sorted(n for n in found if seen[n] not in classes and not by_product(n))


def count_files(folder: str) -> int:
    """How many files lie below a folder."""
    return sum(len(names) for _, _, names in os.walk(folder))


class ZipSource:
    """The pictures in a zip, in the order of their names; nothing is unpacked to the disk.

    Raises:
        DatasetError: it is damaged.
    """

    readers = 1

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as cause:
            raise DatasetError(f"The archive {path} cannot be read: {cause}.") from cause
        members = (info for info in self.archive.infolist() if not info.is_dir())
        self.members = sorted(members, key=lambda info: info.filename.split("/"))
        self.everything, self.aside = False, Aside()
        self.count: int | None = None

    def entries(self) -> Iterator[Entry]:
        """In the order that a folder of the same files has."""
        sieve = Sieve(self.everything)
        for info in self.members:
            sieve.note_run(info.filename)
        for info in self.members:
            head = self.read_head(info) if sieve.needs_head(info.filename) else b""
            if not sieve.takes(info.filename, head):
                continue
            if problem := zip_problem(info):
                yield Entry(info.filename, problem=problem)
            else:
                yield Entry(info.filename, read=partial(self.read, info))
        self.aside = sieve.aside

    def read_head(self, info: zipfile.ZipInfo) -> bytes:
        """A member's first bytes; nothing where they cannot be read."""
        try:
            with self.archive.open(info) as stream:
                return stream.read(HEAD)
        except Exception:  # a damaged member may raise anything
            return b""

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """A member's bytes, however long it says it is."""
        with self.archive.open(info) as stream:
            return bounded(stream.read(MAX_BYTES + 1))

    def expected(self, seen: int) -> int:
        """The directory at a zip's end tells."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find_manifest(self) -> bytes | None:
        """The dataset.json at its root."""
        try:
            return self.archive.read(MANIFEST)
        except KeyError:
            return None
        except Exception as cause:
            raise DatasetError(f"{MANIFEST} in {self.name} cannot be read: {cause}") from cause


def zip_problem(info: zipfile.ZipInfo) -> str:
    """Why a member of a zip is not read; empty where it is."""
    if escapes(info.filename):
        return LEAVES
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link in an archive, which is not followed"
    if info.flag_bits & 1:
        return "it is encrypted"
    return TOO_LARGE if info.file_size > MAX_BYTES else ""


def escapes(name: str) -> bool:
    """Whether a member's path would leave the folder that an archive is unpacked to."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":")


def bounded(content: bytes) -> bytes:
    """The content itself, if it is not too much."""
    if len(content) > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return content


class StrictTarInfo(tarfile.TarInfo):
    """A member's header; one that is damaged or missing is an error.

    tarfile takes such a header for the archive's end, and so a cut archive for a whole one.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end's own mark
            raise
        except tarfile.HeaderError as cause:
            raise DamagedTarError(str(cause)) from cause


class DamagedTarError(Exception):
    """A tar ends early, or within it something else begins."""


class TarSource:
    """The pictures in a tar, compressed or not, in its own order, read once from front to end.

    Raises:
        DatasetError: it cannot be opened; or later, on the way, it turns out to be damaged.
    """

    readers = 1

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.everything, self.aside = False, Aside()
        self.fraction = 0.0  # read so far

    def entries(self) -> Iterator[Entry]:
        """In the archive's order."""
        sieve = Sieve(self.everything)
        for member, archive in self.members():
            name = member.name.removeprefix("./")
            problem = tar_problem(member)
            stream = None if problem else archive.extractfile(member)
            head = stream.read(HEAD) if stream and sieve.needs_head(name) else b""
            if sieve.takes(name, head):
                read = partial(read_rest, head, stream) if stream else None
                yield Entry(name, read=read, problem=problem)
        self.aside = sieve.aside

    def members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        """Every member but folders; the memory of those before is let go."""
        last = "its start"
        size = max(self.path.stat().st_size, 1)
        try:
            with (
                self.path.open("rb") as file,
                tarfile.open(fileobj=file, mode="r|*", tarinfo=StrictTarInfo) as archive,
            ):
                for member in archive:
                    last = member.name
                    self.fraction = min(file.tell() / size, 1.0)
                    archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                    if not member.isdir():
                        yield member, archive
        except (tarfile.TarError, DamagedTarError, OSError, EOFError) as cause:
            raise DatasetError(
                f"The archive {self.path} is damaged after {last}: {cause}.",
                "Fetch it again, or unpack what can be had and name that folder.",
            ) from cause

    def expected(self, seen: int) -> int | None:
        """By how much of the file was read."""
        return round(seen / self.fraction) if self.fraction else None

    def find_manifest(self) -> bytes | None:
        """The dataset.json at its root: a pass over the whole archive if need be."""
        for member, archive in self.members():
            if member.name.removeprefix("./") == MANIFEST and member.isfile():
                return read_member(archive, member)
        return None


def tar_problem(member: tarfile.TarInfo) -> str:
    """Why a member of a tar is not read; empty where it is."""
    if escapes(member.name):
        return LEAVES
    if member.issym() or member.islnk():
        return "a link in an archive, which is not followed"
    if not member.isfile():
        return "it is no plain file"
    return TOO_LARGE if member.size > MAX_BYTES else ""


def read_rest(head: bytes, stream: IO[bytes]) -> bytes:
    """A member's bytes, of which the first were read before."""
    return head + stream.read()


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A plain member's bytes."""
    stream = archive.extractfile(member)
    assert stream is not None  # plain files have content
    return stream.read()


class StreamSource:
    """Pictures that someone else lists and reads, an object store for instance.

    Args:
        name: What to call it.
        list_streams: Gives names with what reads each; the names the same every time, in order.
            To read may raise OSError, which is that picture's reason to be skipped; errors of ours
            end the whole.
        find: The bytes of a named file, None where there is none.
        count: How many there are, if that is known.
        readers: How many may be read at once.
    """

    def __init__(
        self,
        name: str,
        list_streams: Callable[[], Iterable[tuple[str, Callable[[], bytes]]]],
        find: Callable[[str], bytes | None] = lambda name: None,
        count: Callable[[], int | None] = lambda: None,
        readers: int = 1,
    ) -> None:
        self.name, self.list_streams, self.find, self.readers = name, list_streams, find, readers
        self.count = count
        self.everything, self.aside = False, Aside()

    def entries(self) -> Iterator[Entry]:
        """As they are listed."""
        sieve = Sieve(self.everything)
        for name, read in self.list_streams():
            if sieve.takes(name):
                yield Entry(name, read=read)
        self.aside = sieve.aside

    def expected(self, seen: int) -> int | None:
        """What the lister knows."""
        return self.count()

    def find_manifest(self) -> bytes | None:
        """The dataset.json at its root."""
        return self.find(MANIFEST)


def open_source(path: Path) -> Source:
    """The pictures in a folder, a zip or a tar.

    Raises:
        DatasetError: it is none of them, or cannot be read.
    """
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise DatasetError(f"{path} does not exist.", "Name a folder of pictures, a zip or a tar.")
    try:
        if zipfile.is_zipfile(path):
            return ZipSource(path)
        if tarfile.is_tarfile(path):
            return TarSource(path)
    except OSError as cause:
        raise DatasetError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    raise DatasetError(
        f"{path} is no folder, no zip and no tar, or is damaged.",
        "Name a folder of pictures, a .zip, a .tar or a .tar.gz.",
    )
