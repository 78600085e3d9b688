"""Decompresses a gzip file within a limit, as the stream that a tar is read from."""

import zlib
from typing import BinaryIO

CHUNK_BYTES = 1 << 16
GZIP_WBITS = 31  # zlib's wbits for gzip, with header and checksum
MAX_STREAMS = 4096  # gzip streams in one file
MAX_TAR_HEADER = 1 << 17  # bytes of one member's headers, with pax and GNU extensions


class NotAModelArchive(ValueError):
    """The archive is readable, but no model's archive looks like this."""


class Gunzip:
    """A stream for TarFile's headers; members' bytes are read by :meth:`read_chunk`.

    zlib parses gzip's headers: Python's gzip module reads them byte by byte, which takes a minute
    for a long one. Tar headers are read within a budget, since tarfile accepts any size.

    Args:
        file: The compressed file.
        limit: The most decompressed bytes.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.file, self.limit = file, limit
        self.position = 0
        self.decompressor, self.streams, self.rest = zlib.decompressobj(GZIP_WBITS), 1, b""
        self.header_left = MAX_TAR_HEADER

    def tell(self) -> int:
        """Return how many bytes were decompressed."""
        return self.position

    def seek(self, position: int) -> None:
        """Skip bytes, forward only."""
        if position < self.position:
            raise NotAModelArchive("its sizes contradict one another")
        while self.position < position:
            if not self.read_chunk(position - self.position):
                raise EOFError("it ends early")

    def expect_header(self) -> None:
        """Reset the budget for the next header."""
        self.header_left = MAX_TAR_HEADER

    def read(self, size: int) -> bytes:
        """Return part of a header; less at the end."""
        if not 0 <= size <= self.header_left:
            raise NotAModelArchive("a member's header is too large")
        self.header_left -= size
        chunks = []
        while size and (chunk := self.read_chunk(size)):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def read_chunk(self, most: int) -> bytes:
        """Return the next bytes, 1 to `most`; none at the end."""
        while not self.decompressor.eof or self.next_stream():
            packed = self.rest or self.file.read(CHUNK_BYTES)
            if not packed:
                raise EOFError("it ends early")
            unpacked = self.decompressor.decompress(packed, min(most, CHUNK_BYTES))
            self.rest = self.decompressor.unconsumed_tail
            if unpacked:
                self.position += len(unpacked)
                if self.position > self.limit:
                    raise NotAModelArchive(f"it unpacks to more than {self.limit >> 20:,} MiB")
                return unpacked
        return b""

    def next_stream(self) -> bool:
        """Start the next gzip stream; return False at the end, which zeros may pad."""
        rest = self.decompressor.unused_data.lstrip(b"\0")
        while not rest and (packed := self.file.read(CHUNK_BYTES)):
            rest = packed.lstrip(b"\0")
        if not rest:
            return False
        self.streams += 1
        if self.streams > MAX_STREAMS or not rest.startswith(b"\x1f"):
            raise NotAModelArchive("something else follows its end")
        self.decompressor, self.rest = zlib.decompressobj(GZIP_WBITS), rest
        return True

    def finish(self) -> None:
        """Decompress the rest, which must be zeros, so that a truncated file is noticed."""
        while chunk := self.read_chunk(CHUNK_BYTES):
            if chunk.strip(b"\0"):
                raise NotAModelArchive("something else follows its end")
