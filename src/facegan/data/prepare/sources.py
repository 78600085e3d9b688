"""The sources of images: a folder tree, a zip, a tar, or named streams, each in a fixed order."""

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

MOST_MANIFESTS = 16  # held in memory while a tar is searched
TOO_LARGE = f"the file has over {MAX_BYTES:,} bytes"


@dataclass(frozen=True)
class Entry:
    """An image that was found, and how to read it."""

    name: str  # its path below the source, with slashes
    path: str | None = None  # a file on this machine,
    read: Callable[[], bytes] | None = None  # or reads its bytes, before the next entry is taken,
    problem: str = ""  # or why it cannot be used
    label: str | None = None  # its class, if the source itself gives one
    split: str | None = None


class Source(Protocol):
    """Images in an order that is the same every time."""

    name: str
    readers: int  # threads that may read at once; 1 if entries must be read in order
    everything: bool  # whether to include hidden files and by-products of programs

    @property
    def ignored(self) -> IgnoredFiles:
        """The files that the last complete iteration ignored."""

    def entries(self) -> Iterator[Entry]:
        """Yield every image found.

        Raises:
            DatasetError: the source itself is damaged.
        """

    def expected(self, seen: int) -> int | None:
        """Estimate how many entries there are, after `seen` of them; None if unknown."""

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes, by its clean name; None if there is none.

        Raises:
            DatasetError: it cannot be read.
        """


def usable_names(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the names of the entries without a problem."""
    yield from (entry.name for entry in entries if not entry.problem)


def read_file(path: Path) -> bytes:
    """Return an image file's bytes.

    Raises:
        UnusableError: it is not a regular file (reading a pipe would block), or too large.
        OSError: it cannot be read.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UnusableError("it is not a regular file")
    if facts.st_size > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return check_size(path.read_bytes())


class FolderSource:
    """Every image below a folder, at any depth. Links to folders are reported, not followed."""

    readers = 1

    def __init__(self, folder: Path) -> None:
        self.everything, self.ignored = False, IgnoredFiles()
        self.folder, self.name = folder, folder.resolve().name
        self.count: int | None = None

    def below(self, images_folder: str) -> "FolderSource":
        """Return the images of one subfolder.

        Raises:
            DatasetError: the path leaves the folder.
        """
        if escapes(images_folder):
            raise DatasetError(
                f"{self.folder / MANIFEST} names an images_folder outside its own folder: "
                f"{images_folder!r}."
            )
        found = FolderSource(self.folder / images_folder)
        found.name, found.everything = self.name, self.everything
        return found

    def entries(self) -> Iterator[Entry]:
        """Yield images in the order of their names, folder by folder.

        Memory holds the names of one folder per level.
        """
        sieve = FileFilter(self.everything)
        waiting = [("", FolderListing(iter([""]), frozenset([""])))]
        while waiting:
            prefix, listing = waiting[-1]
            name = next(listing.names, None)
            if name is None:
                waiting.pop()
                continue
            # Creating a Path would take longer than everything else here.
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
        """Return the exact number, from a first pass that reads no image."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes; None if there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            place = self.folder / name
            raise DatasetError(f"{place} cannot be read: {cause.strerror}.") from cause


class FolderListing(NamedTuple):
    """The content of a folder."""

    names: Iterator[str]  # in order
    folders: frozenset[str]
    links: frozenset[str] = frozenset()
    of_ours: dict[str, str] = {}  # folders with facegan's own by-products → their label


def list_folder(folder: str) -> FolderListing:
    """Return a folder's names in order, and which of them are folders and links."""
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
    """Return the subfolders that are neither classes nor by-products, in order."""
    try:
        found = list_folder(str(folder)).folders
    except OSError:
        return []
    seen = {name: nfc(name).strip() for name in found}
    return sorted(n for n in found if seen[n] not in classes and not by_product(n))


def count_files(folder: str) -> int:
    """Return how many files are below a folder."""
    return sum(len(names) for _, _, names in os.walk(folder))


class ZipSource:
    """The images in a zip, in the order of their names; nothing is unpacked to the disk.

    Args:
        path: The file.
        encoding: The encoding of names that the zip does not declare.

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
                f"The archive {path} contains a name that is marked as UTF-8 but is not.",
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
        """Yield images in the order of a folder with the same files; repeated names are skipped."""
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
        """Return a member's first bytes; empty if they cannot be read."""
        try:
            with self.archive.open(info) as stream:
                return stream.read(HEAD)
        except Exception:  # a damaged member may raise anything
            return b""

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Return a member's bytes; its declared size is not trusted."""
        with self.archive.open(info) as stream:
            return check_size(stream.read(MAX_BYTES + 1))

    def expected(self, seen: int) -> int:
        """Return the exact number, from the zip's directory."""
        if self.count is None:
            self.count = sum(1 for _ in self.entries())
        return self.count

    def find(self, name: str) -> bytes | None:
        """Return the bytes of the first file with this name; None if there is none."""
        info = next((info for member, _, info in self.members if member == name), None)
        if info is None:
            return None
        try:
            return self.read(info)
        except Exception as cause:  # a damaged member may raise anything
            raise DatasetError(f"{name} in {self.path} cannot be read: {cause}.") from cause


