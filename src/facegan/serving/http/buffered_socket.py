"""A connection whose request is read completely before a thread is spent on it."""

import contextlib
import errno
import re
import select
import socket
import threading
from collections.abc import Callable

from gunicorn.http.body import CHUNK_EXT_RE

from facegan.serving.http.head import (
    HEAD_END,
    MAX_HEAD_BYTES,
    NEVER_A_HEAD,
    Head,
    check_beginning,
    parse_trailer,
)
from facegan.serving.http.refusals import BAD_CHUNKS, BAD_REQUEST, CUT_SHORT, Refused, too_large

BLOCK_BYTES = 256 * 1024  # read at once from one connection, so that others get their turn
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*(;.*))?", re.DOTALL)
MAX_LINE_BYTES = 8192  # of a chunk's size and its extensions
# Of all lines that frame chunks: a body of one-byte chunks would take seconds to decode.
MAX_FRAMING_BYTES = 256 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FIRST_BYTE = b"H"  # of every reply
HUNG_UP = select.POLLHUP | select.POLLERR
RESET_MS = 1  # for the reset of a closed connection to come back, from this machine or a near one


class BufferedSocket(socket.socket):
    """An accepted socket that buffers a request without blocking.

    A write to a client that does not read fails after `write_timeout` seconds, where gunicorn would
    wait for ever. `parse` parses a head, or raises Refused.
    """

    def __init__(
        self, accepted: socket.socket, write_timeout: float, parse: Callable[[bytes], Head]
    ) -> None:
        family, kind, number = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, number, fileno=accepted.detach())
        self.write_timeout, self.parse = write_timeout, parse
        self.buffer = bytearray()  # bytes that do not belong to `request` yet
        self.held: bytes | None = None  # a reply's head, empty until it is written; None: not held
        self.sending = threading.Lock()
        self.start_request()

    def start_request(self) -> None:
        """Begin with the next request."""
        self.request: Head | None = None
        self.body = bytearray()  # of the chunks so far
        self.framing_bytes = 0
        self.chunk_left: int | None = None  # bytes that the current chunk lacks
        self.is_complete = False
        self.has_replied = False
        self.sent_ahead = 0  # bytes of the reply that is_open has sent

    @property
    def size(self) -> int:
        """Bytes in memory."""
        length = self.request.length if self.request is not None and self.is_complete else 0
        return len(self.buffer) + len(self.body) + length

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request has arrived."""
        return self.request is not None or bool(self.buffer)

    def setblocking(self, flag: bool) -> None:
        """Wait up to the write timeout where gunicorn would block for ever."""
        self.settimeout(self.write_timeout if flag else 0.0)

    def is_open(self) -> bool:
        """Return whether the client still waits for its reply; takes microseconds.

        The kernel gets the same FIN from a client that closed and from one that only ended its
        sending half. So the reply's first byte, the same in all replies, is sent ahead: a closed
        connection answers it with a reset.
        """
        if self.polled(select.POLLRDHUP, 0) == 0:
            return True
        with self.sending:
            if not self.has_replied and not self.sent_ahead:
                try:
                    self.sent_ahead = super().send(FIRST_BYTE, socket.MSG_DONTWAIT)
                except OSError:
                    return False
        return not self.polled(0, RESET_MS) & HUNG_UP

    def polled(self, events: int, milliseconds: int) -> int:
        """Return the socket's poll events, waiting at most so long."""
        poll = select.poll()  # a socket with a timeout would wait, whatever its flags
        poll.register(self, events)
        return sum(found for _, found in poll.poll(milliseconds))

    def hold_head(self) -> None:
        """Keep the next write, which is a reply's head, and send it with the one that follows.

        gunicorn writes them one by one; each is a packet, and wakes the client.
        """
        self.held = b""

    def send_held(self) -> None:
        """Send a head that no body followed."""
        head, self.held = self.held, None
        if head:
            self.sendall(head)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Write all of it.

        Raises:
            ConnectionResetError: it took longer than the write timeout.
        """
        if self.held == b"":
            self.held = data
            return
        if self.held:
            data, self.held = self.held + data, None
        with self.sending:
            data, self.sent_ahead, self.has_replied = data[self.sent_ahead :], 0, True
        try:
            super().sendall(data, flags)
        except TimeoutError as cause:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from cause

    def read_available(self, max_body_bytes: int) -> bool:
        """Read what has arrived; return whether the request is complete, or the client has closed.

        Raises:
            Refused: it will never be a request that could be answered.
            OSError: the connection broke.
        """
        has_ended = False
        with contextlib.suppress(BlockingIOError):
            block = super().recv(BLOCK_BYTES)
            has_ended = not block
            self.buffer += block
        if self.request is None:
            self.request = self.read_head(max_body_bytes)
        if self.request is not None:
            self.is_complete = self.read_body(self.request, max_body_bytes)
        if has_ended and not self.is_complete and self.has_begun:
            raise Refused(CUT_SHORT if self.request is not None else BAD_REQUEST)
        return self.is_complete or has_ended

    def read_head(self, max_body_bytes: int) -> Head | None:
        """Parse the head once it is complete; refuse a body that is too large by its length."""
        end = self.buffer.find(HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            check_beginning(self.buffer)
            return None
        head = self.parse(self.take(end + len(HEAD_END)))
        if head.length > max_body_bytes:
            self.request = head  # the refusal needs its id
            raise Refused(too_large(max_body_bytes))
        if head.answer_expectation() and not self.buffer:
            super().send(CONTINUE)
        return head

    def read_body(self, head: Head, max_body_bytes: int) -> bool:
        """Give the head its body; return whether it is complete."""
        if head.is_chunked:
            if not self.read_chunks(head, max_body_bytes):
                return False
            head.set_body(bytes(self.body))
            self.body = bytearray()
        else:
            if len(self.buffer) < head.length:
                return False
            head.set_body(self.take(head.length))
        return True

    def read_chunks(self, head: Head, max_body_bytes: int) -> bool:
        """Decode the chunks (RFC 9112, section 7.1); return whether the last one has arrived."""
        while self.chunk_left != 0:
            if self.chunk_left is None:
                if (line := self.read_line()) is None:
                    return False
                self.chunk_left = chunk_size(line)
                if len(self.body) + self.chunk_left > max_body_bytes:
                    raise Refused(too_large(max_body_bytes))
            elif not self.read_chunk(self.chunk_left):
                return False
        return self.read_trailer(head)

    def read_line(self) -> bytes | None:
        """Return a chunk's first line without its end; None while it is incomplete."""
        end = self.buffer.find(b"\r\n", 0, MAX_LINE_BYTES)
        if end < 0:
            if len(self.buffer) >= MAX_LINE_BYTES or NEVER_A_HEAD.search(self.buffer):
                raise Refused(BAD_CHUNKS)
            return None
        self.framing_bytes += end + 4  # with the line end behind the data
        if self.framing_bytes > MAX_FRAMING_BYTES:
            raise Refused(BAD_CHUNKS)
        return self.take(end + 2)[:-2]

    def read_chunk(self, size: int) -> bool:
        """Move a chunk into the body; return whether it was complete."""
        if len(self.buffer) < size + 2:
            return False
        if self.buffer[size : size + 2] != b"\r\n":
            raise Refused(BAD_CHUNKS)
        self.body += self.buffer[:size]
        del self.buffer[: size + 2]
        self.chunk_left = None
        return True

    def read_trailer(self, head: Head) -> bool:
        """Skip the headers behind the last chunk; return whether they are complete."""
        if self.buffer[:2] == b"\r\n":
            self.take(2)
            return True
        end = self.buffer.find(HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            check_beginning(self.buffer)
            return False
        parse_trailer(head, self.take(end + len(HEAD_END))[:-2])
        return True

    def take(self, count: int) -> bytes:
        """Remove bytes from the buffer's beginning and return them."""
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def discard(self) -> int:
        """Read a block and forget it; return its size, 0 at the end.

        Raises:
            BlockingIOError: nothing has arrived yet.
        """
        return len(super().recv(BLOCK_BYTES))


def chunk_size(line: bytes) -> int:
    """Parse the size in a chunk's first line; 0 is the last chunk's."""
    found = CHUNK_LINE.fullmatch(line)
    if found is None or not CHUNK_EXT_RE.fullmatch(found[2] or b""):
        raise Refused(BAD_CHUNKS)
    return int(found[1], 16)
