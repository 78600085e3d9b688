"""``model.tar.gz``: made alike of the same files, and read in memory, for it may be hostile."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegan.errors import ArtifactError, first_line
from facegan.model_files.card import CARD_NAME, GRAPH_NAMES, WEIGHTS_NAME

MAX_CARD_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30  # far above any generator here; stops a decompression bomb
LIMITS = dict.fromkeys((WEIGHTS_NAME, *GRAPH_NAMES), MAX_WEIGHTS_BYTES) | {
    CARD_NAME: MAX_CARD_BYTES
}
AGAIN = "Copy it again, or pack it again from the run."


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of files, in their order."""
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


def read_archive(path: Path) -> dict[str, bytes]:
    """The model's files in an archive; every other member must be harmless.

    Raises:
        ArtifactError: it is damaged or hostile.
    """
    files: dict[str, bytes] = {}
    kinds = "It is truncated, damaged, or another kind of file (pickled models are never loaded)."
    with opened(path, kinds) as tar:
        for member in tar:
            check_member(member, path)
            name = os.path.normpath(member.name)
            if name in LIMITS and member.isfile():
                files[name] = read_member(tar, member, LIMITS[name], path)
    return files


@contextmanager
def opened(path: Path, hint: str) -> Iterator[tarfile.TarFile]:
    """An archive, while it is read.

    Raises:
        ArtifactError: it breaks meanwhile; the hint mends it.
    """
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            yield tar
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as cause:
        told = f"{path} is no readable archive: {first_line(cause)}."
        raise ArtifactError(told, hint) from cause


def check_archive(path: Path) -> dict[str, Any]:
    """The card of an archive whose weights are those that the card describes.

    It is looked into before it goes anywhere, without torch and without holding its weights: a
    damaged one is told here, in a second. Loading it is ``facegan.artifact``'s.

    Raises:
        ArtifactError: it is missing, damaged, or has no card or no weights; it is named.
    """
    if not path.exists():
        hint = "Train one first: a finished run leaves model.tar.gz."
        raise ArtifactError(f"There is no model at {path}.", hint)
    card, digest = card_and_digest(path)
    missing = [name for name, it in ((CARD_NAME, card), (WEIGHTS_NAME, digest)) if it is None]
    if missing:
        hint = "A facegan model has both at its top; was the training finished?"
        raise ArtifactError(f"{path} holds no {' and no '.join(missing)}.", hint)
    if not isinstance(card, dict) or card.get("weights_sha256") != digest:
        raise ArtifactError(f"{path}: the weights are not those its card describes.", AGAIN)
    return card


def card_and_digest(path: Path) -> tuple[Any, str | None]:
    """The card, and the weights' digest; None for what is not there. Nothing is extracted."""
    card, digest = None, None
    with opened(path, AGAIN) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            stream = tar.extractfile(member) if member.isfile() else None
            if stream and name == CARD_NAME:
                card = json.loads(stream.read(MAX_CARD_BYTES))
            elif stream and name == WEIGHTS_NAME:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return card, digest


def check_member(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a member that would leave its folder, or that is neither a file nor a folder."""
    name = os.path.normpath(member.name)
    if name.startswith(("/", "..")) or not (member.isfile() or member.isdir()):
        raise ArtifactError(
            f"{path} holds {member.name!r}, which would escape its folder.",
            "The archive is hostile or broken; do not unpack it.",
        )


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int, path: Path) -> bytes:
    """One member's bytes, up to a limit."""
    if member.size > limit:
        raise ArtifactError(f"{path}: {member.name} claims {member.size} bytes, over {limit}.")
    stream = tar.extractfile(member)
    assert stream is not None  # the caller checked that it is a file
    content = stream.read()
    if len(content) != member.size:
        raise EOFError(f"{member.name} ends early")
    return content
