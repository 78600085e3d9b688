"""A real `facegan serve` process for tests, and helpers that send it raw bytes."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from free_ports import free_port

ROOT = Path(__file__).parents[2]
# `facegan serve`, but a caller has 2 s for a request, and 0.5 s to hang up after it: a test need
# not wait for half a minute. An overloaded one has no place for any request but pings.
SERVE = """
import os
import facegan.serving.http.worker as worker
worker.REQUEST_SECONDS, worker.LINGER_SECONDS = 2.0, 0.5
if "IS_OVERLOADED" in os.environ:
    worker.WAITING_PER_THREAD = -1
from facegan.cli.__main__ import main
main()
"""
START_SECONDS = 90
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
ONE = b'{"seeds": [1]}'


class Reply(NamedTuple):
    """A reply as it was read from a socket."""

    status: int
    head: str
    body: bytes


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def send(self, data: bytes, timeout: float = 20, *, half_close: bool = False) -> Reply:
        """Send bytes on a connection of their own, and read one reply."""
        with self.connect(timeout) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_reply(connection)

    def ping(self) -> float:
        """Seconds until /ping says 200."""
        started = time.monotonic()
        assert self.send(PING).status == 200
        return time.monotonic() - started

    def memory_mb(self) -> float:
        """Resident memory of the worker, which is the child of the process that was started."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (child,) = path.read_text().split()
        kib = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child}/status").read_text())
        assert kib
        return int(kib[1]) / 1024


def read_reply(connection: socket.socket, is_head: bool = False) -> Reply:
    """Read one reply up to its Content-Length; status 0 if the connection was closed instead."""
    with connection.makefile("rb") as stream:
        status_line = stream.readline()
        if not status_line:
            return Reply(0, "", b"")
        head = b"".join(iter(stream.readline, b"\r\n")).decode("latin-1")
        length = re.search(r"^Content-Length: (\d+)", head, re.I | re.M)
        body = stream.read(int(length[1])) if length and not is_head else b""
        return Reply(int(status_line.split()[1]), head, body)


def request(body: bytes = ONE, content_type: str = "application/json", **headers: object) -> bytes:
    """POST /invocations; a header's underscores become hyphens."""
    named = {"Host": "x", "Content-Type": content_type, "Content-Length": len(body)}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return b"POST /invocations HTTP/1.1\r\n" + lines.encode("latin-1") + b"\r\n" + body


@contextmanager
def running(model: Path, *, open_files: int = 1024, **variables: str) -> Iterator[Server]:
    """A server with 8 threads that has answered /ping."""
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", str(model), "--port", str(port)]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = subprocess.Popen(
        [*command, "--threads", "8"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, hard)),
    )
    server = Server(process, port)
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None
            try:
                server.ping()
                break
            except OSError:
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(40)


def receive(connection: socket.socket) -> tuple[list[Reply], bool]:
    """Read replies until the connection closes or is silent for 1 s; return whether it closed."""
    connection.settimeout(1)
    data = b""
    try:
        while block := connection.recv(65536):
            data += block
        is_closed = True
    except TimeoutError:
        is_closed = False
    except ConnectionResetError:
        is_closed = True
    replies = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head, re.I)
        size = int(length[1]) if length else 0
        replies.append(Reply(int(head.split()[1]), head.decode("latin-1"), data[:size]))
        data = data[size:]
    return replies, is_closed


def refused(reply: Reply, *statuses: int) -> dict[str, str]:
    """Check that a reply is a JSON error, and return its fields."""
    assert reply.status in statuses, reply
    error = json.loads(reply.body)
    assert set(error) == {"error", "message", "hint"} and error["message"]
    assert b"Traceback" not in reply.body
    return dict(error)
