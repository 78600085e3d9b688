"""A connection whose request is gathered before any thread is spent on it, whatever its pace."""

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
# Of all that frames a body's chunks: a body of bytes sent one by one would take seconds to decode.
MAX_FRAMING_BYTES = 256 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FIRST_BYTE = b"H"  # of every reply
HUNG_UP = select.POLLHUP | select.POLLERR
RESET_MS = 1  # for the reset of a closed connection to come back, from this machine or a near one


class BufferedSocket(socket.socket):
    """An accepted socket that first gathers a request.

    While it gathers it never blocks. A thread that takes it over finds the whole request in
    memory; it gives up after ``write_timeout`` on a caller who does not read the reply, where
    gunicorn would wait for ever.

    Args:
        accepted: The socket as ``accept`` returned it; it is taken over.
        write_timeout: How long a thread waits for a whole write.
        parse: Parses a head, or raises Refused.
    """

    def __init__(
        self, accepted: socket.socket, write_timeout: float, parse: Callable[[bytes], Head]
    ) -> None:
        family, kind, number = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, number, fileno=accepted.detach())
        self.write_timeout, self.parse = write_timeout, parse
        self.gathered = bytearray()  # what was read, and is no part of `request` yet
        self.held: bytes | None = None  # a reply's head, empty until it is there; None: sent as is
        self.sending = threading.Lock()
        self.forget_request()

    def forget_request(self) -> None:
        """Begin with the next request."""
        self.request: Head | None = None
        self.body = bytearray()  # of the chunks that are there
        self.framing_bytes = 0
        self.chunk_left: int | None = None  # bytes that the chunk under way lacks
        self.is_whole = False
        self.has_replied = False
        self.sent_ahead = 0  # bytes of the reply that is_open has sent

    @property
    def size(self) -> int:
        """Bytes in memory."""
        held = self.request.length if self.request is not None and self.is_whole else 0
        return len(self.gathered) + len(self.body) + held

    @property
    def has_begun(self) -> bool:
        """Whether anything of a request came."""
        return self.request is not None or bool(self.gathered)

    def setblocking(self, flag: bool) -> None:
        """Wait up to the write timeout where gunicorn would block for ever."""
        self.settimeout(self.write_timeout if flag else 0.0)

    def is_open(self) -> bool:
        """Return whether the caller still waits for its reply; takes microseconds.

        Of a caller that closed, and of one that only ended its sending half, the kernel gets the
        same FIN. So the reply's first byte is sent ahead, the same for all replies: a closed
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
        """Return what poll says of the socket, at most so many milliseconds later."""
        poll = select.poll()  # a socket with a timeout would wait, whatever its flags
        poll.register(self, events)
        return sum(found for _, found in poll.poll(milliseconds))

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
            raise ConnectionResetError(errno.ECONNRESET, "the caller does not read") from cause

    def gather(self, max_body_bytes: int) -> bool:
        """Read what is there; True once the request is whole, or the caller hung up between two.

        Raises:
            Refused: it will never be a request that could be answered.
            OSError: the connection broke.
        """
        has_ended = False
        with contextlib.suppress(BlockingIOError):
            block = super().recv(BLOCK_BYTES)
            has_ended = not block
            self.gathered += block
        if self.request is None:
            self.request = self.take_head(max_body_bytes)
        if self.request is not None:
            self.is_whole = self.take_body(self.request, max_body_bytes)
        if has_ended and not self.is_whole and self.has_begun:
            raise Refused(CUT_SHORT if self.request is not None else BAD_REQUEST)
        return self.is_whole or has_ended

    def take_head(self, max_body_bytes: int) -> Head | None:
        """Parse the head if it is there, and refuse by its length a body that is too large."""
        end = self.gathered.find(HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            check_beginning(self.gathered)
            return None
        head = self.parse(bytes(self.gathered[: end + len(HEAD_END)]))
        del self.gathered[: end + len(HEAD_END)]
        if head.length > max_body_bytes:
            self.request = head  # the refusal tells its id
            raise Refused(too_large(max_body_bytes))
        if head.answer_expectation() and not self.gathered:
            super().send(CONTINUE)
        return head

    def take_body(self, head: Head, max_body_bytes: int) -> bool:
        """Put the body behind its head if it is whole."""
        if head.is_chunked:
            if not self.take_chunks(head, max_body_bytes):
                return False
            head.set_body(bytes(self.body))
            self.body = bytearray()
        else:
            if len(self.gathered) < head.length:
                return False
            head.set_body(bytes(self.gathered[: head.length]))
            del self.gathered[: head.length]
        return True

    def take_chunks(self, head: Head, max_body_bytes: int) -> bool:
        """Decode the chunks that are there (RFC 9112, section 7.1); True behind the last one.

        Raises:
            Refused: they are malformed, or too long.
        """
        while self.chunk_left != 0:
            if self.chunk_left is None:
                if (line := self.take_line()) is None:
                    return False
                self.chunk_left = chunk_size(line)
                if len(self.body) + self.chunk_left > max_body_bytes:
                    raise Refused(too_large(max_body_bytes))
            elif not self.take_data():
                return False
        return self.take_trailer(head)

    def take_line(self) -> bytes | None:
        """The next line of what frames the chunks, without its end; None if it is not there."""
        end = self.gathered.find(b"\r\n", 0, MAX_LINE_BYTES)
        if end < 0:
            if len(self.gathered) >= MAX_LINE_BYTES or NEVER_A_HEAD.search(self.gathered):
                raise Refused(BAD_CHUNKS)
            return None
        line = bytes(self.gathered[:end])
        del self.gathered[: end + 2]
        self.framing_bytes += end + 4  # with the line end behind the data
        if self.framing_bytes > MAX_FRAMING_BYTES:
            raise Refused(BAD_CHUNKS)
        return line

    def take_data(self) -> bool:
        """Move what is there of a chunk into the body; True at its end."""
        assert self.chunk_left is not None
        there = len(self.gathered) - 2
        if there < self.chunk_left:
            return False
        if self.gathered[self.chunk_left : self.chunk_left + 2] != b"\r\n":
            raise Refused(BAD_CHUNKS)
        self.body += self.gathered[: self.chunk_left]
        del self.gathered[: self.chunk_left + 2]
        self.chunk_left = None
        return True

    def take_trailer(self, head: Head) -> bool:
        """Pass over the headers behind the last chunk, up to and with the empty line."""
        if self.gathered[:2] == b"\r\n":
            del self.gathered[:2]
            return True
        end = self.gathered.find(HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            check_beginning(self.gathered)
            return False
        parse_trailer(head, bytes(self.gathered[: end + 2]))
        del self.gathered[: end + len(HEAD_END)]
        return True

    def drop(self) -> int:
        """Read a block and forget it: its size, or 0 at the end.

        Raises:
            BlockingIOError: nothing is there yet.
        """
        return len(super().recv(BLOCK_BYTES))


def chunk_size(line: bytes) -> int:
    """The size that a chunk's first line tells; 0 is the last one's.

    Raises:
        Refused: it tells none.
    """
    found = CHUNK_LINE.fullmatch(line)
    if found is None or not CHUNK_EXT_RE.fullmatch(found[2] or b""):
        raise Refused(BAD_CHUNKS)
    return int(found[1], 16)
