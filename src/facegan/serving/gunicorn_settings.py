"""How gunicorn runs the app, in the container and under `facegan serve` alike."""

import os
from pathlib import Path
from typing import Any

from facegan.serving.quick_start import pause_collector, resume_collector

MEMORY_FOLDER = Path("/dev/shm")


def gunicorn_settings(host: str, port: int, threads: int) -> dict[str, Any]:
    """gunicorn's settings by name (docs.gunicorn.org/en/stable/settings.html).

    Args:
        host: A name or address to listen on; an IPv6 address without brackets.
        port: The TCP port.
        threads: Requests that may be read, encoded and answered at the same time.
    """
    return {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        # One copy of the model. torch lets other threads run while it computes, as zlib does while
        # it packs a PNG, so a second process would double the memory and fight for the same cores.
        "workers": 1,
        "worker_class": "gthread",
        "threads": threads,
        # The worker's heartbeat, not a request's deadline; SageMaker gives up after 60 s as well.
        "timeout": 60,
        # SageMaker sends SIGKILL 30 s after SIGTERM: requests under way end before that.
        "graceful_timeout": 25,
        # Longer than the 60 s for which load balancers usually keep a connection.
        "keepalive": 75,
        # The heartbeat's file: on a slow disk it can stall, and the worker is killed for it.
        "worker_tmp_dir": str(MEMORY_FOLDER) if os.access(MEMORY_FOLDER, os.W_OK) else None,
        # On by default, in $HOME: a read-only home breaks it, and nobody here commands it.
        "control_socket_disable": True,
        # A ping every few seconds would fill the log, which CloudWatch bills by the byte.
        "accesslog": None,
        "post_fork": pause_collector,
        "post_worker_init": resume_collector,  # the app is loaded; nobody was answered yet
    }
