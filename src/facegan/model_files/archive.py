"""Packs ``model.tar.gz`` reproducibly, and reads archives within limits, as they may be hostile.

Every archive from outside is read by :func:`open_archive`. It accepts plain files and folders only,
with names that stay below the target folder, and a limited number of members and bytes.
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
from facegan.model_files.gunzip import CHUNK_BYTES, Gunzip, NotAModelArchive
from facegan.model_files.weights import WeightsHeader, read_exactly, read_header
from facegan.strict_tar import StrictTarInfo

MAX_CARD_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30  # far above any generator here
LIMITS = {
    CARD_NAME: MAX_CARD_BYTES,
    WEIGHTS_NAME: MAX_WEIGHTS_BYTES,
    **dict.fromkeys(GRAPH_NAMES, MAX_GRAPH_BYTES),
}
CODE_FOLDER = "code/"  # custom inference code and its packages
COPY_HINT = "Copy it again, or pack it again from the run."
DAMAGED_HINT = "It is truncated, damaged or not an archive (pickled models are never loaded)."
HOSTILE_HINT = "The archive is hostile or broken. Pack it again from the run."
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits of what an archive unpacks to.

    Attributes:
        members: Files and folders outside ``code/``.
        code_members: Files and folders below ``code/``.
        unpacked: Bytes of all files.
        ratio: Unpacked to packed size; weights have 1.1.
        free: Bytes that are always allowed.
    """

    members: int = 64
    code_members: int = 10_000
    unpacked: int = MAX_WEIGHTS_BYTES
    ratio: int = 10
    free: int = 64 << 20

    def max_bytes(self, packed: int) -> int:
        """Return how many bytes an archive of a packed size may unpack to."""
        return min(self.unpacked, self.free + self.ratio * packed)


MODEL_LIMITS = Limits()


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, in their order; the same files give the same bytes."""
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


# --- reading any archive ------------------------------------------------------------------------


class Member:
    """A file in an archive, to be read before the next one."""

    def __init__(self, name: str, size: int, stream: Gunzip) -> None:
        self.name, self.size, self.remaining, self.stream = name, size, size, stream

    def read(self, size: int) -> bytes:
        """Return at most `size` next bytes; none at the end."""
        if not (wanted := min(size, self.remaining)):
            return b""
        chunk = self.stream.read_chunk(wanted)
        if not chunk:
            raise EOFError(f"{self.name} ends early")
        self.remaining -= len(chunk)
        return chunk

    def read_all(self, limit: int) -> bytes:
        """Return all of its bytes; refuse more than the limit."""
        if self.size > limit:
            raise NotAModelArchive(f"{self.name} has {self.size:,} bytes, over {limit:,}")
        return read_exactly(self, self.size)

    def chunks(self) -> Iterator[bytes]:
        """Yield all of its bytes."""
        while chunk := self.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def open_archive(
    path: Path, hint: str = DAMAGED_HINT, limits: Limits = MODEL_LIMITS
) -> Iterator[Iterator[Member]]:
    """Yield an archive's files in order; reading all of them checks the whole archive.

    Raises:
        ArtifactError: it is damaged or hostile, also while it is read.
    """
    try:
        with open_regular(path) as file:
            limit = limits.max_bytes(os.fstat(file.fileno()).st_size)
            yield members(Gunzip(file, limit), path, limits)
    except NotAModelArchive as cause:
        raise ArtifactError(f"{path} is refused: {cause}.", HOSTILE_HINT) from cause
    except (
        OSError, EOFError, ValueError, RecursionError, OverflowError, tarfile.TarError, zlib.error
    ) as cause:  # fmt: skip
        raise ArtifactError(
            f"{path} is not a readable archive: {reason_of(cause)}.", hint
        ) from cause


def members(stream: Gunzip, path: Path, limits: Limits) -> Iterator[Member]:
    """Yield the files of a tar; folders are only counted."""
    names: set[str] = set()
    left, code_left = limits.members, limits.code_members
    with tarfile.TarFile(fileobj=stream, tarinfo=StrictTarInfo) as tar:  # type: ignore[arg-type]
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # TarFile would keep them all
            name = safe_name(member, path)
            if name.startswith(CODE_FOLDER):
                code_left -= 1
            else:
                left -= 1
            if left < 0 or code_left < 0:
                limit = limits.members if left < 0 else limits.code_members
                raise NotAModelArchive(f"it has more than {limit:,} members")
            if member.isfile():
                if name in names:
                    raise NotAModelArchive(f"it has {name[:100]!a} twice")
                names.add(name)
                if stream.position + member.size > tar.offset or member.size < 0:
                    raise NotAModelArchive(f"the size of {name[:100]!a} contradicts its header")
                yield Member(name, member.size, stream)
            stream.seek(tar.offset)
            stream.expect_header()
    stream.finish()


def safe_name(member: tarfile.TarInfo, path: Path) -> str:
    """Return a member's normalised name; refuse special files and names outside the folder."""
    is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
    is_sparse = member.issparse() or any(key.startswith("GNU.sparse") for key in member.pax_headers)
    if is_sparse:
        raise ArtifactError(f"{path} has {member.name[:100]!a}, which is sparse.", HOSTILE_HINT)
    name = member.name
    if not is_plain or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ArtifactError(
            f"{path} has {name[:100]!a}, which would escape its folder.",
            "The archive is hostile or broken; do not unpack it.",
        )
    return os.path.normpath(name)


