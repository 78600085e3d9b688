"""Unpacks a gzip file from front to end, and never more of it than is allowed."""

import zlib
from typing import BinaryIO

PIECE = 1 << 16
GZIP = 31  # zlib's name of the format, with its header and its sum
MAX_STREAMS = 4096  # that may follow one another in one file
MAX_TAR_HEADER = 1 << 17  # bytes of one member's headers, with all that pax and GNU put before it


class UnlikeModels(ValueError):
    """It could be read, but no model's archive is so."""


class Gunzip:
    """What a TarFile reads its headers from; the members' bytes are read by :meth:`piece`.

    zlib itself reads gzip's headers: Python's gzip does so byte by byte, and takes a minute for one
    that is long. Every header of a tar is read within a budget, since tarfile takes any size.

    Args:
        file: The packed bytes.
        most: How many unpacked bytes there may be.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.most = file, most
        self.position = 0
        self.engine, self.streams, self.rest = zlib.decompressobj(GZIP), 1, b""
        self.header_left = MAX_TAR_HEADER

    def tell(self) -> int:
        """Return how many bytes were unpacked."""
        return self.position

    def seek(self, position: int) -> None:
        """Skip bytes.

        Raises:
            EOFError: there are fewer.
            ValueError: it would go back, or there are more than is allowed.
        """
        if position < self.position:
            raise UnlikeModels("its sizes contradict one another")
        while self.position < position:
            if not self.piece(position - self.position):
                raise EOFError("it ends early")

    def expect_header(self) -> None:
        """Allow the bytes of one more header."""
        self.header_left = MAX_TAR_HEADER

    def read(self, size: int) -> bytes:
        """Return a part of a header; less at the end.

        Raises:
            ValueError: it is larger than any.
        """
        if not 0 <= size <= self.header_left:
            raise UnlikeModels("a member's header is too large")
        self.header_left -= size
        pieces = []
        while size and (piece := self.piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def piece(self, most: int) -> bytes:
        """Return the next bytes, at least one and at most so many; none at the end.

        Raises:
            EOFError: the file ends early.
            ValueError: there is something else behind the end, or more than is allowed.
            zlib.error: the bytes are damaged.
        """
        while not self.engine.eof or self.goes_on():
            packed = self.rest or self.file.read(PIECE)
            if not packed:
                raise EOFError("it ends early")
            unpacked = self.engine.decompress(packed, min(most, PIECE))
            self.rest = self.engine.unconsumed_tail
            if unpacked:
                self.position += len(unpacked)
                if self.position > self.most:
                    raise UnlikeModels(f"it unpacks to more than {self.most >> 20:,} MiB")
                return unpacked
        return b""

    def goes_on(self) -> bool:
        """Return whether another stream follows the one that has ended; zeros may pad it."""
        rest = self.engine.unused_data.lstrip(b"\0")
        while not rest and (packed := self.file.read(PIECE)):
            rest = packed.lstrip(b"\0")
        if not rest:
            return False
        self.streams += 1
        if self.streams > MAX_STREAMS or not rest.startswith(b"\x1f"):
            raise UnlikeModels("something else follows its end")
        self.engine, self.rest = zlib.decompressobj(GZIP), rest
        return True

    def finish(self) -> None:
        """Unpack what is left, so that a cut file or a wrong sum is noticed.

        Raises:
            ValueError: it is more than the zeros that pad a tar.
        """
        while piece := self.piece(PIECE):
            if piece.strip(b"\0"):
                raise UnlikeModels("something else follows its end")
