"""Archives as other programs write them: raw names, marks of other systems, a folder around all."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

UNIX, DOS = 3, 0


class RawInfo(zipfile.ZipInfo):
    """A member whose name is written as it is given, in bytes."""

    raw, flags = b"", 0

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits | self.flags


def pack_zip(
    path: Path,
    members: Iterable[tuple[bytes | str, bytes]],
    system: int = UNIX,
    flags: int = 0,
    also: str | None = None,
) -> Path:
    """A zip of members with the very bytes of their names; `also` is their Unicode Path field."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = RawInfo(f"{len(archive.filelist)}")
            info.raw = name.encode() if isinstance(name, str) else name
            info.create_system, info.flags = system, flags
            if also is not None:
                field = struct.pack("<BL", 1, zlib.crc32(info.raw)) + also.encode()
                info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, content)
    return path


def pack_tar(
    path: Path, members: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT
) -> Path:
    """A tar of members, in their order."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
