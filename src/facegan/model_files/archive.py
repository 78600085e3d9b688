"""``model.tar.gz``: made alike of the same files, and read within limits, for it may be hostile.

Whoever reads a tar from outside does so by :func:`opened`. Only plain files and folders are taken,
with names that stay where they are unpacked, and only so many members and bytes.
"""

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from facegan.errors import ArtifactError, reason_of
from facegan.files import open_regular
from facegan.model_files.card import CARD_NAME, GRAPH_NAMES, WEIGHTS_NAME, parse_card
from facegan.model_files.graph_check import MAX_GRAPH_BYTES, check_graphs
from facegan.model_files.gunzip import PIECE, Gunzip, UnlikeModels
from facegan.model_files.weights import WeightsHeader, read_exactly, read_header
from facegan.strict_tar import StrictTarInfo

MAX_CARD_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30  # far above any generator here
LIMITS = {
    CARD_NAME: MAX_CARD_BYTES,
    WEIGHTS_NAME: MAX_WEIGHTS_BYTES,
    **dict.fromkeys(GRAPH_NAMES, MAX_GRAPH_BYTES),
}
CODE = "code/"  # a model's own code, with the packages that it brings
AGAIN = "Copy it again, or pack it again from the run."
KINDS = "It is truncated, damaged, or another kind of file (pickled models are never loaded)."
UNLIKE = "No archive of ours is so: it is hostile or broken. Pack it again from the run."
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to.

    Attributes:
        members: How many files and folders; those below ``code/`` are counted apart.
        code_members: How many of those.
        unpacked: Bytes of all together.
        ratio: How many times its packed size; numbers that were learnt come to 1.1.
        free: Bytes that the ratio does not count.
    """

    members: int = 64
    code_members: int = 10_000
    unpacked: int = MAX_WEIGHTS_BYTES
    ratio: int = 10
    free: int = 64 << 20

    def bytes_for(self, packed: int) -> int:
        """Return how many bytes so many packed ones may become."""
        return min(self.unpacked, self.free + self.ratio * packed)


MODEL = Limits()


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, in their order."""
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
    ) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)  # no times, owners or modes of this machine
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    body = bytearray(packed.getvalue())
    body[4:8] = bytes(4)  # gzip's own time stamp
    return bytes(body)


# --- reading, whatever it is ----------------------------------------------------------------------


class Member:
    """A file in an archive, to be read before the next one is asked for."""

    def __init__(self, name: str, size: int, stream: Gunzip) -> None:
        self.name, self.size, self.left, self.stream = name, size, size, stream

    def read(self, size: int) -> bytes:
        """Return its next bytes, at most so many; none at its end."""
        if not (wanted := min(size, self.left)):
            return b""
        piece = self.stream.piece(wanted)
        if not piece:
            raise EOFError(f"{self.name} ends early")
        self.left -= len(piece)
        return piece

    def whole(self, limit: int) -> bytes:
        """Return all of its bytes.

        Raises:
            ValueError: there are more than the limit.
        """
        if self.size > limit:
            raise UnlikeModels(f"{self.name} claims {self.size:,} bytes, over {limit:,}")
        return read_exactly(self, self.size)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""
        while piece := self.read(PIECE):
            yield piece


@contextmanager
def opened(path: Path, hint: str = KINDS, limits: Limits = MODEL) -> Iterator[Iterator[Member]]:
    """Yield an archive's files one after the other. Who reads them to the end has seen it whole.

    Raises:
        ArtifactError: it is damaged or hostile, also while it is read; the hint says what to do.
    """
    try:
        with open_regular(path) as file:
            most = limits.bytes_for(os.fstat(file.fileno()).st_size)
            yield members(Gunzip(file, most), path, limits)
    except UnlikeModels as cause:
        raise ArtifactError(f"{path} is refused: {cause}.", UNLIKE) from cause
    except (
        OSError, EOFError, ValueError, RecursionError, OverflowError, tarfile.TarError, zlib.error
    ) as cause:  # fmt: skip
        told = f"{path} is no readable archive: {reason_of(cause)}."
        raise ArtifactError(told, hint) from cause


def members(stream: Gunzip, path: Path, limits: Limits) -> Iterator[Member]:
    """Yield the files of a tar; folders are only counted."""
    names: set[str] = set()
    left, code_left = limits.members, limits.code_members
    with tarfile.TarFile(fileobj=stream, tarinfo=StrictTarInfo) as tar:  # type: ignore[arg-type]
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            name = clean_name(member, path)
            if name.startswith(CODE):
                code_left -= 1
            else:
                left -= 1
            if left < 0 or code_left < 0:
                most = limits.members if left < 0 else limits.code_members
                raise UnlikeModels(f"it has more than {most:,} members")
            if member.isfile():
                if name in names:
                    raise UnlikeModels(f"it holds {name[:100]!a} twice")
                names.add(name)
                if stream.position + member.size > tar.offset or member.size < 0:
                    raise UnlikeModels(f"the size of {name[:100]!a} contradicts its header")
                yield Member(name, member.size, stream)
            stream.seek(tar.offset)
            stream.expect_header()
    stream.finish()


