"""gunicorn's threaded worker, on which callers who stall, dribble or never hang up cannot lean.

Seen of gunicorn 27.0.1's own (gthread, 16 threads): 20 callers who send half a head or half a body
and wait hold all threads for ever, and ``GET /ping`` with them; 20 callers who ask for
``Connection: close`` and do not close themselves hold the main loop for 40 s, as it lingers 2 s
over each. Here the main loop gathers requests (``buffered_socket.py``) and parses their heads
(``head.py``), threads only get whole ones, pings have threads of their own, and lingering is
the poller's business too.
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
    ENDING,
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
WRITE_SECONDS = 20.0  # of a thread, for a caller who does not read its reply
PING_WRITE_SECONDS = 0.25
LINGER_SECONDS = 2.0  # for a caller who was answered to hang up first, lest it lose the reply
LINGER_RATE = 256 * 2**10  # bytes that earn such a caller another second
LINGER_BYTES = 32 * 2**20  # that such a caller may still be sending
MAX_BODY_BYTES = 6 * 2**20  # where the app names no limit
HELD_BYTES = 256 * 2**20  # of all requests in memory, whole or not
# Requests that are whole and wait for a thread; beyond them, waiting would outlast the callers.
WAITING_PER_THREAD = 4
DRAW = ("/invocations", "/endpoints/")
FULL_ERRORS = (errno.EMFILE, errno.ENFILE)


class BufferedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The gthread worker, with everything that waits for a caller moved to its poller.

    ``self.waiting`` holds the connections that send a request, ``self.lingering`` those that were
    answered for the last time, both with the oldest first; ``self.keepalived_conns`` is gunicorn's
    own list of those between two requests.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: dict[TConn, None] = {}
        self.lingering: dict[TConn, int] = {}  # and the bytes dropped
        self.next_check = 0.0  # of whose time has run out
        self.next_beat = 0.0  # of the heart
        self.under_way = 0  # requests that threads have or will have
        self.sizes: dict[TConn, int] = {}  # bytes in memory of each that has some
        self.held_bytes = 0  # their sum
        self.max_body_bytes = MAX_BODY_BYTES
        self.telemetry: Any = None
        self.busy_seconds: Callable[[], float | None] = lambda: None  # of the one model
        self.shutdown = ShutdownHooks()
        self.late: set[TConn] = set()  # connected after SIGTERM

    def init_process(self) -> None:
        """In the forked process; gunicorn runs its loop inside."""
        self.ping_pool = ThreadPoolExecutor(2, "ping")
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the app; learn how long a body may be, who counts refusals, and how it ends."""
        super().load_wsgi()
        config, extensions = (getattr(self.wsgi, x, {}) for x in ("config", "extensions"))
        self.max_body_bytes = config.get("MAX_CONTENT_LENGTH") or MAX_BODY_BYTES
        self.telemetry = extensions.get("facegan.telemetry")
        self.busy_seconds = extensions.get("facegan.busy_seconds", self.busy_seconds)
        self.shutdown = extensions.get(EXTENSION, self.shutdown)

    def notify(self) -> None:
        """The heartbeat, once a second: gunicorn's is at every turn of the loop, each 35 us."""
        now = time.monotonic()
        if now >= self.next_beat:
            self.next_beat = now + 1.0
            super().notify()

    # --- the end ---------------------------------------------------------------------------------

    def run(self) -> None:
        """gunicorn's loop, to the end of a graceful stop; then the models are let go."""
        super().run()
        self.shutdown.finish()

    def set_accept_enabled(self, enabled: bool) -> None:
        """gunicorn asks to accept nobody once SIGTERM came. Then callers would hang until the end:
        they are told instead, as /ping is, for as long as those who came before are answered.
        """
        if self.alive or not self._accepting:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:  # who connected before the signal is not late
            for _ in range(self.cfg.backlog):
                if not self.accept(listener):
                    break
        self.shutdown.begin()

    # --- a connection's way: accept, gather, enqueue_req, (a thread), finish_request --------------

    def accept(self, listener: Any) -> bool:
        """Take a connection, if there is one; whoever waited longest makes room where needed."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in FULL_ERRORS and self.make_room():
                return True
            if error.errno in (*FULL_ERRORS, errno.EAGAIN, errno.ECONNABORTED):
                return False
            raise
        parse = partial(parse_head, settings=self.cfg, address=address)
        sock = BufferedSocket(accepted, WRITE_SECONDS, parse)
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.data_ready = True  # no thread waits for it
        if self.shutdown.has_begun:
            self.late.add(conn)  # and not counted: nobody waits for the late to leave
        else:
            self.nr_conns += 1
        self.await_request(conn)
        if self.nr_conns + len(self.late) >= self.worker_connections:
            self.make_room()
        return True

    def await_request(self, conn: TConn) -> None:
        """Let the poller tell when the caller sends, unless it has sent all already."""
        conn.timeout = time.monotonic() + REQUEST_SECONDS
        self.gather(conn)

    def on_client_socket_readable(self, conn: TConn, client: Any) -> None:
        """The next request on a kept connection begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.await_request(conn)

    def gather(self, conn: TConn, _: Any = None) -> None:
        """Read what is there; a whole request goes to a thread."""
        sock: BufferedSocket = conn.sock
        had_begun = sock.has_begun
        try:
            is_ready = sock.gather(self.max_body_bytes)
        except Refused as refused:
            return self.refuse(conn, refused.refusal)
        except OSError:
            return self.forget(conn)
        self.weigh(conn, sock.size)
        if is_ready:
            return self.dispatch(conn) if sock.is_whole else self.forget(conn)
        if sock.has_begun and not had_begun:  # its first bytes: its time begins
            conn.timeout = time.monotonic() + REQUEST_SECONDS
            self.stop_waiting(conn)
        return self.wait(conn)

    def weigh(self, conn: TConn, size: int) -> None:
        """Know how many bytes a connection holds in memory."""
        self.held_bytes += size - self.sizes.pop(conn, 0)
        if size:
            self.sizes[conn] = size

    @property
    def is_full(self) -> bool:
        """Whether all connections together hold too many bytes."""
        return self.held_bytes > max(HELD_BYTES, 2 * self.max_body_bytes)

    def wait(self, conn: TConn) -> None:
        """Have the poller watch a connection, and see that all of them do not hold too much."""
        if conn not in self.waiting:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.gather, conn))
            self.waiting[conn] = None
        if self.is_full:
            self.refuse(max(self.waiting, key=lambda x: self.sizes.get(x, 0)), OVERLOADED)

    def stop_waiting(self, conn: TConn) -> None:
        """Take a connection from the poller."""
        if conn in self.waiting:
            del self.waiting[conn]
            self.poller.unregister(conn.sock)

    def dispatch(self, conn: TConn) -> None:
        """Give a request to a thread, or refuse it where too many wait already."""
        request: Head = conn.sock.request
        is_ping = request.path == "/ping" and not request.length
        is_over = self.under_way >= self.cfg.threads * (1 + WAITING_PER_THREAD) or self.is_full
        if not is_ping and is_over:
            return self.refuse(conn, OVERLOADED)
        if not is_ping and conn in self.late:
            return self.refuse(conn, ENDING)
        is_draw = request.method == "POST" and request.path.startswith(DRAW)
        if is_draw and (seconds := self.busy_seconds()) is not None:
            return self.refuse(conn, busy(seconds))
        self.stop_waiting(conn)
        conn.sock.write_timeout = PING_WRITE_SECONDS if is_ping else WRITE_SECONDS
        self.under_way += not is_ping
        pool = self.ping_pool if is_ping else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.after_request, conn, done, is_ping)
        )
        return None

    def handle(self, conn: TConn) -> bool:
        """Answer a whole request, in a thread; whether the connection is kept.

        gunicorn's own would parse the request here, where the caller could hold the thread.
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
                sock.sendall(encode_refusal(FAILED, True, self.tell_of(FAILED, sock.request)))
        finally:
            sock.held = None
        return False

    def after_request(self, conn: TConn, done: "Future[Any]", is_ping: bool) -> None:
        """Back in the main loop: keep the connection, or see it off."""
        self.under_way -= not is_ping
        if done.cancelled() or done.exception() or not done.result():
            return self.linger(conn)
        return self.keep(conn)

    def keep(self, conn: TConn) -> None:
        """Wait for the next request, or go on with the one that has begun."""
        conn.sock.forget_request()
        conn.sock.setblocking(False)
        self.weigh(conn, conn.sock.size)
        if conn.sock.gathered:
            return self.await_request(conn)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )
        return None

    # --- the ends of a connection ----------------------------------------------------------------

    def refuse(self, conn: TConn, refusal: Refusal) -> None:
        """Answer without a thread. An overloaded server keeps the connection: a new one costs."""
        sock: BufferedSocket = conn.sock
        self.stop_waiting(conn)
        head = sock.request
        closes = refusal.error != OVERLOADED.error or not sock.is_whole or not self.alive
        # Where another request follows at once, it can wait elsewhere.
        closes = closes or bool(sock.gathered) or head is None or head.should_close()
        has_body = head is None or head.method != "HEAD"
        reply = encode_refusal(refusal, closes, self.tell_of(refusal, head), has_body)
        try:
            if sock.send(reply) < len(reply):
                return self.forget(conn)
        except OSError:
            return self.forget(conn)
        return self.linger(conn) if closes else self.keep(conn)

    def tell_of(self, refusal: Refusal, head: Head | None) -> dict[str, str]:
        """Count and log a refusal; the headers that tie its reply to the line."""
        headers = headers_of(head)
        if self.telemetry is not None:
            own_id = headers["X-Request-Id"]
            self.telemetry.turned_away(refusal.code, refusal.error, own_id)
        return headers

    def linger(self, conn: TConn) -> None:
        """Say that nothing more comes, and wait for the caller to hang up (RFC 9112, 9.6)."""
        sock: BufferedSocket = conn.sock
        sock.gathered.clear()
        sock.forget_request()
        self.weigh(conn, 0)
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, selectors.EVENT_READ, partial(self.drop, conn))
        except (OSError, ValueError):  # closed already, by the caller or by gunicorn
            return self.forget(conn)
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self.lingering[conn] = 0
        return self.drop(conn)

    def drop(self, conn: TConn, _: Any = None) -> None:
        """Read what a caller sends who was answered already; whoever sends fast has longer."""
        try:
            size = conn.sock.drop()
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.lingering[conn] += size
        if not size or self.lingering[conn] > LINGER_BYTES:
            self.forget(conn)
        elif self.alive:
            conn.timeout += size / LINGER_RATE

    def forget(self, conn: TConn) -> None:
        """Close at once."""
        self.stop_waiting(conn)
        self.weigh(conn, 0)
        if self.lingering.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self.nr_conns -= conn not in self.late
        self.late.discard(conn)
        conn.close()

    def make_room(self) -> bool:
        """Close the connection that has waited longest, of the more numerous kind; False if none.

        Nothing is taken from a thread. Otherwise a thousand idle callers would shut out the next.
        """
        if self.lingering:
            self.forget(next(iter(self.lingering)))
        elif self.waiting and len(self.waiting) >= len(self.keepalived_conns):
            self.forget(next(iter(self.waiting)))
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self.forget(conn)
        else:
            return False
        return True

    def murder_pending(self) -> None:
        """See off those whose time has run out; gunicorn asks at every turn of its loop."""
        now = time.monotonic()
        if now < self.next_check:
            return
        self.next_check = now + 0.5
        for conn in [x for x in (*self.waiting, *self.lingering) if x.timeout <= now]:
            if conn in self.waiting and conn.sock.has_begun:
                self.refuse(conn, TOO_SLOW)
            else:
                self.forget(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: whoever has not begun a request had its chance."""
        super()._cap_keepalive(deadline)
        for conn in self.waiting:
            if not conn.sock.has_begun:
                conn.timeout = min(conn.timeout, deadline)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Ctrl-C. gunicorn's own shuts the pool down here, in a signal handler, and waits for ever
        where the interrupted code was about to hand a request over: that holds the pool's lock.
        """
        super(ThreadWorker, self).handle_quit(sig, frame)
