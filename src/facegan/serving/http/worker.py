"""A gunicorn worker that slow or idle clients cannot block.

gunicorn 27.0.1's own threaded worker (gthread, 16 threads) can be: 20 clients that send half a head
or half a body and wait hold all threads for ever, and ``GET /ping`` with them; 20 clients that send
``Connection: close`` and do not close hold the main loop for 40 s, as it lingers 2 s on each. Here
the main loop reads requests (``buffered_socket.py``) and parses their heads (``head.py``); threads
get complete requests, pings have threads of their own, and the poller does the lingering too.
"""

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from facegan.serving.http.buffered_socket import BufferedSocket
from facegan.serving.http.head import Head, headers_of, parse_head
from facegan.serving.http.refusals import (
    DRAINING,
    FAILED,
    OVERLOADED,
    TOO_SLOW,
    Refusal,
    Refused,
    busy,
    encode_refusal,
)
from facegan.serving.http.shutdown import EXTENSION, ShutdownHooks

REQUEST_SECONDS = 30.0  # for a connection's first byte; from a request's first byte to its last
WRITE_SECONDS = 20.0  # that a thread waits for a client to read its reply
PING_WRITE_SECONDS = 0.25
LINGER_SECONDS = 2.0  # for an answered client to close first: closing before it may lose the reply
LINGER_RATE = 256 * 2**10  # bytes that earn such a client another second
LINGER_BYTES = 32 * 2**20  # that such a client may still send
MAX_BODY_BYTES = 6 * 2**20  # where the app sets no limit
BUFFERED_BYTES = 256 * 2**20  # of all requests in memory, complete or not
# Complete requests that wait for a thread; more of them would wait longer than their clients do.
WAITING_PER_THREAD = 4
INVOCATIONS = ("/invocations", "/endpoints/")
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


class BufferedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The gthread worker, except that its poller does all waiting for clients.

    Attributes:
        reading: Connections whose request is being read, the oldest first.
        lingering: Answered connections that wait for the client to close, the oldest first, and the
            bytes that were discarded of each.
        keepalived_conns: gunicorn's own list of connections between two requests.
        late: Connections that came after SIGTERM.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reading: dict[TConn, None] = {}
        self.lingering: dict[TConn, int] = {}
        self.late: set[TConn] = set()
        self.next_check = 0.0  # for timeouts
        self.next_heartbeat = 0.0
        self.active_requests = 0  # that have a thread or wait for one
        self.sizes: dict[TConn, int] = {}  # bytes in memory of each connection
        self.buffered_bytes = 0  # their sum
        self.max_body_bytes = MAX_BODY_BYTES
        self.telemetry: Any = None
        self.busy_seconds: Callable[[], float | None] = lambda: None  # of the one model
        self.shutdown = ShutdownHooks()

    def init_process(self) -> None:
        """Start the pings' threads in the forked process, and gunicorn's loop."""
        self.ping_pool = ThreadPoolExecutor(2, "ping")
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the app, and take its limits, telemetry and shutdown hooks."""
        super().load_wsgi()
        config, extensions = (getattr(self.wsgi, x, {}) for x in ("config", "extensions"))
        self.max_body_bytes = config.get("MAX_CONTENT_LENGTH") or MAX_BODY_BYTES
        self.telemetry = extensions.get("facegan.telemetry")
        self.busy_seconds = extensions.get("facegan.busy_seconds", self.busy_seconds)
        self.shutdown = extensions.get(EXTENSION, self.shutdown)

    def notify(self) -> None:
        """Send the heartbeat once a second; gunicorn does each time its loop turns, 35 us each."""
        now = time.monotonic()
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + 1.0
            super().notify()

    # --- shutdown ------------------------------------------------------------------------------

    def run(self) -> None:
        """Run gunicorn's loop to the end of a graceful stop, then release the models."""
        super().run()
        self.shutdown.finish()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Keep accepting after SIGTERM, where gunicorn would stop.

        New clients would hang until the process ends; they get 503 instead, while the requests that
        came before are answered.
        """
        if self.alive or not self._accepting:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:  # clients that connected before the signal are not late
            for _ in range(self.cfg.backlog):
                if not self.accept(listener):
                    break
        self.shutdown.begin()

    # --- a connection: accept, read, dispatch, (a thread), after_request -------------------------

    def accept(self, listener: Any) -> bool:
        """Accept a connection; return whether there was one to accept."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in TOO_MANY_FILES and self.make_room():
                return True
            if error.errno in (*TOO_MANY_FILES, errno.EAGAIN, errno.ECONNABORTED):
                return False
            raise
        parse = partial(parse_head, settings=self.cfg, address=address)
        sock = BufferedSocket(accepted, WRITE_SECONDS, parse)
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.data_ready = True  # no thread waits for it
        if self.shutdown.has_begun:
            self.late.add(conn)  # not counted: the worker does not wait for late clients to leave
        else:
            self.nr_conns += 1
        self.start_reading(conn)
        if self.nr_conns + len(self.late) >= self.worker_connections:
            self.make_room()
        return True

    def start_reading(self, conn: TConn) -> None:
        """Read what has arrived; the poller calls when there is more."""
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        self.read(conn)

    def on_client_socket_readable(self, conn: TConn, client: Any) -> None:
        """Read the next request on a connection that was kept alive."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.start_reading(conn)

    def read(self, conn: TConn, _: Any = None) -> None:
        """Read what has arrived, and dispatch a complete request."""
        sock: BufferedSocket = conn.sock
        had_begun = sock.has_begun
        try:
            is_ready = sock.read_available(self.max_body_bytes)
        except Refused as refused:
            return self.refuse(conn, refused.refusal)
        except OSError:
            return self.close(conn)
        self.count_bytes(conn, sock.size)
        if is_ready:
            return self.dispatch(conn) if sock.is_complete else self.close(conn)
        if sock.has_begun and not had_begun:  # its first bytes: its time begins
            conn.timeout = time.monotonic() + REQUEST_SECONDS
            self.stop_reading(conn)
        return self.keep_reading(conn)

    def keep_reading(self, conn: TConn) -> None:
        """Let the poller watch a connection; refuse the largest request if memory is full."""
        if conn not in self.reading:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.read, conn))
            self.reading[conn] = None
        if self.is_full:
            self.refuse(max(self.reading, key=lambda x: self.sizes.get(x, 0)), OVERLOADED)

    def stop_reading(self, conn: TConn) -> None:
        """Remove a connection from the poller."""
        if conn in self.reading:
            del self.reading[conn]
            self.poller.unregister(conn.sock)

    def count_bytes(self, conn: TConn, size: int) -> None:
        """Record how many bytes a connection holds in memory."""
        self.buffered_bytes += size - self.sizes.pop(conn, 0)
        if size:
            self.sizes[conn] = size

    @property
    def is_full(self) -> bool:
        """Whether all connections together hold too many bytes."""
        return self.buffered_bytes > max(BUFFERED_BYTES, 2 * self.max_body_bytes)

    def dispatch(self, conn: TConn) -> None:
        """Hand a request to a thread, or refuse it if too many wait already."""
        request: Head = conn.sock.request
        is_ping = request.path == "/ping" and not request.length
        if not is_ping:
            if self.active_requests >= self.cfg.threads * (1 + WAITING_PER_THREAD) or self.is_full:
                return self.refuse(conn, OVERLOADED)
            if conn in self.late:
                return self.refuse(conn, DRAINING)
        is_invocation = request.method == "POST" and request.path.startswith(INVOCATIONS)
        if is_invocation and (seconds := self.busy_seconds()) is not None:
            return self.refuse(conn, busy(seconds))
        self.stop_reading(conn)
        conn.sock.write_timeout = PING_WRITE_SECONDS if is_ping else WRITE_SECONDS
        self.active_requests += not is_ping
        pool = self.ping_pool if is_ping else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.after_request, conn, done, is_ping)
        )
        return None

    def handle(self, conn: TConn) -> bool:
        """Answer a complete request, in a thread; return whether the connection is kept.

        gunicorn's own would parse the request here, where its client could hold the thread.
        """
        sock: BufferedSocket = conn.sock
        sock.setblocking(True)
        sock.hold_head()
        try:
            is_kept = self.handle_request(sock.request, conn)
            sock.send_held()
            return bool(is_kept)
        except (OSError, StopIteration) as gone:  # StopIteration: a reply broke off
            self.log.debug("A caller did not take its reply: %s", gone)
        except Exception:
            self.log.exception("A request failed outside the app.")
            sock.held = None
            with contextlib.suppress(OSError):
                headers = self.record_refusal(FAILED, sock.request)
                sock.sendall(encode_refusal(FAILED, True, headers))
        finally:
            sock.held = None
        return False

    def after_request(self, conn: TConn, done: "Future[Any]", is_ping: bool) -> None:
        """Keep or end the connection, back in the main loop."""
        self.active_requests -= not is_ping
        if done.cancelled() or done.exception() or not done.result():
            return self.linger(conn)
        return self.keep(conn)

    def keep(self, conn: TConn) -> None:
        """Wait for the next request, or continue with one that has begun."""
        conn.sock.start_request()
        conn.sock.setblocking(False)
        self.count_bytes(conn, conn.sock.size)
        if conn.sock.buffer:
            return self.start_reading(conn)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )
        return None

    # --- the end of a connection -----------------------------------------------------------------

    def refuse(self, conn: TConn, refusal: Refusal) -> None:
        """Answer without a thread. An overloaded server keeps the connection: a new one costs."""
        sock: BufferedSocket = conn.sock
        self.stop_reading(conn)
        head = sock.request
        closes = refusal.error != OVERLOADED.error or not sock.is_complete or not self.alive
        # A client with another request waiting goes through accept again, behind the others.
        closes = closes or bool(sock.buffer) or head is None or head.should_close()
        has_body = head is None or head.method != "HEAD"
        reply = encode_refusal(refusal, closes, self.record_refusal(refusal, head), has_body)
        try:
            if sock.send(reply) < len(reply):
                return self.close(conn)
        except OSError:
            return self.close(conn)
        return self.linger(conn) if closes else self.keep(conn)

    def record_refusal(self, refusal: Refusal, head: Head | None) -> dict[str, str]:
        """Count and log a refusal; return the headers that tie its reply to the log line."""
        headers = headers_of(head)
        if self.telemetry is not None:
            own_id = headers["X-Request-Id"]
            self.telemetry.turned_away(refusal.code, refusal.error, own_id)
        return headers

    def linger(self, conn: TConn) -> None:
        """Shut down the sending half, and wait for the client to close (RFC 9112, 9.6)."""
        sock: BufferedSocket = conn.sock
        sock.buffer.clear()
        sock.start_request()
        self.count_bytes(conn, 0)
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, selectors.EVENT_READ, partial(self.discard, conn))
        except (OSError, ValueError):  # already closed, by the client or by gunicorn
            return self.close(conn)
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self.lingering[conn] = 0
        return self.discard(conn)

    def discard(self, conn: TConn, _: Any = None) -> None:
        """Discard what an answered client still sends; one that sends fast gets more time."""
        try:
            size = conn.sock.discard()
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.lingering[conn] += size
        if not size or self.lingering[conn] > LINGER_BYTES:
            self.close(conn)
        elif self.alive:
            conn.timeout += size / LINGER_RATE

    def close(self, conn: TConn) -> None:
        """Close a connection at once."""
        self.stop_reading(conn)
        self.count_bytes(conn, 0)
        if self.lingering.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self.nr_conns -= conn not in self.late
        self.late.discard(conn)
        conn.close()

    def make_room(self) -> bool:
        """Close the connection that has waited longest; return whether there was one.

        It is an answered one, or else one of the more numerous kind; never one that a thread has.
        Otherwise a thousand idle clients would keep all others out.
        """
        if self.lingering:
            self.close(next(iter(self.lingering)))
        elif self.reading and len(self.reading) >= len(self.keepalived_conns):
            self.close(next(iter(self.reading)))
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self.close(conn)
        else:
            return False
        return True

    def murder_pending(self) -> None:
        """Close connections past their timeout; gunicorn calls this each time its loop turns."""
        now = time.monotonic()
        if now < self.next_check:
            return
        self.next_check = now + 0.5
        for conn in [x for x in (*self.reading, *self.lingering) if x.timeout <= now]:
            if conn in self.reading and conn.sock.has_begun:
                self.refuse(conn, TOO_SLOW)
            else:
                self.close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten the timeouts of idle connections, as the worker stops."""
        super()._cap_keepalive(deadline)
        for conn in self.reading:
            if not conn.sock.has_begun:
                conn.timeout = min(conn.timeout, deadline)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Handle Ctrl-C without shutting the thread pool down.

        gunicorn's own does, in a signal handler, and waits for ever if the interrupted code was
        handing a request over, as that holds the pool's lock.
        """
        super(ThreadWorker, self).handle_quit(sig, frame)