def clean_name(member: tarfile.TarInfo, path: Path) -> str:
    """Return the name of a member as it lies below the archive's top.

    Raises:
        ArtifactError: it would leave its folder, or is neither a plain file nor a folder.
    """
    is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
    is_sparse = member.issparse() or any(key.startswith("GNU.sparse") for key in member.pax_headers)
    if is_sparse:
        raise ArtifactError(
            f"{path} holds {member.name[:100]!a}, which is sparse.",
            UNLIKE,
        )
    name = member.name
    if not is_plain or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ArtifactError(
            f"{path} holds {name[:100]!a}, which would escape its folder.",
            "The archive is hostile or broken; do not unpack it.",
        )
    return os.path.normpath(name)


def unpack(path: Path, folder: Path, hint: str = KINDS, limits: Limits = MODEL) -> None:
    """Write an archive's files below a folder, in which none of them is yet.

    Raises:
        ArtifactError: it is damaged or hostile, or a file cannot be written.
    """
    with opened(path, hint, limits) as files:
        for member in files:
            target = folder / member.name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as stream:
                    for piece in member.pieces():
                        stream.write(piece)
            except OSError as cause:
                told = f"{target} cannot be written: {cause.strerror}."
                raise ArtifactError(told, "Free some space, or check the archive.") from cause


def names_in(path: Path) -> list[str]:
    """Return the names of an archive's files."""
    with opened(path) as files:
        return [member.name for member in files]


# --- a model's ------------------------------------------------------------------------------------


def read_archive(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return some of a model's files; every other member must be harmless.

    Raises:
        ArtifactError: it is damaged or hostile.
    """
    with opened(path) as files:
        return {
            member.name: member.whole(LIMITS[member.name]) for member in files
            if member.name in names
        }  # fmt: skip


def read_first(path: Path, name: str, read: Callable[[Member], T]) -> T:
    """Return what is read from one file, and unpack nothing that lies behind it.

    Raises:
        ArtifactError: it is not there, or the archive is damaged or hostile up to there.
    """
    with opened(path) as files:
        for member in files:
            if member.name == name:
                return read(member)
    raise lacks(path, name)


def lacks(path: Path, *names: str) -> ArtifactError:
    """Return the error of an archive that is no model's."""
    hint = f"A facegan model has {CARD_NAME} and {WEIGHTS_NAME} at its top: RUN/model.tar.gz."
    return ArtifactError(f"{path} holds no {' and no '.join(names)}.", hint)


def card_in(path: Path) -> bytes:
    """Return the text of an archive's card."""
    return read_first(path, CARD_NAME, lambda member: member.whole(MAX_CARD_BYTES))


def header_in(path: Path) -> WeightsHeader:
    """Return what an archive's weights say that they are."""
    return read_first(path, WEIGHTS_NAME, lambda it: read_header(it, it.size)[0])


def check_archive(path: Path) -> dict[str, Any]:
    """Return the card of an archive whose weights and graphs are those that the card describes.

    It is looked into before it goes anywhere, without torch and without holding its weights: a
    damaged one is told here, in a second. Loading it is ``facegan.artifact``'s.

    Raises:
        ArtifactError: it is missing, damaged, or has no card or no weights; it is named.
    """
    if not path.exists():
        hint = "Train one first: a finished run leaves model.tar.gz."
        raise ArtifactError(f"There is no model at {path}.", hint)
    files: dict[str, bytes] = {}
    digest = None
    with opened(path, AGAIN) as inside:
        for member in inside:
            if member.name == WEIGHTS_NAME:
                digest = digest_of_weights(member)
            elif member.name in LIMITS:
                files[member.name] = member.whole(LIMITS[member.name])
    found = {CARD_NAME: files.get(CARD_NAME), WEIGHTS_NAME: digest}
    if missing := [name for name, it in found.items() if it is None]:
        raise lacks(path, *missing)
    card = parse_card(files[CARD_NAME], path)
    if digest != card.weights_sha256:
        raise ArtifactError(f"{path}: the weights are not those its card describes.", AGAIN)
    for name, wanted in (card.graph.sha256 if card.graph else {}).items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != wanted:
            raise ArtifactError(f"{path}: {name} is not the graph that the card describes.", AGAIN)
    if card.graph:
        check_graphs(path, files, card)
    return asdict(card)


def digest_of_weights(member: Member) -> str:
    """Return the SHA-256 of weights, which are read once; their header is checked on the way."""
    digest = hashlib.sha256(read_header(member, member.size)[1])
    for piece in member.pieces():
        digest.update(piece)
    return digest.hexdigest()
