"""A port for a test that starts what listens there, when several tests run at once."""

import secrets
import socket

# Below those that the system gives to whoever connects or asks for any (on Linux from 32768): one
# of those may be another test's before the process that is told of it has started.
FIRST, LAST = 12000, 32000


def free_port() -> int:
    """A port of this machine that nobody listens at, and that nobody else is given by chance."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
