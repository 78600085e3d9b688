"""Checks the address on which a server will listen."""

import os
import socket

from facegan.errors import ServeError


def url_host(address: str) -> str:
    """Return an address as it appears in a URL on this machine."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(address, address)
    return f"[{name}]" if ":" in name else name


def find_address(host: str, port: int) -> str:
    """Return a host's address if the port is free there; gunicorn would try five times.

    Raises:
        ServeError: the host is unknown or not this machine, or the port cannot be used.
    """
    try:
        family, *_, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as cause:
        raise ServeError(
            f"The host {host!r} is unknown.",
            "--host takes an address of this machine: 127.0.0.1, or 0.0.0.0 to accept connections "
            "from other machines.",
        ) from cause
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except OSError as cause:
            raise ServeError(
                f"Port {port} of {host} cannot be opened: {os.strerror(cause.errno or 0).lower()}.",
                "Another server may be running there. Choose another port, "
                f"e.g. --port {port + 1 if port < 65535 else 8080}.",
            ) from cause
    return str(target[0])