def zip_problem(info: zipfile.ZipInfo) -> str:
    """Return why a member of a zip cannot be read; empty if it can."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link in an archive, which is not followed"
    if info.flag_bits & 1:
        return "it is encrypted"
    return TOO_LARGE if info.file_size > MAX_BYTES else ""


def check_size(content: bytes) -> bytes:
    """Return the content; raise UnusableError if it is too large."""
    if len(content) > MAX_BYTES:
        raise UnusableError(TOO_LARGE)
    return content


class TarSource:
    """The images in a tar, compressed or not, read sequentially in its own order.

    Args:
        path: The file.
        encoding: The encoding of names; None: UTF-8.

    Raises:
        DatasetError: while reading: it cannot be opened, or is damaged.
    """

    readers = 1

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path, self.name, self.encoding = path, path.name, encoding or "utf-8"
        self.everything, self.ignored = False, IgnoredFiles()
        self.fraction = 0.0  # of the file, read so far

    def entries(self) -> Iterator[Entry]:
        """Yield images in the archive's order; repeated names are skipped."""
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
        """Return a member's clean name, and why it cannot be read (empty if it can)."""
        name = backslashes_to_slashes(member.name) if self.uses_backslashes else member.name
        return clean_name(name)

    @cached_property
    def uses_backslashes(self) -> bool:
        """Whether backslashes separate folders; reading stops at the first name with a slash."""
        names = (member.name.removeprefix("./") for member, _ in self.members())
        return uses_backslashes(names)

    def members(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        """Yield every member except folders, without keeping earlier ones in memory."""
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
                    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps them all
                    if not member.isdir():
                        yield member, archive
        except (tarfile.TarError, OSError, EOFError) as cause:
            raise DatasetError(
                f"The archive {self.path} is damaged after {last}: {cause}.",
                "Download it again, or unpack what is readable and name that folder.",
            ) from cause

    def expected(self, seen: int) -> int | None:
        """Estimate the number from the fraction of the file that was read."""
        return round(seen / self.fraction) if self.fraction else None

    def find(self, name: str) -> bytes | None:
        """Return a file's bytes, from a new pass over the archive; None if there is none."""
        for member, archive in self.members():
            if self.clean_name(member) == (name, "") and member.isfile():
                return read_member(archive, member)
        return None

    def read_manifests(self) -> dict[str, bytes]:
        """Return each dataset.json by its name, from one pass that stops at the root's."""
        found: dict[str, bytes] = {}
        for member, archive in self.members():
            name, problem = self.clean_name(member)
            if name.rpartition("/")[2] == MANIFEST and member.isfile() and not problem:
                found.setdefault(name, read_member(archive, member))
                if name == MANIFEST or len(found) == MOST_MANIFESTS:
                    break
        return found


def tar_problem(member: tarfile.TarInfo) -> str:
    """Return why a member of a tar cannot be read; empty if it can."""
    if member.issym() or member.islnk():
        return "a link in an archive, which is not followed"
    if not member.isfile():
        return "it is not a regular file"
    return TOO_LARGE if member.size > MAX_BYTES else ""


def read_rest(head: bytes, stream: IO[bytes]) -> bytes:
    """Return a member's bytes; the head was read before."""
    return head + stream.read()


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the bytes of a regular member.

    Raises:
        DatasetError: it is too large.
    """
    if member.size > MAX_BYTES:
        raise DatasetError(f"{printable(member.name)} has over {MAX_BYTES:,} bytes.")
    stream = archive.extractfile(member)
    assert stream is not None  # regular files have content
    return stream.read()


class StreamSource:
    """Images that the caller lists and reads, for example from an object store.

    Args:
        name: The name of the source, for messages and the manifest.
        list_streams: Returns pairs of a name and a function that reads the file, always in the
            same order. If that raises an OSError, the image is skipped; a FaceGANError ends the
            whole run.
        find: Returns the bytes of a named file; None if there is none.
        count: Returns the number of images; None if unknown.
        readers: How many files may be read at once.
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
        """Yield images in the order of the listing."""
        sieve = FileFilter(self.everything)
        for name, read in self.list_streams():
            if sieve.takes(name):
                yield Entry(name, read=read)
        self.ignored = sieve.ignored

    def expected(self, seen: int) -> int | None:
        """Return the caller's count."""
        return self.count()


class SubfolderSource:
    """The images in one folder of a source, named relative to it."""

    def __init__(self, source: Source, folder: str) -> None:
        self.source, self.prefix = source, folder.rstrip("/") + "/"
        self.name, self.readers = source.name, source.readers
        self.everything, self.ignored = source.everything, IgnoredFiles()

    def entries(self) -> Iterator[Entry]:
        """Yield images in the order of the source."""
        for entry in self.source.entries():
            if entry.name.startswith(self.prefix):
                yield replace(entry, name=entry.name.removeprefix(self.prefix))
        self.ignored = self.source.ignored

    def expected(self, seen: int) -> int | None:
        """Return None: the source's count includes other folders."""
        return None

    def find(self, name: str) -> bytes | None:
        """Return the bytes of a file in the folder; None if there is none."""
        return self.source.find(self.prefix + name)


def open_source(path: Path, encoding: str | None = None) -> Source:
    """Open a folder, a zip or a tar as a source of images.

    Args:
        path: The path that the user gave.
        encoding: The encoding of names in an archive that does not declare it.

    Raises:
        ConfigError: Python does not know the encoding.
        DatasetError: the path is something else, or cannot be read.
    """
    if encoding is not None:
        check_encoding(encoding)
    if path.is_dir():
        return FolderSource(path)
    try:
        if path.is_file() and zipfile.is_zipfile(path):  # reading a pipe would block
            return ZipSource(path, encoding)
        if path.is_file() and is_tar(path):
            return TarSource(path, encoding)
    except OSError as cause:
        raise DatasetError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    found = describe_path(path)
    if found.kind in ("zip", "tar"):
        message = f"{path} is {found.text}, but is damaged and cannot be opened."
        raise DatasetError(message, "Download it again.")
    raise no_images_error(found, wanted="a folder, a zip or a tar of images")
