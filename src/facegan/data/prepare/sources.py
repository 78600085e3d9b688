"""Where images come from: a folder tree, a zip, a tar, or named streams, in one fixed order."""

import hashlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from facegan.data.prepare.dedup import DigestIndex
from facegan.data.prepare.file_filter import (
    MANIFEST,
    RUN_FILE,
    RUN_IMAGES,
    SAMPLES_OF_A_RUN,
    FileFilter,
    by_product,
)
from facegan.data.prepare.names import (
    AGAIN,
    backslashes_to_slashes,
    check_encoding,
    clean_name,
    escapes,
    nfc,
    uses_backslashes,
    zip_names,
)
from facegan.data.prepare.pixels import MAX_BYTES, UnusableError
from facegan.data.prepare.skip_report import IgnoredFiles, printable
from facegan.errors import DatasetError
from facegan.image_files import HEAD, has_image_suffix, read_head
from facegan.path_kinds import describe_path, no_images_error
from facegan.strict_tar import StrictTarInfo, is_tar

MOST_MANIFESTS = 16  # of a tar's, that are held while it is looked through
TOO_LARGE = f"the file has over {MAX_BYTES:,} bytes"


@dataclass(frozen=True)
class Entry:
    """An image that was found, and how to get its bytes."""

    name: str  # below the source, parts joined by "/"
    path: str | None = None  # a file on this machine,
    read: Callable[[], bytes] | None = None  # or its bytes, to be read before the next entry is
    problem: str = ""  # or why it cannot be used
    label: str | None = None  # its class, where the source says it
    split: str | None = None


class Source(Protocol):
    """Images in an order that is the same every time."""

    name: str
    readers: int  # threads that read at once; 1 where entries must be read in their order
    everything: bool  # whether hidden files and by-products of programs are looked into, too

    @property
    def ignored(self) -> IgnoredFiles:
        """What was not looked into, when all entries were last given."""

    def entries(self) -> Iterator[Entry]:
        """Every image found. Raises DatasetError where the source itself is damaged."""

    def expected(self, seen: int) -> int | None:
        """How many there will be, after `seen` of them; None if unknown."""

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes, by its clean name; None where there is none.

        Raises:
            DatasetError: it cannot be read.
        """


def usable_names(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the names of images that may be used."""
    yield from (entry.name for entry in entries if not entry.problem)


