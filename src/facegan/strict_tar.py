"""Reads tar headers strictly: truncated or damaged archives raise errors."""

import tarfile
import zlib
from pathlib import Path

PEEKED = 1 << 16


class StrictTarInfo(tarfile.TarInfo):
    """A member's header; a damaged or missing one is an error.

    tarfile treats such a header as the end of the archive.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "StrictTarInfo":
        """Read the next header.

        Raises:
            tarfile.ReadError: the archive is truncated or damaged.
        """
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the regular end
            raise
        except tarfile.HeaderError as cause:
            raise tarfile.ReadError(str(cause)) from cause


def is_tar(path: Path) -> bool:
    """Return whether a file begins like a tar, compressed or not."""
    with path.open("rb") as stream:
        packed = stream.read(PEEKED)
    try:
        if packed[:2] == b"\x1f\x8b" and peek_gzip(packed) is None:
            return False
        return tarfile.is_tarfile(path)
    except (EOFError, ValueError, zlib.error):
        return False


def peek_gzip(packed: bytes) -> bytes | None:
    """Decompress the beginning of a gzip file; None if it is empty.

    zlib reads the header: Python's gzip does so byte by byte, and takes seconds for a long one.

    Raises:
        zlib.error: they are damaged.
    """
    engine = zlib.decompressobj(31)
    head = engine.decompress(packed, PEEKED)
    is_whole = engine.eof or engine.unconsumed_tail or PEEKED in (len(packed), len(head))
    if not is_whole:
        raise zlib.error("it ends early")
    return head or None
