"""``model.tar.gz``: made alike of the same files, and read in memory, for it may be hostile."""

import io
import os
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from facegan.errors import ArtifactError
from facegan.model_files.card import CARD_NAME, GRAPH_NAMES, WEIGHTS_NAME, first_line

MAX_CARD_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30  # far above any generator here; stops a decompression bomb
LIMITS = dict.fromkeys((WEIGHTS_NAME, *GRAPH_NAMES), MAX_WEIGHTS_BYTES) | {
    CARD_NAME: MAX_CARD_BYTES
}


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
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            for member in tar:
                check_member(member, path)
                name = os.path.normpath(member.name)
                if name in LIMITS and member.isfile():
                    files[name] = read_member(tar, member, LIMITS[name], path)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as cause:
        raise ArtifactError(
            f"{path} is not a readable model.tar.gz: {first_line(cause)}",
            "It is truncated, damaged, or another kind of file (pickled models are never loaded).",
        ) from cause
    return files


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