def read_file(path: Path) -> bytes:
    """An image file's bytes.

    Raises:
        UnusableError: it is no plain file (a pipe would be waited for), or too large.
        OSError: it cannot be read.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UnusableError("it is no plain file")
    if facts.st_size > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return check_size(path.read_bytes())


class FolderSource:
    """Every image below a folder, at any depth. Links to folders are named, not followed."""

    readers = 1

    def __init__(self, folder: Path) -> None:
        self.everything, self.ignored = False, IgnoredFiles()
        self.folder, self.name = folder, folder.resolve().name
        self.count: int | None = None

    def below(self, images_folder: str) -> "FolderSource":
        """The images of one folder in it only.

        Raises:
            DatasetError: it is not in it.
        """
        if escapes(images_folder):
            raise DatasetError(
                f"{self.folder / MANIFEST} names an images_folder that is not below it: "
                f"{images_folder!r}."
            )
        found = FolderSource(self.folder / images_folder)
        found.name, found.everything = self.name, self.everything
        return found

    def entries(self) -> Iterator[Entry]:
        """In the order of the names, folder by folder; only one folder's names are held."""
        sieve = FileFilter(self.everything)
        waiting = [("", FolderListing(iter([""]), frozenset([""])))]
        while waiting:
            prefix, listing = waiting[-1]
            name = next(listing.names, None)
            if name is None:
                waiting.pop()
                continue
            # No Path: to make one takes longer than all else that is done here.
            path = os.path.join(self.folder, prefix + name)  # noqa: PTH118
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
            elif has_image_suffix(name) or sieve.takes_head(prefix + name, read_head(path)):
                yield Entry(prefix + name, path)
        self.ignored = sieve.ignored

    def expected(self, seen: int) -> int | None:
        """Counted by a first walk, which reads no file."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes; None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            place = self.folder / name
            raise DatasetError(f"{place} cannot be read: {cause.strerror}.") from cause


class FolderListing(NamedTuple):
    """What lies in a folder."""

    names: Iterator[str]  # in order
    folders: frozenset[str]
    links: frozenset[str] = frozenset()
    of_ours: dict[str, str] = {}  # folders of by-products of facegan's → what to call them


def list_folder(folder: str) -> FolderListing:
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
    ordered = sorted(names, key=lambda name: (nfc(name), name))
    return FolderListing(iter(ordered), frozenset(folders), frozenset(links), of_ours)


def empty_folders(folder: Path, classes: Container[str]) -> list[str]:
    """The folders in a folder that are none of the classes, nor by-products, in order."""
    try:
        found = list_folder(str(folder)).folders
    except OSError:
        return []
    seen = {name: nfc(name).strip() for name in found}
    return sorted(n for n in found if seen[n] not in classes and not by_product(n))


def count_files(folder: str) -> int:
    """How many files lie below a folder."""
    return sum(len(names) for _, _, names in os.walk(folder))


class ZipSource:
    """The images in a zip, in the order of their names; nothing is unpacked to the disk.

    Args:
        path: The file.
        encoding: How names are written of which the zip does not say it.

    Raises:
        DatasetError: it is damaged.
    """

    readers = 1

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path, self.name = path, path.name
        try:
            self.archive = zipfile.ZipFile(path)
        except UnicodeDecodeError as cause:
            raise DatasetError(
                f"The archive {path} holds a name that is marked as UTF-8 and is not.",
                "Unpack it and name the folder, or pack it again.",
            ) from cause
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as cause:
            raise DatasetError(f"The archive {path} cannot be read: {cause}.") from cause
        infos = self.archive.infolist()
        names = zip_names(str(path), infos, encoding)
        files = [
            (*clean_name(name), info)
            for name, info in zip(names, infos, strict=True)
            if not name.endswith("/")
        ]
        self.members = sorted(files, key=lambda file: file[0].split("/"))
        self.everything, self.ignored = False, IgnoredFiles()
        self.count: int | None = None

    def entries(self) -> Iterator[Entry]:
        """In the order that a folder of the same files has; of one name the first in the zip."""
        sieve, before = FileFilter(self.everything), ""
        for name, _, _ in self.members:
            sieve.note_run(name)
        for name, problem, info in self.members:
            problem = problem or zip_problem(info) or (AGAIN if name == before else "")
            before = name
            head = self.read_head(info) if sieve.needs_head(name) and not problem else b""
            if sieve.takes(name, head):
                yield Entry(
                    name, problem=problem, read=None if problem else partial(self.read, info)
                )
        self.ignored = sieve.ignored

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
            return check_size(stream.read(MAX_BYTES + 1))

    def expected(self, seen: int) -> int:
        """The directory at a zip's end tells."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes, the first of that name; None where there is none."""
        info = next((info for member, _, info in self.members if member == name), None)
        if info is None:
            return None
        try:
            return self.read(info)
        except Exception as cause:  # a damaged member may raise anything
            raise DatasetError(f"{name} in {self.path} cannot be read: {cause}.") from cause


def zip_problem(info: zipfile.ZipInfo) -> str:
    """Why a member of a zip is not read; empty where it is."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link in an archive, which is not followed"
    if info.flag_bits & 1:
        return "it is encrypted"
    return TOO_LARGE if info.file_size > MAX_BYTES else ""


def check_size(content: bytes) -> bytes:
    """The content itself, if it is not too much."""
    if len(content) > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return content


class TarSource:
    """The images in a tar, compressed or not, in its own order, read once from front to end.

    Args:
        path: The file.
        encoding: How names are written that are not UTF-8.

    Raises:
        DatasetError: it cannot be opened; or later, on the way, it turns out to be damaged.
    """

    readers = 1

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path, self.name, self.encoding = path, path.name, encoding or "utf-8"
        self.everything, self.ignored = False, IgnoredFiles()
        self.fraction = 0.0  # read so far

    def entries(self) -> Iterator[Entry]:
        """In the archive's order; of one name the first."""
        sieve = FileFilter(self.everything)
        with closing(DigestIndex()) as seen:
            for member, archive in self.members():
                name, problem = self.clean_name(member)
                digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
                again = AGAIN if seen.add(digest, "") is not None else ""
                problem = problem or tar_problem(member) or again
                stream = None if problem else archive.extractfile(member)
                head = stream.read(HEAD) if stream and sieve.needs_head(name) else b""
                if sieve.takes(name, head):
                    read = partial(read_rest, head, stream) if stream else None
                    yield Entry(name, read=read, problem=problem)
        self.ignored = sieve.ignored

    def clean_name(self, member: tarfile.TarInfo) -> tuple[str, str]:
        """A member's clean name, and why it is not read."""
        name = backslashes_to_slashes(member.name) if self.uses_backslashes else member.name
        return clean_name(name)

    @cached_property
    def uses_backslashes(self) -> bool:
        """Whether its names are written as on Windows: the look ends with the first that is not."""
        names = (member.name.removeprefix("./") for member, _ in self.members())
        return uses_backslashes(names)

    def members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        """Every member but folders; the memory of those before is let go."""
        last = "its start"
        size = max(self.path.stat().st_size, 1)
        try:
            with (
                self.path.open("rb") as file,
                tarfile.open(
                    fileobj=file,
                    mode="r|*",
                    tarinfo=StrictTarInfo,
                    encoding=self.encoding,
                    errors="surrogateescape",
                ) as archive,
            ):
                for member in archive:
                    last = printable(member.name)
                    self.fraction = min(file.tell() / size, 1.0)
                    archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                    if not member.isdir():
                        yield member, archive
        except (tarfile.TarError, OSError, EOFError) as cause:
            raise DatasetError(
                f"The archive {self.path} is damaged after {last}: {cause}.",
                "Fetch it again, or unpack what can be had and name that folder.",
            ) from cause

    def expected(self, seen: int) -> int | None:
        """By how much of the file was read."""
        return round(seen / self.fraction) if self.fraction else None

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes: a pass over the whole archive if need be."""
        for member, archive in self.members():
            if self.clean_name(member) == (name, "") and member.isfile():
                return read_member(archive, member)
        return None

    def read_manifests(self) -> dict[str, bytes]:
        """Return the bytes of each dataset.json by its name, in one pass; of the root's it ends."""
        found: dict[str, bytes] = {}
        for member, archive in self.members():
            name, problem = self.clean_name(member)
            if name.rpartition("/")[2] == MANIFEST and member.isfile() and not problem:
                found.setdefault(name, read_member(archive, member))
                if name == MANIFEST or len(found) == MOST_MANIFESTS:
                    break
        return found


