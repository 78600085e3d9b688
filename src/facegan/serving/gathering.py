"""A connection whose request is gathered before any thread is spent on it, whatever its pace."""

import contextlib
import errno
import re
import select
import socket

BLOCK_BYTES = 256 * 1024  # read at once from one connection, so that others get their turn
MAX_HEAD_BYTES = 64 * 1024
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;|\Z)")
MAX_LINE_BYTES = 8192  # of a chunk's size, as gunicorn has it
IS_CHUNKED = re.compile(rb"\r\nTransfer-Encoding:", re.IGNORECASE)
WANTS_CONTINUE = re.compile(rb"\r\nExpect:[ \t]*100-continue", re.IGNORECASE)
WANTS_CLOSE = re.compile(rb"\r\nConnection:[ \t]*close|\A[^\r\n]* HTTP/1\.0\r\n", re.IGNORECASE)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HeadTooLong(Exception):
    """What should be a request's head does not end."""


class GatheringSocket(socket.socket):
    """An accepted socket that first gathers a request, then plays it back.

    While it gathers it never blocks. A thread that takes it over reads what was gathered, in
    memory; should it have to wait for the caller after all, to read or to write, it gives up after
    ``patience_seconds``, where gunicorn would wait for ever.

    What is looked for here only decides *when* a thread takes over: gunicorn's parser sees every
    byte and has the last word on what the request is.

    Args:
        accepted: The socket as ``accept`` returned it; it is taken over.
        patience_seconds: How long a thread waits for one read, or for a whole write.
    """

    def __init__(self, accepted: socket.socket, patience_seconds: float) -> None:
        family, kind, number = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, number, fileno=accepted.detach())
        self.patience_seconds = patience_seconds
        self.gathered = bytearray()
        self.has_ended = False  # the caller will send no more
        self.held: bytes | None = None  # a reply's head, empty until it is there; None: sent as is
        self.forget_head()

    def forget_head(self) -> None:
        """Begin with the next request."""
        self.head = b""  # of the request being gathered, once it is whole
        self.end = 0  # where the request ends, or its next chunk begins
        self.is_chunked = False
        self.body_bytes = 0  # of the chunks before `end`
        self.is_cut = False  # it is not wanted, or will not be sent, to its end

    def setblocking(self, flag: bool) -> None:
        """Blocking, for gunicorn, means: as long as our patience lasts."""
        self.settimeout(self.patience_seconds if flag else 0.0)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What was gathered first, then what comes."""
        if flags & socket.MSG_PEEK:
            return self.peek(size, flags)
        if not self.gathered:
            return b"" if self.has_ended or self.is_cut else super().recv(size, flags)
        block = bytes(self.gathered[:size])
        del self.gathered[:size]
        return block

    def peek(self, size: int, flags: int) -> bytes:
        """What a read would get, without waiting for it: so one asks whether a caller is there.

        Raises:
            BlockingIOError: nothing, and the caller is there.
        """
        if self.gathered:
            return bytes(self.gathered[:size])
        poll = select.poll()  # a socket with patience would wait, whatever its flags
        poll.register(self, select.POLLIN)
        if not poll.poll(0):
            raise BlockingIOError
        return super().recv(size, flags)

    def hold_head(self) -> None:
        """Keep the next write, which is a reply's head, and send it with the one that follows.

        gunicorn writes them one by one; each is a packet, and wakes the caller.
        """
        self.held = b""

    def send_held(self) -> None:
        """Send a head that nothing followed."""
        head, self.held = self.held, None
        if head:
            self.sendall(head)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Write all; a caller who does not read is as good as gone.

        Raises:
            ConnectionResetError: it took longer than our patience.
        """
        if self.held == b"":
            self.held = data
            return
        if self.held:
            data, self.held = self.held + data, None
        try:
            super().sendall(data, flags)
        except TimeoutError as cause:
            raise ConnectionResetError(errno.ECONNRESET, "the caller does not read") from cause

    def gather(self, max_body_bytes: int) -> bool:
        """Read what is there, and say whether a thread can take over without waiting.

        It can once the request is whole, has ended early, or is sure to be refused, as its body is
        longer than `max_body_bytes`.

        Raises:
            HeadTooLong: no head ends within ``MAX_HEAD_BYTES``.
            OSError: the connection broke.
        """
        with contextlib.suppress(BlockingIOError):
            block = super().recv(BLOCK_BYTES)
            self.has_ended = not block
            self.gathered += block
        if not self.head and not self.read_head(max_body_bytes):
            return self.has_ended
        return self.is_whole(max_body_bytes) or self.is_cut

    def read_head(self, max_body_bytes: int) -> bool:
        """Find the head's end, and from it the request's; False if it is not there."""
        end = self.gathered.find(HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self.gathered) >= MAX_HEAD_BYTES:
                raise HeadTooLong
            return False
        self.end = end + len(HEAD_END)
        self.head = bytes(self.gathered[: self.end])
        self.is_chunked = IS_CHUNKED.search(self.head) is not None
        length = CONTENT_LENGTH.search(self.head)
        body = int(length[1]) if length and not self.is_chunked else 0
        # A body over the limit is refused by its length; not a byte of it is waited for.
        self.is_cut = body > max_body_bytes
        self.end += 0 if self.is_cut else body
        if (self.is_chunked or (body and not self.is_cut)) and WANTS_CONTINUE.search(self.head):
            super().send(CONTINUE)
        return True

    def is_whole(self, max_body_bytes: int) -> bool:
        """Whether all of the request is gathered; else it may be cut off."""
        if self.is_chunked:
            is_there = self.has_last_chunk(max_body_bytes)
        else:
            is_there = len(self.gathered) >= self.end
        self.is_cut = self.is_cut or (self.has_ended and not is_there)
        return is_there

    def has_last_chunk(self, max_body_bytes: int) -> bool:
        """Walk from chunk to chunk (RFC 9112, section 7.1), as far as they are there.

        The walk ends, and cuts the request, where it is malformed or over the limit: gunicorn or
        the app refuses it when it comes to that.
        """
        while (line := self.gathered.find(b"\r\n", self.end, self.end + MAX_LINE_BYTES)) >= 0:
            size = CHUNK_SIZE.match(self.gathered, self.end, line)
            length = int(size[1], 16) if size else 0
            if size and not length:  # the last one; behind it, there may be a trailer
                self.is_cut = len(self.gathered) > line + MAX_HEAD_BYTES
                return self.gathered.find(HEAD_END, line, line + MAX_HEAD_BYTES) >= 0
            there = max(0, min(length, len(self.gathered) - line - 2))
            if not size or self.body_bytes + there > max_body_bytes:
                self.is_cut = True
                return False
            if there < length:
                return False
            self.end, self.body_bytes = line + 2 + length + 2, self.body_bytes + length
        overhead = len(self.gathered) - len(self.head) - self.body_bytes
        self.is_cut = overhead > MAX_LINE_BYTES + max_body_bytes or (
            len(self.gathered) > self.end + MAX_LINE_BYTES
        )
        return False

    @property
    def closes_afterwards(self) -> bool:
        """Whether the connection must end with this request: it is cut, or asks for it."""
        return self.is_cut or self.is_chunked or WANTS_CLOSE.search(self.head) is not None

    def skip_request(self) -> None:
        """Drop a whole request that no thread will see; the next may follow."""
        del self.gathered[: self.end]
        self.forget_head()

    def drop(self) -> int:
        """Read a block and forget it: its size, or 0 at the end.

        Raises:
            BlockingIOError: nothing is there yet.
        """
        return len(super().recv(BLOCK_BYTES))