def unpack(
    path: Path, folder: Path, hint: str = DAMAGED_HINT, limits: Limits = MODEL_LIMITS
) -> None:
    """Write an archive's files below a folder; none may exist yet."""
    with open_archive(path, hint, limits) as files:
        for member in files:
            target = folder / member.name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as stream:
                    for chunk in member.chunks():
                        stream.write(chunk)
            except OSError as cause:
                raise ArtifactError(
                    f"{target} cannot be written: {cause.strerror}.",
                    "Free some space, or check the archive.",
                ) from cause


def list_archive(path: Path) -> list[str]:
    """Return the names of an archive's files."""
    with open_archive(path) as files:
        return [member.name for member in files]


# --- a model's archive ----------------------------------------------------------------------------


def read_archive(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return some of a model's files; all other members are checked too."""
    with open_archive(path) as files:
        return {
            member.name: member.read_all(LIMITS[member.name]) for member in files
            if member.name in names
        }  # fmt: skip


def read_member(path: Path, name: str, read: Callable[[Member], T]) -> T:
    """Read one file of an archive, and nothing after it."""
    with open_archive(path) as files:
        for member in files:
            if member.name == name:
                return read(member)
    raise missing_error(path, name)


def missing_error(path: Path, *names: str) -> ArtifactError:
    """Return the error of an archive without a model's files."""
    hint = f"A facegan model has {CARD_NAME} and {WEIGHTS_NAME} at its top: RUN/model.tar.gz."
    return ArtifactError(f"{path} has no {' and no '.join(names)}.", hint)


def read_archive_card(path: Path) -> bytes:
    """Return the text of an archive's card."""
    return read_member(path, CARD_NAME, lambda member: member.read_all(MAX_CARD_BYTES))


def read_archive_header(path: Path) -> WeightsHeader:
    """Return the header of an archive's weights."""
    return read_member(path, WEIGHTS_NAME, lambda member: read_header(member, member.size)[0])


def check_archive(path: Path) -> dict[str, Any]:
    """Check an archive's weights and graphs against its card, and return the card.

    Takes about a second, needs no torch and does not hold the weights in memory.

    Raises:
        ArtifactError: it is missing, damaged, or has no card or no weights.
    """
    if not path.exists():
        hint = "Train one first: a finished run leaves model.tar.gz."
        raise ArtifactError(f"There is no model at {path}.", hint)
    files: dict[str, bytes] = {}
    digest = None
    with open_archive(path, COPY_HINT) as inside:
        for member in inside:
            if member.name == WEIGHTS_NAME:
                digest = hash_weights(member)
            elif member.name in LIMITS:
                files[member.name] = member.read_all(LIMITS[member.name])
    found = {CARD_NAME: files.get(CARD_NAME), WEIGHTS_NAME: digest}
    if missing := [name for name, value in found.items() if value is None]:
        raise missing_error(path, *missing)
    card = parse_card(files[CARD_NAME], path)
    if digest != card.weights_sha256:
        raise ArtifactError(f"{path}: the weights are not those its card describes.", COPY_HINT)
    for name, wanted in (card.graph.sha256 if card.graph else {}).items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != wanted:
            raise ArtifactError(f"{path}: {name} is not the graph its card describes.", COPY_HINT)
    if card.graph:
        check_graphs(path, files, card)
    return asdict(card)


def hash_weights(member: Member) -> str:
    """Return the SHA-256 of weights, and check their header on the way."""
    digest = hashlib.sha256(read_header(member, member.size)[1])
    for chunk in member.chunks():
        digest.update(chunk)
    return digest.hexdigest()
