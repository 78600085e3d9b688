"""A tar's headers, read so that a cut or damaged archive is not taken for a whole one."""

import tarfile
import zlib
from pathlib import Path

PEEKED = 1 << 16


class StrictTarInfo(tarfile.TarInfo):
    """A member's header; one that is damaged or missing is an error.

    tarfile takes such a header for the archive's end, and so a cut archive for a whole one.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "StrictTarInfo":
        """Read the next header.

        Raises:
            tarfile.ReadError: the archive ends early, or within it something else begins.
        """
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end's own mark
            raise
        except tarfile.HeaderError as cause:
            raise tarfile.ReadError(str(cause)) from cause


def is_tar(path: Path) -> bool:
    """Return whether a file begins as a tar, compressed or not.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        packed = stream.read(PEEKED)
    try:
        if packed[:2] == b"\x1f\x8b" and peek_gzip(packed) is None:
            return False
        return tarfile.is_tarfile(path)
    except (EOFError, ValueError, zlib.error):
        return False


def peek_gzip(packed: bytes) -> bytes | None:
    """Return the first bytes that a file's first bytes unpack to; None where there are none.

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