def tar_problem(member: tarfile.TarInfo) -> str:
    """Why a member of a tar is not read; empty where it is."""
    if member.issym() or member.islnk():
        return "a link in an archive, which is not followed"
    if not member.isfile():
        return "it is no plain file"
    return TOO_LARGE if member.size > MAX_BYTES else ""


def read_rest(head: bytes, stream: IO[bytes]) -> bytes:
    """A member's bytes, of which the first were read before."""
    return head + stream.read()


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A plain member's bytes.

    Raises:
        DatasetError: there are too many.
    """
    if member.size > MAX_BYTES:
        raise DatasetError(f"{printable(member.name)} has over {MAX_BYTES:,} bytes.")
    stream = archive.extractfile(member)
    assert stream is not None  # plain files have content
    return stream.read()


class StreamSource:
    """Images that someone else lists and reads, an object store for instance.

    Args:
        name: What to call it.
        list_streams: Gives names with what reads each; the names the same every time, in order.
            To read may raise OSError, which is that image's reason to be skipped; errors of ours
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
        self.everything, self.ignored = False, IgnoredFiles()

    def entries(self) -> Iterator[Entry]:
        """As they are listed."""
        sieve = FileFilter(self.everything)
        for name, read in self.list_streams():
            if sieve.takes(name):
                yield Entry(name, read=read)
        self.ignored = sieve.ignored

    def expected(self, seen: int) -> int | None:
        """What the lister knows."""
        return self.count()


class SubfolderSource:
    """The images of a source that lie below a folder in it, named from there."""

    def __init__(self, source: Source, folder: str) -> None:
        self.source, self.prefix = source, folder.rstrip("/") + "/"
        self.name, self.readers = source.name, source.readers
        self.everything, self.ignored = source.everything, IgnoredFiles()

    def entries(self) -> Iterator[Entry]:
        """In the source's order."""
        for entry in self.source.entries():
            if entry.name.startswith(self.prefix):
                yield replace(entry, name=entry.name.removeprefix(self.prefix))
        self.ignored = self.source.ignored

    def expected(self, seen: int) -> int | None:
        """Unknown: the source counts what lies beside, too."""
        return None

    def find(self, name: str) -> bytes | None:
        """Return the bytes of a file below the folder; None where there is none."""
        return self.source.find(self.prefix + name)


def open_source(path: Path, encoding: str | None = None) -> Source:
    """The images in a folder, a zip or a tar.

    Args:
        path: What a user has named.
        encoding: How names in an archive are written that does not say it.

    Raises:
        ConfigError: there is no such encoding.
        DatasetError: it is none of them, or cannot be read.
    """
    if encoding is not None:
        check_encoding(encoding)
    if path.is_dir():
        return FolderSource(path)
    try:
        if path.is_file() and zipfile.is_zipfile(path):  # a pipe would be waited for
            return ZipSource(path, encoding)
        if path.is_file() and is_tar(path):
            return TarSource(path, encoding)
    except OSError as cause:
        raise DatasetError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    found = describe_path(path)
    if found.kind in ("zip", "tar"):
        message = f"{path} is {found.text} and is damaged: it cannot be opened."
        raise DatasetError(message, "Fetch it again.")
    raise no_images_error(found, wanted="a folder, a zip or a tar of images")
